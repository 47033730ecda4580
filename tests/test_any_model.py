"""Current models: settings that are not sent or the user's own, a thought apart from the answer, filters, slowness."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from openai.types.chat import ChatCompletion

import main
from clients.scripted import ScriptedClient
from clients.server import merged
from command_line import config_of, read_command_line
from config import Config
from errors import UsageError
from helpers.fake_server import FakeServer, choose_option, completion, serving
from helpers.runs import argv, lfd_stream, run_folder, steps
from llm import LLM, Reply, make_llm, split_reasoning
from options import read_extra_body

SIZE = 5


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeServer]:
    lfd_stream(tmp_path, SIZE)
    with serving() as server:
        yield server


def llm_at(server: FakeServer, **options: Any) -> LLM:
    settings = {"llm": "m", "port": server.port, "max_retries": 0, "timeout": 5.0} | options
    return make_llm(Config(**settings), lambda: pytest.fail("no encoder is needed"))


def sent(server: FakeServer, **options: Any) -> dict[str, Any]:
    """The request's body, without what is asked."""
    server.answer = lambda prompt: "yes"
    llm_at(server, **options)("ask")
    return {name: value for name, value in server.chats[-1].items() if name not in ("model", "messages")}


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().err.splitlines()[-1]


def use_openai(monkeypatch: pytest.MonkeyPatch, server: FakeServer) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.port}/v1")


# -- a server of a current model ---------------------------------------------------------------------------------------


class Current:
    """Refuses `temperature` and `top_p`, thinks apart from its answer, filters the prompt with Line 2, is slow."""

    def __init__(self, server: FakeServer, pause: float = 0.05) -> None:
        self.server, self.pause = server, pause
        server.fault = self.reply

    def reply(self, number: int) -> Any:
        time.sleep(self.pause)
        body = self.server.chats[number]
        for name in ("temperature", "top_p"):
            if name in body:
                said = f"Unsupported value: '{name}' does not support {body[name]} with this model."
                return 400, {"error": {"message": said, "param": name, "code": "unsupported_value"}}
        prompt = body["messages"][-1]["content"]
        if "Line 2:" in prompt:
            return 400, {"error": {"message": "Filtered.", "code": "content_filter", "param": "prompt"}}
        thought = f"It may be \\boxed{{no such thing}} {number}"
        usage = {"prompt_tokens": 11, "completion_tokens": 40, "total_tokens": 51,
                 "completion_tokens_details": {"reasoning_tokens": 37}}  # fmt: skip
        answer = {"content": choose_option(prompt), "reasoning_content": thought}
        done = completion(message=answer, usage=usage, created=1, model="m")
        ChatCompletion.model_validate(done)  # what the official SDK reads
        return 200, done


def test_each_trait_of_a_current_model_is_handled(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    use_openai(monkeypatch, server)
    Current(server)
    words = ["--llm", "m", "--serving_mode", "openai", "--agent", "zero-shot", "--log_requests", "--timeout", "9"]
    words = argv(None, tmp_path / "run", *words)
    for options, hint in (((), "--temperature: with none"), (("--temperature", "none"), "--top_p: with none")):
        assert main.main([*words, *options]) == 1
        assert f"the option to change is {hint} it is not sent" in last_line(capsys)
    words += ["--temperature", "none", "--top_p", "none"]
    assert main.main(words) == 1
    assert "its content filter stopped the prompt" in (line := last_line(capsys)) and "--on_refused skip" in line
    assert main.main([*words, "--on_refused", "skip"]) == 0
    folder = run_folder(tmp_path / "run")
    made = steps(folder)
    assert folder.parts[-2] == "m,temperature=none,top_p=none" and len(made) == SIZE
    assert [step["step"] for step in made if step.get("skipped")] == [3]
    answered = [step for step in made if not step.get("skipped")]
    assert all(step["output"].startswith("\\boxed{") and step["answer"] != "no such thing" for step in answered)
    assert all(step["usage"] == {"prompt_tokens": 11, "completion_tokens": 40} for step in answered)
    kept = [json.loads(line)["reply"] for line in (folder / "requests.jsonl").read_text().splitlines()]
    assert all("no such thing" in reply["reasoning"] and "no such thing" not in reply["text"] for reply in kept)
    assert len(kept) == SIZE - 1
    assert {"temperature", "top_p"}.isdisjoint(server.chats[-1])
    record = yaml.safe_load((folder / "config.yaml").read_text())
    assert record["identity"]["temperature"] == "none" and record["starts"][0]["llm"]["temperature"] is None


def test_a_slow_server_is_no_answer_at_the_timeout(
    server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Current(server, pause=0.6)
    words = argv(server, tmp_path / "run", "--agent", "zero-shot", "--temperature", "none", "--top_p", "none")
    assert main.main([*words, "--timeout", "0.2", "--max_retries", "0"]) == 1
    assert "no answer from" in last_line(capsys)
    assert main.main([*words, "--limit", "1", "--timeout", "9"]) == 0


# -- settings ----------------------------------------------------------------------------------------------------------

PAPERS = {
    "temperature": 0.1, "top_p": 0.8, "max_completion_tokens": 2048, "seed": 0, "presence_penalty": 1.5, "top_k": 20,
    "chat_template_kwargs": {"enable_thinking": False},
}  # fmt: skip


def test_what_is_sent(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sent(server) == PAPERS
    few = {name: value for name, value in PAPERS.items() if name not in ("temperature", "top_p")}
    assert sent(server, temperature="none", top_p="none") == few
    assert sent(server, thinking="on") == PAPERS | {"chat_template_kwargs": {"enable_thinking": True}}
    assert sent(server, thinking="off") == PAPERS
    extra = '{"chat_template_kwargs": {"effort": "low"}, "top_k": null, "seed": 7, "address": "x"}'
    asked = PAPERS | {"chat_template_kwargs": {"enable_thinking": False, "effort": "low"}, "seed": 7, "address": "x"}
    del asked["top_k"]
    assert sent(server, extra_body=extra) == asked
    use_openai(monkeypatch, server)
    own = sent(server, serving_mode="openai", extra_body='{"reasoning_effort": "low"}', temperature="none")
    assert own == {"top_p": 0.8, "max_completion_tokens": 2048, "reasoning_effort": "low"}
    assert merged({"a": 1, "b": {"c": 1, "d": 2}}, {"b": {"c": None}, "e": {"f": None}}) == {
        "a": 1, "b": {"d": 2}, "e": {},
    }  # fmt: skip


def test_defaults_leave_identity_and_name_and_others_change_them() -> None:
    plain = Config(llm="m", env="lfd", agent="icrl")
    new = {"thinking", "extra_body", "system_prompt"}
    assert new.isdisjoint(plain.identity()) and plain.run_name() == "lfd/icrl/m/seed0"
    changed = [
        Config(llm="m", env="lfd", agent="icrl", **{name: value})
        for name, value in (("thinking", "on"), ("extra_body", '{"a": 1}'), ("system_prompt", "Be brief."),
                            ("temperature", "none"))
    ]  # fmt: skip
    assert len({config.run_name() for config in (plain, *changed)}) == 5
    assert all(config.identity() != plain.identity() for config in changed)
    same = Config(llm="m", env="lfd", agent="icrl", extra_body='{ "a":1 }')
    assert same.identity() == changed[1].identity() and same.run_name() == changed[1].run_name()


def test_a_runs_own_record_repeats_it(server: FakeServer, tmp_path: Path) -> None:
    (tmp_path / "system.txt").write_text("@all: answer in one line.\n")
    more = ("--system_prompt", f"@{tmp_path / 'system.txt'}", "--extra_body", '{"n": 1}', "--temperature", "none")
    assert (
        main.main(argv(server, tmp_path / "run", "--agent", "zero-shot", "--limit", 1, "--thinking", "on", *more)) == 0
    )
    (tmp_path / "system.txt").unlink()
    first, second = server.chats[-1]["messages"]
    assert first == {"role": "system", "content": "@all: answer in one line."} and second["role"] == "user"
    folder = run_folder(tmp_path / "run")
    _, options = read_command_line(["--config", str(folder / "config.yaml")])
    assert Config(**options).run_name() == str(folder.relative_to(tmp_path / "run"))


@pytest.mark.parametrize("arguments, expected", [
    (("--extra_body", "{'a': 1}"), "not JSON"), (("--extra_body", "[1]"), "not a JSON object"),
    (("--extra_body", '{"a": NaN}'), "NaN is no JSON"),
    (("--extra_body", '{"stream": true}'), "stream is what the run"),
    (("--extra_body", '{"messages": []}'), "messages is what the run"), (("--temperature", "None"), "invalid"),
    (("--temperature", "nan"), "finite"), (("--system_prompt", " "), "--system_prompt is empty"),
    (("--system_prompt", "@no/such/file"), "cannot be read"), (("--thinking", "yes"), "Choose from: auto, on, off"),
    (("--serving_mode", "openai", "--thinking", "on"), "--extra_body '{\"reasoning_effort\": \"low\"}'"),
])  # fmt: skip
def test_bad_values_are_one_clear_line(
    arguments: tuple[str, ...], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["--llm", "m", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        line.startswith("error: ")
        and expected in line
        and arguments[0]
        in line.replace("--serving_mode", "") + ("--serving_mode" if arguments[0] == "--serving_mode" else "")
    )


def test_values_from_python() -> None:
    with pytest.raises(UsageError, match="--temperature must be a number or none"):
        Config(temperature="0.5")
    assert read_extra_body('{"a": {"b": [1]}}') == {"a": {"b": [1]}}
    notes = config_of(["--thinking", "on", "--system_prompt", "x"]).without_effect(["thinking", "system_prompt"])
    assert [note.split()[0] for note in notes] == ["--thinking", "--system_prompt"]


def test_a_member_of_several_has_settings_of_its_own() -> None:
    several = Config(agent="mam-stream-icl", llms="m thinking=on temperature=none, n", llm=None)
    assert [(one.thinking, one.temperature) for one in several.members] == [("on", "none"), ("auto", 0.1)]


def test_the_system_prompt_is_in_front_of_every_turn_and_no_part_of_the_tasks_prompt(server: FakeServer) -> None:
    server.answer = lambda prompt: "yes"
    said = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]
    session, plain = llm_at(server, system_prompt="Be brief.").session(), llm_at(server).session()
    session.chat(said), plain.chat(said)
    assert server.chats[0]["messages"] == [{"role": "system", "content": "Be brief."}, *said]
    assert server.chats[1]["messages"] == said and session.prompt_sha256 == plain.prompt_sha256
    session.chat([{"role": "system", "content": "You are a judge."}, *said])
    assert server.chats[2]["messages"][0]["content"] == "Be brief.\n\nYou are a judge."
    assert [message["role"] for message in server.chats[2]["messages"]].count("system") == 1


# -- thoughts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text, expected", [
    ("plain", ("", "plain")), ("  plain ", ("", "  plain ")), ("<think>\nhm\n</think>\n\nyes", ("hm", "yes")),
    ("\n<think></think>yes", ("", "yes")), ("<think>never ends", ("never ends", "")),
    ("opened by the template</think>\nyes", ("opened by the template", "yes")),
    ("<think>a</think>\n<think>b</think>yes", ("a\n\nb", "yes")),
    ("yes, <think> is a tag", ("", "yes, <think> is a tag")),
    ("yes <think>no</think>", ("", "yes <think>no</think>")),
])  # fmt: skip
def test_a_thought_is_no_part_of_the_text(text: str, expected: tuple[str, str]) -> None:
    assert split_reasoning(text) == expected
    reply = Reply.read({"text": text})
    assert (reply.reasoning, reply.text) == expected
    assert Reply.read(vars(reply)) == reply  # from the cache, too
    assert LLM(ScriptedClient([text]))("ask") == expected[1]


@pytest.mark.parametrize("message, choice, expected", [
    ({"content": "yes", "reasoning_content": "hm"}, {}, ("yes", "hm", "stop")),
    ({"content": "yes", "reasoning": "hm"}, {}, ("yes", "hm", "stop")),
    ({"content": "yes", "reasoning": {"odd": 1}}, {}, ("yes", "", "stop")),
    ({"content": None, "reasoning_content": "too long"}, {"finish_reason": "length"}, ("", "too long", "length")),
    ({"content": "<think>too long"}, {"finish_reason": "length"}, ("", "too long", "length")),
])  # fmt: skip
def test_where_servers_put_thoughts(
    message: Any, choice: Any, expected: tuple[str, str, str], server: FakeServer
) -> None:
    server.fault = lambda number: (200, completion(message=message, choice=choice))
    session = llm_at(server).session()
    reply = session.chat([{"role": "user", "content": "ask"}])
    assert (reply.text, reply.reasoning, reply.finish_reason) == expected
    assert session.spent.completion_tokens == 3 and session.spent.cut == (expected[2] == "length")


def test_tokens_of_a_thought_that_only_the_total_has_are_counted(server: FakeServer) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 45}
    server.fault = lambda number: (200, completion(usage=usage))
    session = llm_at(server).session()
    session("ask")
    assert (session.spent.prompt_tokens, session.spent.completion_tokens) == (10, 35)
