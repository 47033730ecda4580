"""The prompts of a run, rebuilt from its log, are those that the LLM was sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

import main
from env.identity import TEMPLATES
from env.prompts import lfd_prompt
from errors import UserError
from helpers.fake_server import FakeServer, serving
from helpers.runs import argv, lfd_stream, run_folder
from llm import hash_prompt
from report.folders import read_runs
from report.prompts import CHANGED, LOGGED, UNPROVEN, Rebuilt, rebuild, shown_prompts

SIZE = 24
AGENTS = {
    "zero-shot": (),
    "icrl": ("--comk", 2),
    "icrl-plus": ("--comk", 3),
    "cbr": ("--bandit", "Random", "--comk", 2, "--shuffle", "--seed", 3),
    "cbrgt": ("--bandit", "Pretrained", "--limit", 15),
    "cbrdiscover": ("--bandit", "Random", "--discover_strategy", "random", "--budget_ratio", 0.4, "--skip_steps", 2),
}


def read(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """config.yaml and the steps of a run."""
    lines = (folder / "steps.jsonl").read_text(encoding="utf-8").splitlines()
    return yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")), [json.loads(line) for line in lines]


def sent(server: FakeServer) -> list[str]:
    """The first message of every conversation that the server was asked to answer."""
    firsts = (chat["messages"] for chat in server.chats)
    return [messages[0]["content"] for messages in firsts if len(messages) == 1]


@pytest.mark.parametrize("agent", AGENTS)
def test_single_turn(tmp_path: Path, agent: str) -> None:
    lfd_stream(tmp_path, SIZE)
    with serving() as server:
        assert main.main(argv(server, tmp_path / "out", "--agent", agent, *AGENTS[agent])) == 0
    config, records = read(run_folder(tmp_path / "out"))
    rebuilt = rebuild(config, records)
    assert [step.prompt for step in rebuilt] == sent(server)
    kept = {step.kept.step: step.kept for step in rebuilt if step.kept}
    shown = {case["id"] for record in records for case in record["cases"]}
    assert shown <= kept.keys() and bool(shown) == (agent != "zero-shot")
    if agent == "cbrgt":
        assert len(kept) == 15
        assert any(kept[record["step"]].answer != record["answer"] for record in records)
    if agent == "cbrdiscover":
        assert any(record["metrics"]["discover/asked"] for record in records)


def test_dialogue(tmp_path: Path) -> None:
    """ehr: the prompt is what the conversation began with, and a case is the script that was right."""
    rows = [json.loads(line) for line in (ROOT / "data/ehr/sample/ehr.jsonl").read_text(encoding="utf-8").splitlines()]
    scripts = {row["task"]: row["script"] for row in rows}

    def answer(prompt: str) -> str:
        asked = max(scripts, key=prompt.rfind)  # the cases stand before the question
        return f"```python\n{scripts[asked]}\n```" if len(asked) % 2 else "I do not know."

    with serving(answer) as server:
        options = ("--env", "ehr", "--data", "sample", "--agent", "icrl-plus", "--limit", 6, "--output_dir", tmp_path)
        assert main.main([str(word) for word in (*options, "--llm", "m", "--port", server.port)]) == 0
    config, records = read(run_folder(tmp_path))
    assert [step.prompt for step in rebuild(config, records)] == sent(server)
    assert {record["reward"] for record in records} == {0, 1} and any(record["cases"] for record in records)


def test_what_cannot_be_rebuilt_says_why(tmp_path: Path) -> None:
    stream = lfd_stream(tmp_path, 8)
    assert main.main(argv(None, tmp_path / "out", "--agent", "icrl")) == 0
    assert main.main(argv(None, tmp_path / "gold", "--agent", "ground-truth")) == 0
    config, records = read(run_folder(tmp_path / "out"))
    assert len(rebuild(config, records[:5])) == 5  # an unfinished run

    with pytest.raises(UserError, match="no prompt was sent"):
        gold, answered = read(run_folder(tmp_path / "gold"))
        rebuild(gold, answered)
    with pytest.raises(UserError, match="no agent psychic"):
        rebuild(config | {"options": {"agent": "psychic"}}, records)
    with pytest.raises(UserError, match="step 2 showed case 7"):
        rebuild(config, [records[0], records[1] | {"cases": [{"id": 7, "score": None}]}])
    with pytest.raises(UserError, match="step 3 saw another task"):
        rebuild(config, [*records[:2], records[2] | {"task": "another"}])
    stream.write_text(stream.read_text(encoding="utf-8").replace("Line 1:", "Line one:"), encoding="utf-8")
    with pytest.raises(UserError, match="the rows have changed since the run: .*stream.jsonl"):
        rebuild(config, records)
    stream.unlink()
    with pytest.raises(UserError, match="does not exist"):
        rebuild(config, records)


# -- what was really sent ----------------------------------------------------------------------------------------------


@pytest.fixture
def sent_run(tmp_path: Path) -> tuple[Path, list[str]]:
    """A run whose records keep the hash of what was sent, and the prompts that the server got."""
    lfd_stream(tmp_path, 6)
    with serving() as server:
        assert main.main(argv(server, tmp_path / "out", "--agent", "icrl")) == 0
    folder = run_folder(tmp_path / "out")
    prompts = sent(server)
    _, records = read(folder)
    hashes = [hash_prompt([{"role": "user", "content": prompt}], None) for prompt in prompts]
    lines = [json.dumps(record | {"prompt_sha256": sha256}) for record, sha256 in zip(records, hashes)]
    (folder / "steps.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder, prompts


def edit_template(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lfd_prompt, "CBR_PROMPT", "EDITED " + lfd_prompt.CBR_PROMPT)


def prompts_of(folder: Path) -> list[Rebuilt]:
    (run,) = read_runs(folder)
    shown, reason = shown_prompts(run.source, run.records)
    assert reason == ""
    return shown


def test_a_prompt_is_shown_where_its_hash_proves_it(
    sent_run: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, prompts = sent_run
    assert [(step.prompt, step.note) for step in prompts_of(folder)] == [(prompt, "") for prompt in prompts]
    edit_template(monkeypatch)
    shown = prompts_of(folder)
    assert (shown[0].prompt, shown[0].note) == (prompts[0], ""), "the first has no case, so its template is the old one"
    assert [(step.prompt, step.note) for step in shown[1:]] == [(None, CHANGED)] * 5


def test_an_older_run_says_that_its_prompts_are_not_proven(
    sent_run: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, prompts = sent_run
    config, records = read(folder)
    older = [{key: value for key, value in record.items() if key != "prompt_sha256"} for record in records]
    assert [(step.prompt, step.note) for step in rebuild(config, older)] == [(prompt, UNPROVEN) for prompt in prompts]
    then = {name: getattr(lfd_prompt, name) for name in TEMPLATES}
    assert rebuild(config | {"prompts": then}, older)[1].prompt == prompts[1]
    edit_template(monkeypatch)
    assert {step.prompt for step in rebuild(config | {"prompts": then}, older)} == {None}


def test_logged_requests_are_shown_as_they_were_sent(
    sent_run: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, prompts = sent_run
    lines = [
        {"step": step, "messages": [{"role": "user", "content": text}], "tools": None, "reply": {"text": "x"}}
        for step, prompt in enumerate(prompts, 1)
        for text in ("begun before an outage", prompt, "a second question")
    ]
    (folder / "requests.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"st', "utf-8")
    edit_template(monkeypatch)
    assert [(step.prompt, step.note) for step in prompts_of(folder)] == [(prompt, LOGGED) for prompt in prompts]
    (folder / "requests.jsonl").write_text("[]\n", encoding="utf-8")
    (run,) = read_runs(folder)
    assert "requests.jsonl:1: damaged" in shown_prompts(run.source, run.records)[1]


def test_a_conversation_with_tools_is_shown_with_both(sent_run: tuple[Path, list[str]]) -> None:
    folder, _ = sent_run
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Who?"}]
    tools = [{"type": "function", "function": {"name": "search"}}]
    lines = (folder / "steps.jsonl").read_text(encoding="utf-8").splitlines()
    first = json.loads(lines[0]) | {"prompt_sha256": hash_prompt(messages, tools)}
    (folder / "steps.jsonl").write_text("\n".join([json.dumps(first), *lines[1:]]) + "\n", encoding="utf-8")
    assert prompts_of(folder)[0].prompt is None
    line = json.dumps({"step": 1, "request": {"model": "m", "messages": messages, "tools": tools}, "reply": {}})
    (folder / "requests.jsonl").write_text(line + "\n", encoding="utf-8")
    text = prompts_of(folder)[0].prompt
    assert text.startswith("[system]\nBe brief.\n\n[user]\nWho?\n\n[tools]\n") and '"search"' in text


def test_a_step_that_was_skipped_leaves_no_case(sent_run: tuple[Path, list[str]]) -> None:
    folder, _ = sent_run
    config, records = read(folder)
    skipped = records[0] | {"reward": None, "answer": None, "skipped": "too long"}
    assert rebuild(config, [skipped])[0].kept is None and rebuild(config, records[:1])[0].kept is not None


def test_damaged_options_are_a_reason_and_no_traceback(sent_run: tuple[Path, list[str]]) -> None:
    folder, _ = sent_run
    config, records = read(folder)
    for name, value in (("limit", "x"), ("data", 5), ("env", ["lfd"]), ("temperature", {})):
        with pytest.raises(UserError, match=f"options are damaged \\({name} is"):
            rebuild(config | {"options": config["options"] | {name: value}}, records)
