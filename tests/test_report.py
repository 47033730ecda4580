"""The report: intervals against known answers, what is averaged with what, what every table and plot says."""

from __future__ import annotations

import csv
import functools
import hashlib
import itertools
import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

import main
from command_line import config_of
from helpers.planted_runs import plant_run
from report import cli, naming, plots, prompts, references, statistics, summaries, tables
from report.experiments import find_figure
from report.runs import CURVES, Setting, Stream, group, read_runs, select
from runs import intervals
from runs.prices import Prices

if TYPE_CHECKING:
    from memory.encoders import TextEncoder

ZERO, CASCADE, NP_CBR = ("--agent", "zero-shot"), ("--agent", "cbr"), ("--agent", "cbr", "--bandit", "Pretrained")


def streams_of(root: Path) -> list[Stream]:
    return group(read_runs(root))


def the_setting(root: Path) -> Setting:
    (stream,) = streams_of(root)
    (setting,) = stream.settings
    return setting


# -- statistics ------------------------------------------------------------------------------------------------------


def test_t_interval_by_hand() -> None:
    interval = statistics.t_interval(np.array([0.6, 0.7, 0.8]))
    half = 4.302652729911275 * 0.1 / np.sqrt(3)  # t(0.975, 2 degrees of freedom) from a table
    assert interval.mean == pytest.approx(0.7)
    assert (interval.low, interval.high) == pytest.approx((0.7 - half, 0.7 + half))
    assert interval.half_width == pytest.approx(half)
    alone = statistics.t_interval(np.array([0.6]))
    assert alone.mean == 0.6 and np.isnan(alone.low) and np.isnan(alone.high)
    assert np.isnan(statistics.t_interval(np.array([])).mean)


def in_order(differences: Any) -> statistics.Paired:
    """Seeds that answered the same rows in the same order."""
    differences = np.array(differences)
    return statistics.Paired(differences, np.broadcast_to(np.arange(differences.shape[1]), differences.shape))


def test_bootstrap_is_the_normal_interval_on_long_streams() -> None:
    differences = np.random.default_rng(1).choice([-1, 0, 1], p=[0.1, 0.6, 0.3], size=(5, 3000))
    interval = statistics.paired_bootstrap(in_order(differences))
    deviation = differences.mean(axis=0).std() / np.sqrt(3000)  # of the rows' means over the seeds
    assert interval.mean == pytest.approx(differences.mean())
    assert interval.low == pytest.approx(interval.mean - 1.959964 * deviation, abs=0.04 * deviation)
    assert interval.high == pytest.approx(interval.mean + 1.959964 * deviation, abs=0.04 * deviation)
    assert interval == statistics.paired_bootstrap(in_order(differences))


ROWS = [
    ([[1, 0, -1, 1]], [[0, 1, 2, 3]]),
    ([[1, 0, 0], [-1, 1, 1]], [[0, 1, 2], [2, 0, 1]]),
    ([[1, 0], [-1, 1]], [[0, 1], [1, 2]]),  # the first steps of another order: not all rows are in all seeds
    ([[1, 0, 0, 1]], [[7, 7, 8, 9]]),  # a row that comes twice
]


@pytest.mark.parametrize("differences, rows", ROWS)
def test_bootstrap_is_the_exact_enumeration_on_tiny_streams(differences: list, rows: list) -> None:
    answers = [
        [d for one, at in zip(differences, rows) for d, here in zip(one, at) if here == row]
        for row in sorted({row for at in rows for row in at})
    ]
    values = [np.mean(sum(draw, [])) for draw in itertools.product(answers, repeat=len(answers))]
    for level in (0.5, 0.8, 0.95):
        interval = statistics.paired_bootstrap(statistics.Paired(np.array(differences), np.array(rows)), level=level)
        exact = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
        assert interval.mean == pytest.approx(np.mean(differences))
        assert (interval.low, interval.high) == pytest.approx(tuple(exact))


def test_macro_bootstrap_is_the_exact_enumeration() -> None:
    tasks = [np.array([[1, 0, -1]]), np.array([[1, 0, 1]])]
    means = [[np.mean(draw) for draw in itertools.product(task[0], repeat=3)] for task in tasks]
    values = [(a + b) / 2 for a, b in itertools.product(*means)]
    for level in (0.5, 0.9):
        interval = intervals.macro_bootstrap([in_order(task) for task in tasks], level=level)
        exact = np.quantile(values, [(1 - level) / 2, (1 + level) / 2], method="inverted_cdf")
        assert (interval.low, interval.high) == pytest.approx(tuple(exact))
    assert interval.mean == pytest.approx((0 + 2 / 3) / 2)
    assert np.isnan(intervals.macro_bootstrap([in_order(tasks[0]), in_order(np.empty((0, 3)))]).mean)


def test_seeds_are_not_more_queries() -> None:
    """Seeds that all did the same are one seed, and the order in which they answered the rows changes nothing."""
    one = np.random.default_rng(2).choice([-1, 0, 1], size=(1, 400))
    alone = statistics.paired_bootstrap(in_order(one))
    assert statistics.paired_bootstrap(in_order(np.repeat(one, 5, axis=0))) == alone
    orders = np.array([np.random.default_rng(seed).permutation(400) for seed in range(5)])
    assert statistics.paired_bootstrap(statistics.Paired(one[0][orders], orders)) == alone


def test_curves_and_bands() -> None:
    rewards = np.array([[1, 0, 1, 1], [0, 0, 1, 1]])
    assert statistics.running_success_rate(rewards)[0].tolist() == [1, 1 / 2, 2 / 3, 3 / 4]
    assert statistics.cumulative_regret(rewards).tolist() == [[0, 1, 1, 1], [1, 2, 2, 2]]
    mean, low, high = statistics.band(statistics.cumulative_regret(rewards))
    assert mean.tolist() == [0.5, 1.5, 1.5, 1.5]
    assert high[0] - mean[0] == pytest.approx(12.706204736 * np.std([0, 1], ddof=1) / np.sqrt(2))
    assert (mean - low).tolist() == pytest.approx((high - mean).tolist())
    curve = np.array([np.nan, 2.0, 4.0, np.nan, 6.0])
    assert statistics.smoothed(curve, 2).tolist() == pytest.approx([np.nan, 2, 3, 4, 6], nan_ok=True)


def test_macro_average_is_over_the_tasks_that_all_methods_have(tmp_path: Path) -> None:
    for seed in (0, 1):
        plant_run(tmp_path, [0, 0, 1, 0], *ZERO, "--seed", seed, env="lfd")
        plant_run(tmp_path, [1, seed, 1, 1], *CASCADE, "--seed", seed, env="lfd")
        plant_run(tmp_path, [0, 0], *ZERO, "--seed", seed, env="rca")
        plant_run(tmp_path, [1, 0], *CASCADE, "--seed", seed, env="rca")
        plant_run(tmp_path, [1, 1], *ZERO, "--seed", seed, env="mud")
    plant_run(tmp_path, [1], *CASCADE, env="mud", rows=2)
    (summary,) = summaries.summarize(streams_of(tmp_path))
    assert summary.common == ["lfd", "rca"]
    zero, cascade = summary.averages["zero-shot"], summary.averages["CASCADE"]
    assert (zero.mean, zero.low, zero.high) == (0.125, 0.125, 0.125)
    assert cascade.mean == pytest.approx((0.875 + 0.5) / 2)
    by_seed = [(0.75 + 0.5) / 2, (1 + 0.5) / 2]
    assert cascade.half_width == pytest.approx(12.706204736 * np.std(by_seed, ddof=1) / np.sqrt(2))
    gain = summary.gains["CASCADE"]
    assert gain.seeds == 2 and gain.interval.mean == pytest.approx(cascade.mean - zero.mean)
    text = summaries.summary_table(summary).markdown()
    assert "over 2 of 3 tasks, those that all its methods have finished (lfd, rca)" in text
    assert re.search(r"\| macro average \| 12.5 ± 0.0 \| 68.8 ± [\d.]+ \|", text)
    assert re.search(r"\| against zero-shot \| – \| \+56.2 \[", text)
    plant_run(tmp_path, [0, 0], *CASCADE, "--seed", 2, env="rca")  # a seed that the other task lacks
    (summary,) = summaries.summarize(streams_of(tmp_path))
    assert np.isnan(summary.averages["CASCADE"].low)
    assert summary.averages["CASCADE"].mean == pytest.approx((0.875 + 1 / 3) / 2)
    assert summary.gains["CASCADE"].interval == gain.interval


# -- what is compared with what --------------------------------------------------------------------------------------


def test_settings_and_their_figures(tmp_path: Path) -> None:
    for seed, rewards in enumerate(([1, 1, 0, 1, 1, 1, 1, 1], [0, 1, 0, 1, 1, 1, 0, 1])):
        plant_run(tmp_path, rewards, *CASCADE, "--seed", seed)
        plant_run(tmp_path, [0, 1, 0, 1, 0, 1, 0, 1], *ZERO, "--seed", seed)
    (stream,) = streams_of(tmp_path)
    assert [setting.method for setting in stream.settings] == ["zero-shot", "CASCADE"]
    cascade = stream.settings[1]
    assert [run.seed for run in cascade.finished] == [0, 1] and cascade.seeds == "2"
    assert statistics.success_rate(cascade).mean == pytest.approx((7 / 8 + 5 / 8) / 2)
    assert statistics.last_quarter(cascade).mean == pytest.approx(0.75)
    assert statistics.regret(cascade).mean == 2
    found = statistics.difference(cascade, statistics.baseline_of(stream, cascade))
    assert found.seeds == 2 and found.interval.mean == pytest.approx((3 + 1) / 16)
    table = tables.stream_table(stream, Prices({"m": (2.0, 10.0)}))
    line = table.shown.iloc[1]
    assert line["against zero-shot"].startswith("+25.0 [")
    assert (line["prompt tokens"], line["cost"], line["s a step"]) == ("800", "0.0024", "0.750")
    assert table.numbers["cost"].tolist() == pytest.approx([(800 * 2 + 80 * 10) / 1e6] * 2)
    assert "cost" not in tables.stream_table(stream, Prices()).shown


def test_only_runs_of_the_same_rows_are_paired(tmp_path: Path) -> None:
    for seed in (0, 1):
        plant_run(tmp_path, [1, 1, 0], *CASCADE, "--seed", seed)
        folder = plant_run(tmp_path, [1, 0, 0], *ZERO, "--seed", seed)
    (stream,) = streams_of(tmp_path)
    assert statistics.difference(*reversed(stream.settings)).seeds == 2
    steps = folder / "steps.jsonl"
    steps.write_text(steps.read_text(encoding="utf-8").replace("task 2", "task 9"), encoding="utf-8")
    (stream,) = streams_of(tmp_path)
    found = statistics.difference(*reversed(stream.settings))
    assert found.seeds == 1 and found.interval.mean == pytest.approx(1 / 3)
    assert "1 of 2 seeds" in tables.stream_table(stream, Prices()).markdown()


def test_mixed_data_is_never_averaged(tmp_path: Path) -> None:
    for sha256, origin, reward in (("a" * 64, "official", 1), ("b" * 64, "official", 0), ("c" * 64, "sample", 0)):
        plant_run(tmp_path, [reward] * 4, *ZERO, origin=origin, sha256=sha256)
    plant_run(tmp_path, [0] * 4, *ZERO, "--shuffle", sha256="a" * 64)
    streams = streams_of(tmp_path)
    assert len(streams) == 4 == len({stream.title for stream in streams})
    assert all(len(setting.runs) == 1 for stream in streams for setting in stream.settings)
    assert sum(stream.is_sample for stream in streams) == 1
    assert [s.title for s in streams if "SAMPLE" in s.title] == [s.title for s in streams if s.is_sample]
    found = summaries.summarize(streams)
    assert sorted(len(summary.streams) for summary in found) == [1, 1, 2]
    versions = next(summary for summary in found if len(summary.streams) == 2)
    assert versions.once == [] and len(versions.tasks) == 2
    text = summaries.summary_table(versions).markdown()
    assert "Not averaged" in text and "| macro average |" not in text and "aaaaaaaa" in text and "bbbbbbbb" in text


def test_unfinished_runs_are_marked_and_in_no_average(tmp_path: Path) -> None:
    plant_run(tmp_path, [1, 1, 1, 1], *CASCADE)
    folder = plant_run(tmp_path, [0, 0], *CASCADE, "--seed", 1, rows=4)
    with (folder / "steps.jsonl").open("ab") as steps:
        steps.write('{"step": 3, "task": "é'.encode()[:-1])
    plant_run(tmp_path, [], *CASCADE, "--seed", 2, rows=4)
    setting = the_setting(tmp_path)
    assert setting.seeds == "1 of 3, 2 unfinished at step 2 of 4, 0 of 4"
    assert statistics.success_rate(setting).mean == 1
    assert len(setting.unfinished[0].records) == 2
    (stream,) = streams_of(tmp_path)
    table = tables.stream_table(stream, Prices())
    assert table.shown.iloc[0]["seeds"] == setting.seeds and "2 unfinished runs" in table.markdown()
    assert table.numbers.iloc[0][["seeds", "unfinished"]].tolist() == [1, 2]
    svg = plots.picture(plots.stream_curves(stream, "m"), "svg").decode()
    assert "unfinished runs, in no mean" in svg
    summary = summaries.summary_table(summaries.summarize([stream])[0]).markdown()
    assert "2 unfinished runs" in summary and "| lfd | 100.0 (1 of 3 seeds) |" in summary


def test_a_setting_without_a_finished_run_has_no_figures(tmp_path: Path) -> None:
    plant_run(tmp_path, [0, 1], *ZERO, rows=4)
    (stream,) = streams_of(tmp_path)
    line = tables.stream_table(stream, Prices()).shown.iloc[0]
    assert line["success rate"] == line["regret"] == line["prompt tokens"] == tables.NOTHING
    assert "zero-shot (unfinished)" in plots.picture(plots.stream_curves(stream, "m"), "svg").decode()
    assert plots.bars(summaries.summarize([stream])[0]) is None


def test_methods_are_called_as_the_paper_does() -> None:
    cascade = {"env": "lfd", "agent": "cbr", "bandit": "NeuralLinLogUCB", "llm": "m", "comk": 1, "exploration": 0.1}
    tuned = cascade | {"exploration": 0.3}
    names = naming.tell_apart([cascade, tuned, cascade | {"comk": 2}, cascade | {"comk": 3}, tuned | {"llm": "n"}])
    assert names == ["CASCADE", "CASCADE nu=0.3", "CASCADE k=2", "CASCADE comk=3", "CASCADE"]
    others = [{"agent": "reinforce", "r": 8}, {"agent": "cbr", "bandit": "Pretrained"}, {"agent": "later", "beta": 1}]
    assert [naming.method_name(identity) for identity in others] == ["REINFORCE+LoRA", "NP-CBR", "later"]
    rates = [cascade | {"learning_rate": rate} for rate in (2e-5, 1e-5)]
    assert naming.tell_apart(rates) == ["CASCADE", "CASCADE learning_rate=1e-05"]
    rates = [{"agent": "reinforce", "llm": "m", "learning_rate": rate} for rate in (2e-5, 1e-4)]
    assert naming.tell_apart(rates) == ["REINFORCE+LoRA learning_rate=2e-05", "REINFORCE+LoRA"]
    later = naming.tell_apart([{"agent": "later", "llm": "m", "beta": beta} for beta in (1, 2)])
    assert later == ["later beta=1", "later beta=2"]


def test_what_has_to_be_said_of_the_figures(tmp_path: Path) -> None:
    def text_of(*runs: tuple[object, ...], **more: Any) -> str:
        root = tmp_path / str(len(list(tmp_path.iterdir())))
        for run in runs:
            plant_run(root, [1, 0], *run, **more)
        (stream,) = streams_of(root)
        return tables.stream_table(stream, Prices()).markdown()

    seeds = [(*ZERO, "--seed", 0), (*ZERO, "--seed", 1)]
    assert "differ in chance alone" in text_of(*seeds) and "differ in chance" not in text_of(ZERO)
    assert "differ in the order of the stream" in text_of(*[(*run, "--shuffle") for run in seeds])
    assert "made from the original release" in text_of(ZERO, origin="converted")
    assert "user's own" in text_of(ZERO, origin="user") and "SAMPLE" in text_of(ZERO, origin="sample")
    tuned = (*CASCADE, "--llm", "qwen3-8b", "--nu", 0.5)
    assert tables.TUNED in text_of(tuned) and tables.TUNED not in text_of((*tuned, "--nu", 0.4))
    assert tables.TUNED not in text_of((*tuned, "--bandit", "LinLogUCB"))
    assert "retains the ground truth" in text_of(("--agent", "cbrgt"))
    asked = text_of(("--agent", "cbrdiscover"), ZERO, metrics=[{}, {"NumDiscovery": 9, "DiscoverSuccessRate": 0.25}])
    assert "counts as a success" in asked and "| 9 (25 %) |" in asked and "| asked |" not in text_of(ZERO)


def test_the_settings_of_a_sweep_are_compared(tmp_path: Path) -> None:
    for nu, rewards in ((0.1, [1, 0]), (0.2, [1, 1]), (0.4, [0, 0])):
        plant_run(tmp_path, rewards, *CASCADE, "--nu", nu)
    plant_run(tmp_path, [0, 0], *ZERO)
    (stream,) = streams_of(tmp_path)
    (table,) = summaries.sweep_tables(stream)
    assert table.shown["nu"].tolist() == ["0.2", "0.1", "0.4"] and table.shown[""].tolist() == ["best", "", ""]
    assert "chosen on the very stream" in table.markdown()
    plant_run(tmp_path, [1, 1], *CASCADE, "--nu", 0.8)
    (table,) = summaries.sweep_tables(*streams_of(tmp_path))
    assert table.shown[""].tolist() == ["best", "best", "", ""], "a tie has no single winner"
    shutil.rmtree(next(tmp_path.glob("**/*nu=0.8*")))
    plant_run(tmp_path, [1, 0], *CASCADE, "--nu", 0.1, "--seed", 1)
    (stream,) = streams_of(tmp_path)
    (table,) = summaries.sweep_tables(stream)  # the luckiest has fewer seeds
    assert table.shown["nu"].tolist() == ["0.2", "0.1", "0.4"] and table.shown[""].tolist() == ["", "best", ""]


def test_figure_filter(tmp_path: Path) -> None:
    for env in ("bird", "banking77", "ehr"):
        for method in (CASCADE, ZERO, ("--agent", "cbr", "--bandit", "Random")):
            plant_run(tmp_path, [1, 0], *method, env=env)
    plant_run(tmp_path, [1, 1], *ZERO, "--llm", "qwen3-8b", env="bird")
    streams = streams_of(tmp_path)
    chosen = select(streams, find_figure("3"))
    assert [stream.env for stream in chosen] == ["banking77", "bird"]
    assert [setting.method for stream in chosen for setting in stream.settings] == ["zero-shot", "CASCADE"] * 2
    assert {setting.llm for stream in select(streams, find_figure("4a")) for setting in stream.settings} == {
        "qwen3-8b", "m",
    }  # fmt: skip
    (summary,) = summaries.summarize(chosen, find_figure("3"))
    assert summaries.summary_table(summary).title == "Figure 3: Single-turn tasks: m, official rows"
    assert list(summary.rates) == ["zero-shot", "CASCADE"]


@pytest.mark.parametrize("others", [(0.1,), (0.2,), (0.1, 0.2, 0.9)])
def test_a_figure_shows_its_own_setting_of_a_sweep(others: tuple[float, ...], tmp_path: Path) -> None:
    """The paper's nu for banking77 and qwen3-32b is 0.3; 0.1 is main.py's default."""
    llm, encoders = ("--llm", "qwen3-32b"), ("--embedding_model_path", "Alibaba-NLP/gte-modernbert-base")
    encoders += ("--reranker_model_path", "Alibaba-NLP/gte-reranker-modernbert-base")
    plant_run(tmp_path, [0, 0, 0, 1], *ZERO, *llm, env="banking77")
    plant_run(tmp_path, [1, 1, 1, 0], *CASCADE, *llm, *encoders, "--nu", 0.3, env="banking77")
    plant_run(tmp_path, [1, 1, 0, 0], *NP_CBR, *llm, *encoders, env="banking77")
    plant_run(tmp_path, [0, 0, 0, 0], *NP_CBR, *llm, env="banking77")  # with the embedded encoders
    for nu in others:
        plant_run(tmp_path, [0, 0, 0, 0], *CASCADE, *llm, *encoders, "--nu", nu, env="banking77")
    (summary,) = summaries.summarize(select(streams_of(tmp_path), find_figure("3")), find_figure("3"))
    rates = {method: rates["banking77"].mean for method, rates in summary.rates.items()}
    assert rates == {"zero-shot": 0.25, "NP-CBR": 0.5, "CASCADE": 0.75}
    assert "the one of the paper's figure" in summaries.summary_table(summary).markdown()


def test_figure_variants_of_a_task(tmp_path: Path) -> None:
    for more in ((), ("--web_search",), ("--judge_llm", "j")):
        plant_run(tmp_path, [1, 0], *ZERO, *more, env="2wiki")
    names = [stream.name for stream in select(streams_of(tmp_path), find_figure("6"))]
    assert names == ["2wiki", "2wiki judge_llm=j", "2wiki web_search"]


def test_papers_figures_stand_apart_and_are_marked(tmp_path: Path) -> None:
    for env, rewards in (("spider", [1, 1]), ("bird", [1, 0])):
        plant_run(tmp_path, rewards, *CASCADE, env=env)
        plant_run(tmp_path, [0, 0], *ZERO, env=env)
    streams = streams_of(tmp_path)
    table = references.reference_table(streams)
    lines = {(line["task"], line["whose"]): line for _, line in table.shown.iterrows()}
    theirs = lines["spider", "paper: StreamBench, arXiv 2406.08747: average of 3 LLMs"]
    assert (theirs["zero-shot"], theirs["self-stream-icl"], theirs["CASCADE"]) == ("67.89", "+6.7", tables.NOTHING)
    ours = lines["spider", "ours: m, spider (2 steps)"]
    assert (ours["zero-shot"], ours["CASCADE"]) == ("0.0", "+100.0 [+100.0, +100.0]")
    assert ours["cot"] == tables.NOTHING
    gains = [line["CASCADE"] for (task, _), line in lines.items() if task == references.MACRO_GAIN]
    assert gains == ["+75.0 [+50.0, +100.0]", "+20.9"]
    assert all(whose.startswith(("ours: ", "paper: ")) for _, whose in lines)
    sources = [whose for task, whose in lines if task == "spider"]
    assert len(sources) == 1 + 6, "ours, the average and five LLMs"
    assert not any(
        "paper" in cell for stream in streams for cell in tables.stream_table(stream, Prices()).shown["method"]
    )
    plant_run(tmp_path / "other", [1], *ZERO, env="lfd")
    assert references.reference_table(streams_of(tmp_path / "other")) is None


def test_latex_is_escaped(tmp_path: Path) -> None:
    plant_run(tmp_path, [1, 0], *ZERO, "--llm", r"a_b & 50%\x{}~^#$<")
    (stream,) = streams_of(tmp_path)
    text = tables.stream_table(stream, Prices()).latex()
    escaped = r"a\_b \& 50\%\textbackslash{}x\{\}\textasciitilde{}\textasciicircum{}\#\$\textless{}"
    assert escaped in text
    assert all(rule in text for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\caption{", r"95 \% t interval"))
    assert not re.search(r"(?<!\\)[%#_]", text.replace(r"\label{tab:lfd-2-steps}", ""))


# -- reading ---------------------------------------------------------------------------------------------------------


def test_foreign_and_damaged_folders(tmp_path: Path) -> None:
    good = plant_run(tmp_path, [1, 0], *ZERO)
    torn = plant_run(tmp_path, [1, 0], *CASCADE)
    (torn / "steps.jsonl").write_bytes(b'{"step": 1}\n{not json\n')
    short = plant_run(tmp_path, [1, 0], *NP_CBR)
    (short / "summary.json").write_text('{"steps": 3}')
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.yaml").write_text("model: x\n")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.yaml").write_text("a: [\n")
    told: list[str] = []
    assert [run.folder for run in read_runs(tmp_path, told.append)] == [good]
    unreadable = plant_run(tmp_path, [1, 0], *ZERO, "--seed", 1)
    (unreadable / "config.yaml").write_text("identity: [")
    told.clear()
    read_runs(tmp_path, told.append)
    assert any(line.startswith(f"left out: {unreadable}") for line in told) and told[-1].startswith("3 damaged")
    shutil.rmtree(unreadable)
    told.clear()
    read_runs(tmp_path, told.append)
    assert len(told) == 3 and told[-1] == "2 damaged run folders left out"
    assert any(line.startswith(f"left out: {torn}") and "steps.jsonl:1: damaged" in line for line in told)
    assert any(line.startswith(f"left out: {short}") and "counts 3 steps" in line for line in told)


def test_the_same_run_twice_counts_once(tmp_path: Path) -> None:
    plant_run(tmp_path / "a", [0], *ZERO, rows=2)
    finished = plant_run(tmp_path / "b", [1, 1], *ZERO)
    told: list[str] = []
    (run,) = read_runs(tmp_path, told.append)
    assert run.folder == finished and len(told) == 1 and "the same run as" in told[0]
    assert told[0].endswith(", which is taken: it is finished")


def test_several_folders_are_one_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine, theirs = tmp_path / "mine", tmp_path / "theirs"
    first = plant_run(mine, [1, 0, 1], *ZERO)
    second = plant_run(theirs, [0, 0, 1], *ZERO)
    plant_run(theirs, [1, 1, 1], *CASCADE)
    assert cli.main([str(mine), str(theirs), str(theirs)]) == 0
    told = capsys.readouterr().err
    assert f"left out: {second}: the same run as {first}, which is taken\n" in told and told.count("left out") == 1
    text = (mine / "report" / "report.md").read_text(encoding="utf-8")
    assert "| zero-shot | m | 1 | 66.7 |" in text and "| CASCADE | m | 1 | 100.0 | +33.3" in text
    assert f"- left out: {second}" in text
    assert cli.main([str(theirs), str(mine), "--out", str(tmp_path / "out")]) == 0
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    assert "| zero-shot | m | 1 | 33.3 |" in text and not (theirs / "report").exists()
    assert cli.main([str(mine), str(tmp_path / "none")]) == 1
    assert "no such folder" in capsys.readouterr().err


def test_an_earlier_reports_files_do_not_stay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an earlier report goes what it wrote and this one does not, and nothing else, whatever a list says."""
    for name in ("plots.stream_windows", "plots.stream_terms", "plots.bars", "writing.gain_plot"):
        monkeypatch.setattr(f"report.{name}", lambda *_: None)  # one plot of a task is enough
    monkeypatch.setattr("report.paper._panels", lambda *_: ())
    plant_run(tmp_path / "runs", [1, 0, 1], *ZERO)
    gone = plant_run(tmp_path / "runs", [1, 0, 1], *CASCADE, env="rca")
    out, outside = tmp_path / "out", tmp_path / "outside.csv"
    assert cli.main([str(tmp_path / "runs"), "--out", str(out), "--paper"]) == 0
    first = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    listed = json.loads((out / "files.json").read_text())["files"]
    assert listed.keys() == first - {"files.json"} and "paper/tables/rca-3-steps-m.tex" in listed
    (out / "plots" / "own.png").write_bytes(b"mine")
    (out / "tables" / "rca-3-steps.tex").write_text("edited")
    outside.write_text("a")
    listed |= {"../outside.csv": hashlib.sha256(b"a").hexdigest(), "plots/none.svg": "0", "tables": "0"}
    (out / "files.json").write_text(json.dumps({"files": listed}))
    shutil.rmtree(gone)
    capsys.readouterr()
    assert cli.main([str(tmp_path / "runs"), "--out", str(out)]) == 0
    second = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert {path for path in second if "rca" in path} == {"tables/rca-3-steps.tex"}  # somebody has edited it
    assert "plots/own.png" in second and outside.exists() and not (out / "paper").exists()
    assert f"{len(first - second)} files of an earlier report removed" in capsys.readouterr().err
    listed = json.loads((out / "files.json").read_text())["files"]
    assert listed.keys() == second - {"files.json", "plots/own.png", "tables/rca-3-steps.tex"}
    (out / "files.json").write_text("[")
    assert cli.main([str(tmp_path / "runs"), "--out", str(out)]) == 0
    assert second == {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}


def test_what_is_written_before_an_error_is_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plant_run(tmp_path / "runs", [1, 0, 1], *ZERO)
    argv = [str(tmp_path / "runs"), "--out", str(tmp_path / "out")]

    def interrupt(*arguments: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("report.writing.page_of", interrupt)
        assert cli.main(argv) == 130
    listed = json.loads((tmp_path / "out" / "files.json").read_text())["files"]
    assert "report.md" in listed and "report.html" not in listed


# -- the command line ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def sample_runs(tmp_path_factory: pytest.TempPathFactory, text_encoder: TextEncoder) -> Path:
    """Real runs of the embedded reader on the lfd sample: two methods, two seeds."""
    root = tmp_path_factory.mktemp("runs")
    common = ("--env", "lfd", "--data", "sample", "--limit", "24", "--shuffle", "--output_dir", str(root))
    for seed, method in itertools.product("01", (ZERO, CASCADE)):
        main.run_seed(config_of([*common, *method, "--seed", seed]), functools.cache(lambda: text_encoder))
    return root


def test_report_of_sample_runs(sample_runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([str(sample_runs), "--out", str(tmp_path), "--prices", "embedded-reader=1,2"]) == 0
    text = (tmp_path / "report.md").read_text(encoding="utf-8")
    assert all((tmp_path / link).is_file() for link in re.findall(r"\]\(([^)]+)\)", text))
    titles = re.findall(r"^## (.*)$", text, re.M)
    assert len(titles) == 3 and all("SAMPLE" in title for title in titles)
    assert text.count("not a language model") >= 3 and "| CASCADE | embedded-reader | 2 |" in text
    names = {kind: sorted((tmp_path / kind).iterdir()) for kind in ("tables", "plots")}
    assert [len(names[kind]) for kind in names] == [6, 10]
    for path in names["tables"]:
        content = path.read_text(encoding="utf-8")
        assert "SAMPLE" in content and "not a language model" in content
        if path.suffix == ".csv":
            rows = list(csv.DictReader(content.splitlines()))
            assert {(row["data"], row["method"]) for row in rows} == {("SAMPLE", "zero-shot"), ("SAMPLE", "CASCADE")}
    for path in names["plots"]:
        if path.suffix == ".svg":
            words = " ".join(re.findall(r">([^<>]+)</text>", path.read_text(encoding="utf-8")))
            assert "SAMPLE data: invented rows" in words and "not a language model" in words
        else:
            assert path.read_bytes().startswith(b"\x89PNG")
    assert not list(tmp_path.rglob("*.new"))
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.svg")}
    assert 'gzip+base64" id="steps-' in (tmp_path / "report.html").read_text(encoding="utf-8")
    again = ("--figure", "3", "--steps", "none", "--prices", "embedded-reader=1,2")
    assert cli.main([str(sample_runs), "--out", str(tmp_path), *again]) == 0
    assert 'gzip+base64" id="steps-' not in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert (tmp_path / "report.md").read_text(encoding="utf-8").startswith("# Figure 3: Single-turn tasks\n")
    assert "files of an earlier report removed" in capsys.readouterr().err
    left = {path: content for path, content in before.items() if path.exists()}
    assert all(path.read_bytes() == content for path, content in left.items())
    assert {path.name[:8] for path in before.keys() - left.keys()} == {"summary-"}


def test_report_of_one_run(sample_runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run,) = [run for run in read_runs(sample_runs) if run.agent == "cbr" and run.seed == 0]
    capsys.readouterr()
    assert cli.main([str(run.folder), "--prices", "embedded-reader=1,2"]) == 0
    text = capsys.readouterr().out
    assert "  cbr-NeuralLinLogUCB  embedded-reader  seed0\n" in text and "UNFINISHED" not in text
    assert re.search(r"method +CASCADE\n", text)
    assert f"({run.rewards.sum():.0f} of 24)" in text and "SAMPLE" in text and "not by a language model" in text
    cost = (run.figures["prompt_tokens"] + 2 * run.figures["completion_tokens"]) / 1e6
    assert re.search(rf"cost +{cost:.4f}", text)
    unanswered = sum(record["answer"] is None for record in run.records)
    assert (f"{unanswered} of 24 steps ended without one" in text) == (unanswered > 0)
    assert "The most reused cases" in text and "The worst confusions" in text
    shown = [case["id"] for record in run.records for case in record["cases"]]
    most = max(sorted(set(shown)), key=shown.count)
    assert re.search(rf"^ +{most} +{shown.count(most)} +[01]\.\d\d ", text, re.M)
    confused = text.partition("The worst confusions")[2].splitlines()[2:]
    assert sum(int(line.split()[0]) for line in confused if line.strip()) <= 24 - run.rewards.sum()


def test_the_cases_of_a_run_are_what_its_agent_kept(
    tmp_path: Path, text_encoder: TextEncoder, capsys: pytest.CaptureFixture[str]
) -> None:
    common = ("--env", "lfd", "--data", "sample", "--limit", "12", "--output_dir", str(tmp_path))
    config = config_of([*common, "--agent", "cbrgt", "--bandit", "Random"])
    main.run_seed(config, functools.cache(lambda: text_encoder))
    (run,) = read_runs(tmp_path)
    truths = {}
    env = prompts.open_env(run.options, run.data)
    for env.index in range(12):
        truths[env.index + 1] = env.get_ground_truth()
    wrong = {record["step"] for record in run.records if not record["reward"]}
    shown = wrong & {case["id"] for record in run.records for case in record["cases"]}
    capsys.readouterr()
    assert cli.main([str(run.folder)]) == 0
    text = capsys.readouterr().out
    found = dict(re.findall(r"^ +(\d+) +\d+ +[01]\.\d\d  (.+?)  +\S", text, re.M))
    assert shown and {case: found[str(case)] for case in shown} == {case: truths[case] for case in shown}


def test_report_of_one_unfinished_run_without_its_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = plant_run(tmp_path, [1, 0, 1], *CASCADE, rows=9, cases=[[], [1], [1]])
    assert cli.main([str(folder)]) == 0
    text = capsys.readouterr().out
    assert "UNFINISHED at step 3 of 9" in text and "or m=INPUT,OUTPUT" in text
    assert re.search(r"^ +1 +2 +0\.50 +answer 0 +task 1 on a line", text, re.M)
    assert "No confusions: " in text
    assert cli.main([str(folder), "--figure", "3"]) == 2
    assert "is one run" in capsys.readouterr().err
    folder = plant_run(tmp_path, [1, 0], *ZERO, env="spider")
    assert cli.main([str(folder)]) == 0
    text = capsys.readouterr().out
    assert "the answers of spider are not labels" in text and "No case was shown" in text


def test_the_names_of_many_curves_stay_on_the_plot(tmp_path: Path) -> None:
    for i in range(24):
        plant_run(tmp_path, [int(step % 25 > i) for step in range(50)], *CASCADE, "--nu", i / 10)
    (stream,) = streams_of(tmp_path)
    figure = plots.stream_curves(stream, "m")
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    for axes in figure.axes:
        boxes = sorted((text.get_window_extent(renderer) for text in axes.texts), key=lambda box: box.y0)
        assert len(boxes) == 24 and boxes[0].y0 >= 0 and boxes[-1].y1 <= axes.get_window_extent(renderer).y1 + 20
        assert all(upper.y0 > lower.y0 + 0.8 * lower.height for lower, upper in zip(boxes, boxes[1:]))


def test_terms_are_drawn_where_a_policy_explores(tmp_path: Path) -> None:
    metrics = [{}] + [{CURVES[0]: 0.5 + i / 100, CURVES[1]: 1 / i} for i in range(1, 40)]
    plant_run(tmp_path, [1] * 40, *CASCADE, metrics=metrics)
    plant_run(tmp_path, [1] * 40, *NP_CBR, metrics=[values and values | {CURVES[1]: 0.0} for values in metrics])
    plant_run(tmp_path, [1] * 40, *ZERO)
    (stream,) = streams_of(tmp_path)
    figure = plots.stream_terms(stream, "m")
    (axes,) = figure.axes
    assert axes.get_title(loc="left") == "CASCADE"
    assert [line.get_label() for line in axes.lines] == ["exploit", "explore"]
    assert axes.lines[1].get_ydata()[-1] == pytest.approx(1 / 39)


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (["{root}/none"], 1, "no such folder"),
        (["{root}"], 1, "no runs here"),
        (["{root}/runs", "--figure", "33"], 2, "Did you mean '3'?"),
        (["{root}/runs", "--figure", "5"], 1, "no runs of Figure 5"),
        (["{root}/runs", "--prices", "m=1"], 2, "NAME=INPUT,OUTPUT"),
        (["{root}/runs", "--prices", "m=1,-2"], 2, "NAME=INPUT,OUTPUT"),
        (["{root}/runs", "--out", "{root}/file"], 1, "--out chooses another place"),
    ],
)
def test_errors(
    arguments: list[str], code: int, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    if "runs" in arguments[0]:
        plant_run(tmp_path / "runs", [1], *ZERO)
    assert cli.main([argument.format(root=tmp_path) for argument in arguments]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and words in line


def test_a_price_of_no_run_is_told_and_ctrl_c_leaves_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant_run(tmp_path / "results", [1, 0], *ZERO)
    argv = [str(tmp_path / "results"), "--out", str(tmp_path / "out"), "--prices", "mm=1,2"]
    assert cli.main(argv) == 0
    assert "--prices mm: no run of this LLM here; there are runs of m\n" in capsys.readouterr().err

    def interrupt(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "read_runs", interrupt)
    assert cli.main(argv) == 130 and capsys.readouterr().err == ""


def test_records_are_those_of_the_log(tmp_path: Path) -> None:
    folder = plant_run(tmp_path, [1, 0, 1], *ZERO)
    (run,) = read_runs(tmp_path)
    lines = (folder / "steps.jsonl").read_bytes().split(b"\n")[:-1]
    assert run.records == [json.loads(line) for line in lines] and "\u2028" in run.records[0]["task"]
    assert run.rewards.tolist() == [1, 0, 1] and (run.env, run.agent, run.llm, run.seed) == ("lfd", "zero-shot", "m", 0)
