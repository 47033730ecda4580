"""`--on_refused skip`: one prompt that is refused, or one judge without a verdict, does not block a run for good."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import main
from env.tools.search.client import OwnService
from helpers.fake_server import FakeServer, choose_option, serving
from helpers.runs import lfd_stream, run_folder, steps

SIZE = 12
REFUSED = (4, 9)  # the steps whose prompts are too long
SAMPLE = Path(__file__).resolve().parent.parent / "data" / "2wiki" / "sample"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeServer]:
    """It refuses two prompts by what they ask, and calls about every second answer right."""
    lfd_stream(tmp_path, SIZE)
    rows = [json.loads(line) for line in (tmp_path / "stream.jsonl").read_text().splitlines()]

    def answer(prompt: str) -> str:
        row = asked(prompt)
        return f"\\boxed{{{row['label']}}}" if rows.index(row) % 2 else choose_option(prompt)

    def asked(prompt: str) -> dict[str, Any]:
        """The row that a prompt asks for: of all that it shows, the one it ends with."""
        return max(rows, key=lambda row: prompt.rfind(row["task"]))

    def fault(number: int) -> Any:
        step = 1 + rows.index(asked(server.chats[number]["messages"][-1]["content"]))
        return (400, "maximum context length is 9 tokens") if step in REFUSED else None

    with serving(answer) as server:
        server.fault = fault
        yield server


def argv(tmp_path: Path, server: FakeServer, folder: str, *more: object) -> list[str]:
    words = ("--env", "lfd", "--data", tmp_path / "stream.jsonl", "--output_dir", tmp_path / folder, "--llm", "m")
    return [str(word) for word in (*words, "--port", server.port, "--max_retries", 0, *more)]


def test_a_refused_prompt_stops_the_run_by_default(
    server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert main.main(argv(tmp_path, server, "run", "--agent", "icrl")) == 1
        line = capsys.readouterr().err.splitlines()[-1]
        assert "It would be so again: --on_refused skip leaves step 4 out, unscored, and goes on" in line
    assert len(steps(run_folder(tmp_path / "run"))) == 3
    assert main.main(argv(tmp_path, server, "run", "--agent", "icrl", "--on_refused", "skip")) == 0  # the same run
    assert len(steps(run_folder(tmp_path / "run"))) == SIZE


AGENTS = {
    "icrl": (),
    "cbr": ("--bandit", "LinLogUCB"),
    "cbrdiscover": ("--bandit", "LinLogUCB", "--budget_ratio", 0.4, "--skip_steps", 1, "--discover_strategy", "random"),
}


@pytest.mark.parametrize("agent", AGENTS)
def test_a_skipped_step_is_logged_and_teaches_nobody(
    agent: str, server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--agent", agent, *AGENTS[agent], "--on_refused", "skip")
    assert main.main(argv(tmp_path, server, "run", *more)) == 0
    folder = run_folder(tmp_path / "run")
    records = steps(folder)
    skipped = [record for record in records if record["step"] in REFUSED]
    assert [record["reward"] for record in skipped] == [None, None]
    assert all("where the prompt is too long" in record["skipped"] for record in skipped)
    assert all(record["answer"] is None and record["output"] == "" for record in skipped)
    scored = [record["reward"] for record in records if record not in skipped]
    assert set(scored) == {0, 1} and not any("skipped" in record for record in records if record not in skipped)
    assert not {case["id"] for record in records for case in record["cases"]} & set(REFUSED)
    summary = json.loads((folder / "summary.json").read_text())
    assert (summary["steps"], summary["skipped_steps"]) == (SIZE, 2)
    assert summary["success_rate"] == sum(scored) / len(scored) == records[-1]["success_rate"]
    assert summary["regret"] == records[-1]["regret"] == len(scored) - sum(scored)
    assert "2 steps, which are in no rate" in capsys.readouterr().out
    if agent == "cbrdiscover":
        asked = [record for record in records if record["metrics"]["discover/asked"] and record not in skipped]
        assert records[-1]["metrics"]["NumDiscovery"] == len(asked) > 0


@pytest.mark.parametrize("agent", AGENTS)
def test_a_run_with_skipped_steps_continues_equal(agent: str, server: FakeServer, tmp_path: Path) -> None:
    more = ("--agent", agent, *AGENTS[agent], "--on_refused", "skip")
    assert main.main(argv(tmp_path, server, "whole", *more)) == 0
    refuse = server.fault
    for seconds in (0, 600):
        first = len(server.chats)
        server.fault = lambda number, first=first: "503" if number == first + 10 else refuse(number)
        broken = argv(tmp_path, server, f"broken-{seconds}", *more, "--checkpoint_seconds", seconds)
        assert main.main(broken) == 1  # an outage is never skipped
        assert len(steps(run_folder(tmp_path / f"broken-{seconds}"))) == 10
        assert main.main(broken) == 0
        assert steps(run_folder(tmp_path / f"broken-{seconds}")) == steps(run_folder(tmp_path / "whole"))


def test_a_judge_without_a_verdict_skips_its_step(tmp_path: Path) -> None:
    """The answer is there, and what it is worth nobody knows."""
    service = OwnService(SAMPLE / "corpus.jsonl", "bm25")
    hopeless = json.loads((SAMPLE / "2wiki.jsonl").read_text().splitlines()[1])["task"]
    words = ("--env", "2wiki", "--data", "sample", "--agent", "cbr", "--limit", 3, "--max_retries", 0)
    try:
        with serving(lambda prompt: "hm" if verdict["none"] else "right") as judge:
            verdict = {"none": False}
            judge.fault = lambda number: verdict.update(none=hopeless in judge.chats[number]["messages"][0]["content"])
            where = ("--retrieval_url", service.url, "--judge_llm", "m", "--judge_port", judge.port)
            arguments = [str(word) for word in (*words, *where, "--output_dir", tmp_path)]
            assert main.main(arguments) == 1
            assert main.main([*arguments, "--on_refused", "skip"]) == 0
    finally:
        service.close()
    records = steps(run_folder(tmp_path))
    assert [record["reward"] for record in records] == [1, None, 1]
    assert "gave no verdict in 3 tries: it said 'hm'" in records[1]["skipped"]
    assert records[1]["output"] and records[1]["answer"] is None
