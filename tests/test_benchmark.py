"""scripts/benchmark.py: each command prints its table, whatever the figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from scripts import benchmark
from scripts.benchmarks import growth, loop, policies, versus
from scripts.benchmarks.serving import serving
from scripts.benchmarks.solutions import Solution, row


def table(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[list[str]]:
    """The cells of the rows that a command prints."""
    assert benchmark.main(list(arguments)) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_policies(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(policies, "measure_help", lambda: (0.2, 0.1))  # starts Python ten times
    (_, cells) = table(capsys, "policies", "--policies", "Random", "--data", "sample", "--steps", "20")
    assert cells[0] == "Random" and all(float(cell) > 0 for cell in cells[1:])


def test_all_plays_each_with_its_defaults(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    played = {}
    for name in benchmark.ALL:
        monkeypatch.setattr(getattr(benchmark, name), "report", lambda given, name=name: played.update({name: given}))
    assert benchmark.main(["all"]) == 0
    assert tuple(played) == benchmark.ALL and played["policies"].steps == 1000 and played["growth"].limits[0] == 0
    assert played["gpu"].tiny is not torch.cuda.is_available()
    assert capsys.readouterr().out.count("## ") == len(benchmark.ALL)


def test_a_naive_policy_chooses_the_same(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Two processes; 40 steps are one training step."""
    monkeypatch.chdir(tmp_path)
    more = ("--against", "naive", "--rankers", "tiny-modernbert", "--data", "sample", "--steps", "40")
    more += ("--answer_seconds", "0.02")
    (head, cells) = table(capsys, "policies", *more)
    figures = dict(zip(head, cells))
    assert figures["ranker"] == "tiny-modernbert" and figures["same arms"] == "40 of 40"
    assert float(figures["CPU ratio"]) > 0 and 1 <= float(figures["over its passes"])
    assert float(figures["ratio outside"]) > 0
    (kept,) = json.loads((tmp_path / "results/benchmarks/policies-against-naive.json").read_text())["figures"]
    assert kept["pairs_trained_a_step"] * 24 == 32, "the steps after the 16th"


def test_agreement_of_choices() -> None:
    assert versus.agreement([[1], [2], [3]], [[1], [2], [3]]) == (3, None)
    assert versus.agreement([[1], [2], [3]], [[1], [4], [3]]) == (2, 2)


def test_growth(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Played:
        """Stands for a process: a step costs a text for each step before it, or at most 100."""

        def __init__(self, checkout: Path, options: dict[str, Any], steps: int, passes: bool) -> None:
            assert options["precision"] == "bfloat16"
            self._done, self._limit = 0, options["history_limit"]

        def play(self, count: int) -> dict[str, Any]:
            texts = sum(min(number, self._limit or number) for number in range(self._done, self._done + count))
            self._done += count
            return {"cpu": texts / 1000, "texts": texts, "cases": []}

        def close(self) -> None:
            pass

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(growth, "Contestant", Played)
    (_, every, limited) = table(capsys, "growth", "--steps", "1600", "--limits", "0", "100", "--precision", "bfloat16")
    assert every[0] == "all" and float(every[3]) == pytest.approx(1520 / 400, rel=0.05)
    assert limited == ["100", "100.0", "100.0", "1.00", "100.0", "100.0"]


def test_loop(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(loop, "measure_start", lambda *more: {"--help": 0.2, "cbr, embedded": 4.0})
    monkeypatch.setattr(loop, "measure_side_by_side", lambda *more: {"one after the other": 8.0, "at once": 6.0})
    figures = {"zero-shot": (10.0, 9.0), "sync": (16.0, 13.5), "overlap": (10.4, 9.18)}
    seconds = {name: {"seconds": whole, "after the first step": rest} for name, (whole, rest) in figures.items()}
    monkeypatch.setattr(loop, "measure_overlap", lambda *more: seconds)
    rows = {cells[0]: cells[1:] for cells in table(capsys, "loop")}
    assert rows["sync"] == ["16.0", "1.600", "13.5", "1.500"] and rows["overlap"] == ["10.4", "1.040", "9.2", "1.020"]
    assert rows["at once"] == ["6.0", "0.75"]
    assert json.loads((tmp_path / "results/benchmarks/loop.json").read_text())["figures"]["overlap"] == seconds


def test_runs_of_the_loop_are_played_and_timed(tmp_path: Path) -> None:
    answers = loop.write_answers(tmp_path / "answers.json", "sample")
    with serving("--seconds", 0.01, "--answers", answers) as server:
        runs = loop.Runs(tmp_path, "sample", 12)
        first, whole, rate = runs.timed("--agent", "icrl", *loop.at(server))
    assert 0 < first <= whole and 0.3 < rate < 0.9


def test_envs(capsys: pytest.CaptureFixture[str]) -> None:
    (head, cells) = table(capsys, "envs", "--envs", "ehr", "--steps", "3")
    figures = dict(zip(head, cells))
    assert figures["task"] == "ehr" and figures["steps"] == figures["won"] == "3"
    assert float(figures["turns a second"]) > 0 and 0 < int(figures["share"].removesuffix("%")) <= 100


def test_bank(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    arguments = (
        "bank",
        "--cases",
        "600",
        "900",
        "--queries",
        "6",
        "--clusters",
        "20",
        "--json",
        tmp_path / "bank.json",
    )
    head, *rows = table(capsys, *map(str, arguments))
    written = json.loads((tmp_path / "bank.json").read_text())
    assert [size["cases"] for size in written["sizes"]] == [600, 900] and list(written["meaning"]) == head
    for cells in rows:
        figures = dict(zip(head, cells))
        assert figures["recall"] == "1.0" and all(
            float(figures[name]) > 0 for name in ("search_ms", "brute_ms", "load_s")
        )


def test_concurrency_in_tiny_sizes(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (head, *rows) = table(capsys, "concurrency", "--tiny", "--json", str(tmp_path / "figures.json"))
    figures = [dict(zip(head, cells)) for cells in rows]
    assert [row["most at the server"] for row in figures[:2]] == ["1", "8"]
    assert all(row["in order"] == "yes" and float(row["ratio"]) >= 1 for row in figures)
    assert int(figures[4]["most at the server"]) > int(figures[3]["most at the server"]) == 4
    written = json.loads((tmp_path / "figures.json").read_text())
    assert [row["answered"] for row in written["flight"]] == [2, 40, 40, 8, 40]


def test_solutions_fit_or_not() -> None:
    def solutions(*turns: int | None) -> list[Solution]:
        return [Solution([], number) for number in turns]

    assert row("grow-plant", solutions(29, 32)) == "| grow-plant | 30 | 29, 32 | 1 of 2 |"
    assert row("find-plant", solutions(15, 1)).endswith("| 15, 1 | yes |")
    assert row("find-plant", solutions(16, None)).endswith("| 16, never | no |")


def test_policies_are_measured_where_no_command_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(policies, "report", asked.append)
    assert benchmark.main([]) == 0
    assert asked[0].policies and asked[0].steps == 1000


def test_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        benchmark.main(["polices"])
    assert stop.value.code == 2 and "envs" in capsys.readouterr().err


def test_gpu_in_tiny_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    (_, *generation, _, policy) = table(capsys, "gpu", "--tiny", "--device", "cpu")
    assert [size for size, _, _ in generation] == ["1", "8", "32"] and all(float(cells[1]) > 0 for cells in generation)
    assert policy[0] == "32" and float(policy[2]) > 0


def test_gpu_without_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert benchmark.main(["gpu", "--device", "cpu"]) == 2
    assert "--tiny" in capsys.readouterr().err
