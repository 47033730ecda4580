"""The prompts of a run, rebuilt from its log, are those that the LLM was sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

import main
from errors import UserError
from helpers.fake_server import FakeServer, serving
from helpers.runs import argv, lfd_stream, run_folder
from report.prompts import rebuild

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
    kept = {step.kept["id"]: step.kept for step in rebuilt if step.kept}
    shown = {case["id"] for record in records for case in record["cases"]}
    assert shown <= kept.keys() and bool(shown) == (agent != "zero-shot")
    if agent == "cbrgt":
        assert len(kept) == 15
        assert any(kept[record["step"]]["answer"] != record["answer"] for record in records)
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
