"""What enters the figures and what does not: skipped steps, cut answers, times; names that share a slug."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from experiments.board import Board
from helpers.planted_runs import plant_run
from report import cli, plots, statistics, summaries, tables
from report.page import write_page
from report.runs import Stream, group, read_runs
from report.single import print_run
from runs import screen
from runs.prices import Prices
from runs.reader import Tally, summarize

ZERO, CASCADE = ("--agent", "zero-shot"), ("--agent", "cbr")
ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m"


def stream_of(root: Path) -> Stream:
    (stream,) = group(read_runs(root))
    return stream


def summary_of(folder: Path, capsys: pytest.CaptureFixture[str]) -> str:
    capsys.readouterr()
    assert cli.main([str(folder)]) == 0
    return capsys.readouterr().out


# -- skipped steps -----------------------------------------------------------------------------------------------------


def test_skipped_steps_enter_no_mean_and_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = plant_run(tmp_path, [1, None, 0, 1, 1, None, 1, None], *CASCADE)
    plant_run(tmp_path, [0, 0, 0, 1, None, 1, 0, 1], *ZERO)
    stream = stream_of(tmp_path)
    zero, cascade = stream.settings
    assert statistics.success_rate(cascade).mean == pytest.approx(4 / 5)
    assert statistics.last_quarter(cascade).mean == 1.0 and statistics.regret(cascade).mean == 1
    against = statistics.difference(cascade, statistics.baseline_of(stream, cascade))
    assert against.interval.mean == pytest.approx((1 + 0 + 0 + 1) / 4)  # of the steps that both answered
    assert against.interval.low <= against.interval.mean <= against.interval.high
    table = tables.stream_table(stream, Prices())
    assert table.shown["skipped"].tolist() == ["1.0", "3.0"] and table.numbers["skipped"].tolist() == [1, 3]
    assert tables.SKIPPED in table.markdown()
    (summary,) = summaries.summarize([stream])
    assert summary.averages == {"zero-shot": statistics.success_rate(zero), "CASCADE": statistics.success_rate(cascade)}
    curve = statistics.running_success_rate(cascade.finished[0].rewards[None])[0]
    assert curve.tolist() == pytest.approx([1, 1, 1 / 2, 2 / 3, 3 / 4, 3 / 4, 4 / 5, 4 / 5])
    assert statistics.cumulative_regret(cascade.finished[0].rewards[None])[0].tolist() == [0, 0, 1, 1, 1, 1, 1, 1]
    assert plots.picture(plots.stream_curves(stream, "m"), "svg")
    write_page(tmp_path / "page.html", [stream], steps="all")
    assert '"skipped":3.0' in (tmp_path / "page.html").read_text(encoding="utf-8")
    text = summary_of(folder, capsys)
    assert "0.800   (4 of 5)" in text and "3 steps, which are in no rate" in text


def test_a_run_of_which_every_step_was_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = plant_run(tmp_path, [None, None], *CASCADE)
    plant_run(tmp_path, [1, 0], *ZERO)
    stream = stream_of(tmp_path)
    line = tables.stream_table(stream, Prices()).shown.iloc[1]
    assert line["success rate"] == line["against zero-shot"] == line["last quarter"] == tables.NOTHING
    assert plots.stream_curves(stream, "m") is not None and plots.bars(summaries.summarize([stream])[0]) is not None
    write_page(tmp_path / "page.html", [stream], steps="all")
    assert "no step was scored" in summary_of(folder, capsys)
    tally = Tally()
    assert tally.summary()["success_rate"] is None and tally.summary()["steps"] == 0


def test_one_view_of_a_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """main.py's lines are those of report.py RUN; it adds what only the report knows."""
    plant_run(tmp_path, [0, 0, 1, 0], *ZERO)
    folder = plant_run(tmp_path, [1, 0, 1, 1], *CASCADE)
    (run,) = (run for run in read_runs(tmp_path) if run.folder == folder)
    screen.print_lines(screen.summary_lines(folder, run.identity, run.data, run.records, 0))
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    assert summary_of(folder, capsys).splitlines()[1 : len(lines) + 1] == lines
    assert any("+50.0 points, last quarter +100.0 (zero-shot 0.250)" in line for line in lines)


# -- cut answers, times ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut, words", [(0, None), (1, "1 of 50 ended"), (2, "WARNING: 2 of 50 ended")])
def test_cut_answers_are_counted_and_warned_of(
    cut: int, words: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    extra = [{"finish_reason": "length" if i < cut else "stop"} for i in range(50)]
    folder = plant_run(tmp_path, [1] * 50, *ZERO, extra=extra)
    text = summary_of(folder, capsys)
    assert (words in text) if words else ("token limit" not in text)
    assert ("--max_new_tokens raises it" in text) == (cut == 2)
    table = tables.stream_table(stream_of(tmp_path), Prices())
    assert table.numbers["cut_answers"].tolist() == [cut]
    assert ("cut" in table.shown) == (cut > 0) == (tables.CUT in table.markdown())


def test_older_runs_do_not_tell_cut_answers_or_the_tasks_time(tmp_path: Path) -> None:
    plant_run(tmp_path, [1, 0], *ZERO)
    (run,) = read_runs(tmp_path)
    assert not {"cut_answers", "env_seconds"} & summarize(run.records).keys()
    assert not {"cut", "task s"} & set(tables.stream_table(stream_of(tmp_path), Prices()).shown)


def test_the_tasks_own_time_stands_beside_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = plant_run(tmp_path, [1, 0], *ZERO, extra=[{"env_seconds": 2.0}] * 2)
    table = tables.stream_table(stream_of(tmp_path), Prices())
    line = table.shown.iloc[0]
    assert (line["LLM s"], line["task s"], line["agent s"], line["s a step"]) == ("1.0", "4.0", "0.5", "2.750")
    assert table.numbers["env_seconds"].tolist() == [4.0]
    assert "5.5 s: LLM 1.0 s, task 4.0 s, agent 250.0 ms a step" in summary_of(folder, capsys)


# -- names -------------------------------------------------------------------------------------------------------------


def test_names_that_differ_in_signs_alone_share_no_file(tmp_path: Path) -> None:
    for llm, rewards in (("gpt-4.1", [1, 1]), ("gpt-4-1", [0, 0]), ("org/Qwen3", [1, 0]), ("org-qwen3", [0, 1])):
        for sha256 in ("a" * 64, "b" * 64):
            plant_run(tmp_path / llm.replace("/", "+"), rewards, *ZERO, "--llm", llm, sha256=sha256)
            plant_run(tmp_path / llm.replace("/", "+"), rewards, *CASCADE, "--llm", llm, sha256=sha256)
    assert cli.main([str(tmp_path)]) == 0
    out = tmp_path / "report"
    text = (out / "report.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) == len(set(links)) and all((out / link).is_file() for link in links)
    shown = dict(re.findall(r"^!\[(Success rate and regret: [^]]+)\]\(([^)]+)\)$", text, re.M))
    assert len(shown) == 8 == len(set(shown.values()))
    for title, link in shown.items():
        words = (out / link).with_suffix(".svg").read_text(encoding="utf-8")
        assert title.removeprefix("Success rate and regret: ") in re.sub(r"</text>\s*<text[^>]*>", " ", words)
    labels = re.findall(r"\\label\{(.*?)\}", "".join(path.read_text("utf-8") for path in out.glob("tables/*.tex")))
    assert len(labels) == len(set(labels))


@pytest.mark.parametrize("llm", [r"a$\frac{$", r"a$\frac{$b^{$", "$x$ $y$", r"\$", "x" * 180])
def test_any_name_can_be_plotted(llm: str, tmp_path: Path) -> None:
    for method in (ZERO, CASCADE):
        plant_run(tmp_path, [1, 0, 1], *method, "--llm", llm)
    assert cli.main([str(tmp_path)]) == 0
    pictures = list((tmp_path / "report" / "plots").glob("*.svg"))
    assert pictures and all(len(path.name) < 200 for path in pictures)
    if len(llm) < 20:
        assert any(llm.replace("&", "&amp;") in path.read_text(encoding="utf-8") for path in pictures)


# -- control characters ------------------------------------------------------------------------------------------------


def test_no_control_sequence_reaches_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    extra = [{"task": f"a{ESCAPES}b", "answer": f"a{ESCAPES}b"}] * 3
    folder = plant_run(tmp_path, [1, 0, 1], "--agent", "cbr", cases=[[], [1], [1]], extra=extra)
    text = summary_of(folder, capsys)
    assert "a\ufffd]0;owned" in text and not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", text)
    screen.say(f"server: {ESCAPES}")
    screen.print_lines([("run", ESCAPES)])
    with Board(1, 0) as board:
        board.say(f"failed: {ESCAPES}")
    printed = "".join(capsys.readouterr())
    assert printed.count("owned") == 3 and not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", printed)


def test_print_run_of_a_run_without_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant_run(tmp_path, [], *ZERO, rows=3)
    (run,) = read_runs(tmp_path)
    print_run(run, Prices())
    assert "UNFINISHED at step 0 of 3" in capsys.readouterr().out
