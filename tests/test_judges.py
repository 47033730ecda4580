"""What a judge is asked is counted: in the summary, the run's cost and the report, and in no figure of the method."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import main
from helpers.fake_server import FakeServer, completion, serving
from helpers.runs import run_folder, run_folders, steps
from report.costs import cost_table, judged
from report.runs import group, read_runs
from runs.prices import Prices, read_prices
from runs.reader import judges_of, summarize

TASK = """
from env.families.judged import JudgedEnv


class Letters(JudgedEnv):
    ZERO_SHOT_PROMPT = "Reply to: {task}"
    CASE_PROMPT = "{task}\\n{answer}"
    CBR_PROMPT = "{case_prompt}\\nReply to: {task}"

    def init_env(self):
        self.dataset = [{"task": f"letter {n}", "label": "an apology"} for n in range(4)]

    def reward_function(self, answer):
        right = self.judged_right(self.row["task"], [self.row["label"]], answer)
        return int(right and self.ask_judge("Grade it").strip() == "4")
"""
PRICES = "currency: EUR\nm: {input: 1, output: 2}\njudge: {input: 100, output: 1000}\n"
CALL = completion()["usage"]  # what the server says of each answer


def reply(prompt: str) -> str:
    return "4" if prompt.startswith("Grade") else "right" if "an apology" in prompt else "We are sorry."


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeServer]:
    (tmp_path / "letters.py").write_text(TASK)
    (tmp_path / "prices.yaml").write_text(PRICES)
    with serving(reply) as server:
        server.models["data"] = [{"id": name, "object": "model"} for name in ("m", "judge", "other")]
        yield server


def words(server: FakeServer, folder: Path, *more: object) -> list[str]:
    where = ("--llm", "m", "--port", server.port, "--output_dir", folder / "out")
    return [str(word) for word in ("--env", f"{folder / 'letters.py'}:Letters", "--agent", "zero-shot", *where, *more)]


def test_a_judge_is_in_the_summary_the_cost_and_the_report(
    server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paid = ("--judge_llm", "judge", "--prices", tmp_path / "prices.yaml")
    assert main.main(words(server, tmp_path, *paid)) == 0
    folder, out = run_folder(tmp_path / "out"), capsys.readouterr().out
    summary = json.loads((folder / "summary.json").read_text())
    tokens = {kind: 8 * CALL[kind] for kind in CALL}  # two questions to it in each of four steps
    assert summary["judges"] == {"judge": {"calls": 8, **tokens, **{f"cached_{kind}": 0 for kind in CALL}}}
    assert summary["calls"] == 4 and summary["prompt_tokens"] == 4 * CALL["prompt_tokens"]
    assert f"judge: 8 calls, {tokens['prompt_tokens']} prompt, {tokens['completion_tokens']} completion" in out
    own = 4 * (CALL["prompt_tokens"] + 2 * CALL["completion_tokens"]) / 1e6
    whole = own + (100 * tokens["prompt_tokens"] + 1000 * tokens["completion_tokens"]) / 1e6
    assert summary["cost"] == pytest.approx(whole) and summary["currency"] == "EUR"

    (stream,) = group(read_runs(tmp_path / "out"))
    (setting,) = stream.settings
    assert judged(setting.finished) == (2, 2 * CALL["prompt_tokens"], 2 * CALL["completion_tokens"])
    prices = read_prices(tmp_path / "prices.yaml")
    table = cost_table(stream, prices)
    assert table is not None and isinstance(table.shown, pd.DataFrame)
    assert list(table.shown["judge calls"]) == ["2.00"] and "scores the method" in table.markdown()
    assert table.numbers["money_per_step"][0] == pytest.approx(own / 4)  # the method's own
    assert prices.cost(summary, "m") == pytest.approx(whole) and prices.cost(summary, "m", cached=True) < whole


def test_a_judge_is_paid_from_the_budget_and_needs_a_price(
    server: FakeServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = (2 * (100 * CALL["prompt_tokens"] + 1000 * CALL["completion_tokens"])) / 1e6
    paid = ("--judge_llm", "judge", "--prices", tmp_path / "prices.yaml")
    assert main.main(words(server, tmp_path, *paid, "--max_cost", 1.5 * one)) == 1
    assert "stopped before step 3" in capsys.readouterr().err
    assert main.main(words(server, tmp_path, "--judge_llm", "other", *paid[2:])) == 2
    assert "no price of other" in capsys.readouterr().err
    asked = len(server.chats)
    assert asked == 2 * 3
    assert main.main(words(server, tmp_path, *paid)) == 0 and len(server.chats) == 4 * 3


def test_answers_from_the_cache_cost_nothing_of_a_judge_either(server: FakeServer, tmp_path: Path) -> None:
    paid = ("--judge_llm", "judge", "--prices", tmp_path / "prices.yaml", "--cache", tmp_path / "cache.sqlite")
    assert main.main(words(server, tmp_path, *paid)) == 0
    assert main.main(words(server, tmp_path, *paid, "--overwrite")) == 0
    summary = json.loads((run_folder(tmp_path / "out") / "summary.json").read_text())
    judge = summary["judges"]["judge"]
    assert judge["cached_prompt_tokens"] == judge["prompt_tokens"] == 8 * CALL["prompt_tokens"]
    assert summary["cost"] == 0 and len(server.chats) == 4 * 2 + 1  # the second prompt is the same in each step


def test_two_judges_have_two_folders(server: FakeServer, tmp_path: Path) -> None:
    for judge in ("judge", "other"):
        assert main.main(words(server, tmp_path, "--judge_llm", judge)) == 0
    folders = run_folders(tmp_path / "out")
    judges = [{turn["judge"] for step in steps(folder) for turn in step["turns"]} for folder in folders]
    assert sorted(map(str, judges)) == ["{'judge'}", "{'other'}"]


@pytest.mark.parametrize("turn, expected", [
    ({"judge": "a", "usage": {"prompt_tokens": 3, "completion_tokens": 1}}, 1),  # as versions before have it
    ({"judge": "a", "usage": {"prompt_tokens": 3, "completion_tokens": 1}, "calls": "2"}, 1),
    ({"judge": "a", "usage": {"prompt_tokens": "3"}}, None), ({"judge": 4, "usage": {}}, None), ({"told": "a"}, None),
])  # fmt: skip
def test_what_a_log_says_of_a_judge_is_read_with_care(turn: dict[str, Any], expected: int | None) -> None:
    found = judges_of({"turns": [turn, {"action": "look"}]})
    assert (found["a"]["calls"] if expected else found) == (expected or {})
    assert judges_of({}) == judges_of({"turns": None}) == {} and "judges" not in summarize([])
    assert Prices({"m": (1.0, 1.0)}).cost({"prompt_tokens": 1_000_000, "completion_tokens": 0}, "m") == 1
