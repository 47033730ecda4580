"""toolbench: calls read and compared, the judge and what stands in for it, the documentation, the real rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import main
from clients.embedded.apis import read_apis
from clients.embedded.calls import write_call
from clients.embedded.reading import Reading
from config import Config
from env import make_env
from env.matching import normalise_words, word_f1
from env.parsing import first_object
from env.toolbench import APIS, ToolBench
from errors import DataError, UsageError
from helpers.fake_server import serving
from helpers.runs import run_folder, steps
from scripts.prepare.streambench import EXACT

REQUEST = "Will it rain in Carrow in the next 3 days?"


@pytest.fixture
def env() -> ToolBench:
    """The sample, on a row whose arguments are compared exactly."""
    env = make_env("toolbench", "sample")
    return on(env, "outlook", {"place": "Carrow", "days": 3})


def on(env: ToolBench, api: str, arguments: dict[str, Any]) -> ToolBench:
    env.dataset = [{"task": REQUEST, "api_name": api, "api_input": json.dumps(arguments)}]
    env.index = 0
    return env


def call(api: str, arguments: Any) -> str:
    return json.dumps({"action": api, "action_input": arguments})


def scored(env: ToolBench, text: str) -> tuple[int, float]:
    env.step_metrics = {}
    _, reward = env.evaluate(text)
    return reward, env.step_metrics["api_accuracy"]


# -- reading -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a": {"b": 1}} {"c": 2}', {"a": {"b": 1}}),
        ('[{"a": 1}] {"b": 2}', {"a": 1}),
        ('{not json} {"b": "}"}', {"b": "}"}),
        ('{"a": NaN} {"b": 1e999} {"c": 1}', {"c": 1}),
        ('{"a": "\\ud800"}', None),
        ('{"open": 1', None),
        ("", None),
    ],
)
def test_first_object(text: str, expected: object) -> None:
    assert first_object(text) == expected


def test_a_call_is_the_first_one_and_its_input_may_be_a_text(env: ToolBench) -> None:
    right = {"action": "outlook", "action_input": {"place": "Carrow", "days": 3}}
    inside = json.dumps({"place": "Carrow", "days": 3})
    for text in (
        f"Sure:\n```json\n{call('outlook', right['action_input'])}\n```",
        call("outlook", inside),
        call("outlook", right["action_input"]) + call("ask_anything", {}),
        '{"thought": "the weather"} ' + call(" outlook ", right["action_input"]),
    ):
        assert env.evaluate(text) == (right, 1), text
    deep: Any = {}
    for _ in range(60):
        deep = {"a": deep}
    for text in (call("outlook", "Carrow"), call("outlook", None), call("", {}), '{"action": "outlook"}'):
        assert env.evaluate(text) == (None, 0), text
    assert env.evaluate(call("outlook", deep)) == (None, 0)


# -- scoring -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("api", "arguments", "expected"),
    [
        ("outlook", {"place": "Carrow", "days": 3}, (1, 1.0)),
        ("outlook", {"place": " carrow", "days": "3", "unit": "C"}, (1, 1.0)),
        ("outlook", {"place": "Carrow"}, (0, 1.0)),
        ("outlook", {"place": "the town of Carrow", "days": 3}, (0, 1.0)),
        ("outlook", {"place": "Carrow", "days": 3.5}, (0, 1.0)),
        ("conditions_now", {"place": "Carrow", "days": 3}, (0, 0.0)),
        ("Outlook", {"place": "Carrow", "days": 3}, (0, 0.0)),
    ],
)
def test_exact_arguments(env: ToolBench, api: str, arguments: Any, expected: tuple[int, float]) -> None:
    assert scored(env, call(api, arguments)) == expected
    assert scored(env, "I do not know") == (0, 0.0)


@pytest.mark.parametrize(
    ("right", "given", "reward"),
    [
        ({"query": "prize of Ruth Okafor"}, {"query": "What prize did Ruth Okafor win?"}, 1),
        ({"query": "prize of Ruth Okafor"}, {"query": "novels by Edda Lindqvist"}, 0),
        ({"query": "prize of Ruth Okafor"}, {"words": "prize of Ruth Okafor"}, 0),
        ({"lat": -33.8688}, {"lat": "-33.87"}, 1),
        ({"lat": -33.8688}, {"lat": 33.8688}, 0),
        ({"key": ""}, {"key": "anything"}, 1),
        ({}, {"anything": 1}, 1),
    ],
)
def test_without_a_judge_arguments_have_to_be_similar(
    env: ToolBench, right: dict[str, Any], given: dict[str, Any], reward: int
) -> None:
    on(env, "ask_anything", right)
    assert scored(env, call("ask_anything", given)) == (reward, 1.0)
    assert "at least 0.5 alike in words (no --judge_llm)" in env.details()["scoring"]


def test_words_are_compared_as_in_squad() -> None:
    assert normalise_words("The  U.S. Senate, an") == "us senate"
    assert normalise_words(" The ") == "the" and normalise_words("?") == "?"
    assert word_f1("the big red cat", "a cat, red!") == pytest.approx(2 * 2 / (3 + 2))
    assert word_f1("dog", "cat") == 0 == word_f1("", "")


# -- the judge ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def stream(tmp_path: Path) -> Iterator[Path]:
    """Three rows: arguments compared exactly, judged, and judged with none to judge."""
    folder = tmp_path / "data"
    folder.mkdir()
    apis = [{"name": name, "documentation": f"{name} does it", "exact": name == "exact"} for name in ("exact", "free")]
    rows = [
        {"task": "first", "api_name": "exact", "api_input": '{"x": "1"}'},
        {"task": "second", "api_name": "free", "api_input": '{"x": "red wine"}'},
        {"task": "third", "api_name": "free", "api_input": "{}"},
    ]
    for name, lines in ((APIS, apis), ("toolbench.jsonl", rows)):
        (folder / name).write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    yield folder


def test_a_judge_decides_on_what_is_not_compared_exactly(stream: Path, tmp_path: Path) -> None:
    outputs = {"first": call("exact", {"x": 1}), "second": call("free", {"x": "Merlot"}), "third": call("free", {})}
    judged: list[str] = []

    def answer(prompt: str) -> str:
        if "<accepted_answers>" in prompt:
            judged.append(prompt)
            return "right"
        return outputs[prompt.rpartition("<task>")[2].split()[0]]

    with serving(answer) as server:
        words = ("--env", "toolbench", "--data", stream, "--agent", "zero-shot", "--output_dir", tmp_path / "out")
        arguments = [*words, "--llm", "m", "--port", server.port, "--judge_llm", "m"]
        assert main.main([str(word) for word in arguments]) == 0
    log = steps(run_folder(tmp_path / "out"))
    assert [step["reward"] for step in log] == [1, 1, 1]
    assert len(judged) == 1 and "red wine" in judged[0] and "Merlot" in judged[0] and "free does it" in judged[0]
    assert log[1]["turns"][-1]["verdict"] == "right" and log[1]["turns"][-1]["usage"]["prompt_tokens"] > 0
    assert "turns" not in log[0] and "turns" not in log[2]
    config = yaml.safe_load((run_folder(tmp_path / "out") / "config.yaml").read_text(encoding="utf-8"))
    scoring = config["starts"][0]["task"]["scoring"]
    assert scoring == "arguments of 1 APIs exactly, of the other 1 judged by m"
    assert config["identity"]["judge_llm"] == "m"


def test_options_of_the_judge_belong_to_both_tasks() -> None:
    for task, notes in (("2wiki", 0), ("toolbench", 0), ("banking77", 2)):
        config = Config(env=task, judge_llm="j", judge_port=9)
        assert len(config.without_effect(["judge_llm", "judge_port"])) == notes
        assert ("judge_llm" in config.identity()) == (notes == 0)
    with pytest.raises(UsageError, match="there is none: add --judge_llm NAME"):
        Config(env="toolbench", judge_port=9)


# -- documentation and rows --------------------------------------------------------------------------------------------


def test_the_documentation_is_the_beginning_of_every_prompt(env: ToolBench) -> None:
    shown = env.get_case_based_prompt("x", [{"task": "y", "answer": env.get_ground_truth()}])
    plain = env.get_zero_shot_prompt("x")
    common = plain.partition("<task>")[0]
    assert shown.startswith(common.rstrip()) and all(api.documentation in common for api in env.apis.values())


def test_another_documentation_is_another_run(stream: Path) -> None:
    from env import task_code

    before = task_code(make_env("toolbench", str(stream)))["prompts"]
    text = (stream / APIS).read_text(encoding="utf-8")
    (stream / APIS).write_text(text.replace("does it", "does it well"), encoding="utf-8")
    assert task_code(make_env("toolbench", str(stream)))["prompts"] != before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"api_name": "nobody"}, "the API 'nobody' is not documented"),
        ({"api_input": "[1]"}, "is not a JSON object"),
        ({"api_input": "{1}"}, "is not a JSON object"),
    ],
)
def test_rows_that_are_not_right(change: dict[str, str], words: str, stream: Path) -> None:
    path = stream / "toolbench.jsonl"
    first = json.loads(path.read_text(encoding="utf-8").splitlines()[0]) | change
    path.write_text(json.dumps(first), encoding="utf-8")
    with pytest.raises(DataError, match=words):
        make_env("toolbench", str(stream))


def test_rows_without_documentation(stream: Path) -> None:
    (stream / APIS).unlink()
    with pytest.raises(DataError, match=r"there is no .*apis.jsonl.*scripts/prepare_data.py toolbench"):
        make_env("toolbench", str(stream))


def test_thirty_one_apis_are_compared_exactly() -> None:
    names = EXACT.read_text(encoding="utf-8").splitlines()
    assert len(names) == len(set(names)) == 31


# -- the embedded reader -----------------------------------------------------------------------------------------------


def reading(task: str, case: tuple[str, str] | None, similarity: list[float], apis: str) -> Reading:
    import numpy as np

    profile = 1.0 if case else 0.0
    return Reading(task, ["a"] * len(similarity), np.array(similarity), "", case, 0.99 if case else -1.0, profile, apis)


def test_the_reader_copies_arguments_from_the_request_or_from_the_case(env: ToolBench) -> None:
    prompt = env.get_zero_shot_prompt(REQUEST)
    apis = read_apis(prompt)
    assert [api.name for api in apis] == list(env.apis)
    similarity = [float(api.name == "outlook") * 0.5 for api in apis]
    plain = write_call(reading(REQUEST, None, similarity, prompt), None)  # type: ignore[arg-type]
    assert json.loads(plain or "") == {"action": "outlook", "action_input": {"place": "Carrow", "days": 3}}
    answer = call("Moneychanger%%convert", {"amount": "1800", "code": "TVC"})
    case = ("How much are 1,800 Tavian crowns?", answer)
    followed = write_call(reading("How much are 75 Tavian crowns?", case, similarity, prompt), None)  # type: ignore[arg-type]
    assert json.loads(followed or "")["action_input"] == {"amount": "75", "code": "TVC"}
