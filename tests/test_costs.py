"""What methods cost beside what they gain: multiples of zero-shot's, the table, the plot, and controls as rows."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest

from errors import UsageError
from helpers.planted_runs import plant_run
from report import cli, costs, gains, plots, tables
from report.costs import recorded_prices
from report.runs import Stream, group, read_runs
from report.style import CONTROLS, styles_of
from runs.prices import Prices

PRICES = Prices({"m": (1000.0, 4000.0)}, "EUR")
METHODS = {  # agent -> rewards, calls, input and output tokens a step
    ("zero-shot",): ([1, 0, 0, 0], 1, 100, 10),
    ("self-stream-icl",): ([1, 1, 1, 0], 1, 300, 10),
    ("self-stream-icl", "--control", "random"): ([1, 1, 0, 0], 1, 300, 10),
    ("self-stream-icl", "--control", "empty"): ([1, 0, 0, 0], 1, 110, 10),
    ("self-refine",): ([1, 0, 0, 0], 3, 250, 30),
}


def plant(root: Path, cached: bool = False) -> Stream:
    for agent, (rewards, calls, prompt, completion) in METHODS.items():
        usage = {"prompt_tokens": prompt, "completion_tokens": completion}
        extra = [{"calls": calls, "usage": usage, "cached": cached}] * len(rewards)
        for seed in (0, 1):
            plant_run(root, rewards, "--agent", *agent, "--seed", seed, extra=extra)
    (stream,) = group(read_runs(root))
    return stream


def test_multiples_of_zero_shot_by_hand(tmp_path: Path) -> None:
    stream = plant(tmp_path)
    found = {setting.method: costs.compare(stream, setting, PRICES) for setting in stream.settings}
    assert found["zero-shot"] is None
    icl, refine = found["self-stream-icl"], found["self-refine"]
    assert icl is not None and refine is not None
    assert (icl.times.calls, icl.times.input, icl.times.output) == (1, 3, 1)
    assert icl.times.money == pytest.approx((300 + 4 * 10) / (100 + 4 * 10)) and icl.tokens == pytest.approx(310 / 110)
    assert icl.gain.interval.mean == pytest.approx(0.5) and icl.gain.seeds == 2
    assert (refine.times.calls, refine.times.input, refine.times.output) == (3, 2.5, 3)
    own = costs.costs_of(stream.settings[0].finished, PRICES)
    assert (own.calls, own.input, own.output) == (1, 100, 10) and own.money == pytest.approx(140 * 1000 / 1e6)


def test_what_the_cache_saved_is_part_of_what_a_method_costs(tmp_path: Path) -> None:
    paid, cached = plant(tmp_path / "paid"), plant(tmp_path / "cached", cached=True)
    one, other = (costs.cost_table(stream, PRICES) for stream in (paid, cached))
    assert one is not None and other is not None and one.shown.equals(other.shown)
    spent = [tables.stream_table(stream, PRICES).shown["cost"].tolist() for stream in (paid, cached)]
    assert "0.5600" in spent[0] and set(spent[1]) == {"0.0000"}
    assert (
        "Cost in EUR at the prices given; answers from the cache cost nothing."
        in tables.stream_table(cached, PRICES).markdown()
    )


def test_the_table_of_costs(tmp_path: Path) -> None:
    table = costs.cost_table(plant(tmp_path), PRICES)
    assert table is not None
    lines = {line["method"]: line for line in table.shown.to_dict("records")}
    assert lines.keys() == {
        *("zero-shot", "self-stream-icl", "self-refine"),
        *("self-stream-icl random", "self-stream-icl empty"),
    }
    icl = lines["self-stream-icl"]
    assert (icl["calls"], icl["input tokens"], icl["output tokens"]) == ("1.00", "300", "10.0")
    assert (icl["× calls"], icl["× input"], icl["× output"], icl["× cost"]) == ("1.00", "3.00", "1.00", "2.43")
    assert icl["cost of 1,000 steps"] == "340.00" and icl["against zero-shot"].startswith("+50.0 [")
    assert lines["zero-shot"]["× input"] == tables.NOTHING
    assert "Cost in EUR" in table.markdown() and r"$\times$ input" in table.latex()
    unpriced = costs.cost_table(plant(tmp_path / "unpriced"), Prices())
    assert unpriced is not None and not {"× cost", "cost of 1,000 steps"} & set(unpriced.shown)
    assert "Cost" not in unpriced.markdown()


def test_older_runs_do_not_tell_their_calls(tmp_path: Path) -> None:
    plant_run(tmp_path, [1, 0], "--agent", "zero-shot")
    plant_run(tmp_path, [1, 1], "--agent", "icrl")
    (stream,) = group(read_runs(tmp_path))
    table = costs.cost_table(stream, Prices())
    assert table is not None and "× calls" not in table.shown and table.shown["× input"].tolist()[1] == "1.00"


# -- controls ----------------------------------------------------------------------------------------------------------


def test_controls_are_methods_of_their_own(tmp_path: Path) -> None:
    stream = plant(tmp_path)
    named = {setting.method: setting for setting in stream.settings}
    assert len(named) == len(METHODS), "none is merged with its method"
    for control in ("random", "empty"):
        setting = named[f"self-stream-icl {control}"]
        assert setting.control == control and setting.plain_method == "self-stream-icl"
    styles = styles_of(stream.settings)
    colours = {setting: style.light for setting, style in styles.items()}
    own = colours[named["self-stream-icl"]]
    assert own == colours[named["self-stream-icl random"]] == colours[named["self-stream-icl empty"]]
    assert len({colours[named[name]] for name in ("zero-shot", "self-stream-icl", "self-refine")}) == 3
    assert [styles[named[f"self-stream-icl {control}"]].dash for control in CONTROLS] == [*CONTROLS.values()]
    figure = plots.stream_curves(stream, "m")
    assert figure is not None
    drawn = set(re.findall(r"stroke-dasharray: ([^;]+);", plots.picture(figure, "svg").decode()))
    assert len(drawn) >= 2, "the dashes of both controls"


# -- the plot ----------------------------------------------------------------------------------------------------------


def drawn(figure: Any) -> dict[str, tuple[float, float]]:
    """What the legend names -> its point."""
    (axes,) = figure.axes
    points = {box.get_label(): box.lines[0].get_xydata()[0] for box in axes.containers}
    points |= {line.get_label(): line.get_xydata()[0] for line in axes.get_lines() if line.get_label()[0] != "_"}
    return {label: (float(x), float(y)) for label, (x, y) in points.items()}


def test_the_plot_shows_gain_over_cost(tmp_path: Path) -> None:
    stream = plant(tmp_path)
    figure = gains.gain_plot(stream, "m", PRICES)
    assert figure is not None
    points = drawn(figure)
    assert points["zero-shot"] == (1, 0)
    assert points["self-stream-icl  +50.0"] == pytest.approx((340 / 140, 50))
    assert points["self-refine  0.0"] == pytest.approx((370 / 140, 0))
    assert points["self-stream-icl empty  0.0"] == pytest.approx((150 / 140, 0))
    (axes,) = figure.axes
    assert axes.get_xscale() == "log" and axes.get_xlabel() == "cost of a step, × zero-shot's"
    lows, highs = zip(*(axes.get_ylim(),))
    assert lows[0] <= 0 and highs[0] >= 50
    by_tokens = gains.gain_plot(stream, "m", Prices())
    assert by_tokens is not None
    assert drawn(by_tokens)["self-stream-icl  +50.0"] == pytest.approx((310 / 110, 50))
    assert by_tokens.axes[0].get_xlabel() == "input and output tokens of a step, × zero-shot's"
    assert plots.picture(figure, "png").startswith(b"\x89PNG")
    plant_run(tmp_path / "alone", [1, 0], "--agent", "icrl")
    (alone,) = group(read_runs(tmp_path / "alone"))
    assert gains.gain_plot(alone, "m", PRICES) is None, "there is nothing to compare with"


@pytest.mark.parametrize("costs_shown", [[1.0], [1, 1.04], [0.3, 1, 40], [1, 900], [0.001, 1]])
def test_the_axis_has_ticks_that_can_be_read(costs_shown: list[float]) -> None:
    _, (axes,) = plots.make_figure(1, 1, 4, 3)
    gains.scale(axes, costs_shown)
    low, high = axes.get_xlim()
    assert low < min(costs_shown) and high > max(costs_shown)
    ticks = [tick for tick in axes.get_xticks() if low <= tick <= high]
    assert 1 <= len(ticks) <= 9
    assert 1.0 in ticks, "zero-shot's own"


# -- the report --------------------------------------------------------------------------------------------------------


def test_a_report_with_a_file_of_prices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plant(tmp_path / "runs")
    file = tmp_path / "prices.yaml"
    file.write_text("currency: EUR\nm: {input: 1000, output: 4000}\nother: {input: 1, output: 1}\n", encoding="utf-8")
    out = tmp_path / "out"
    argv = [str(tmp_path / "runs"), "--out", str(out), "--steps", "none", "--prices", str(file)]
    assert cli.main(argv) == 0
    assert "--prices other: no run of this LLM here" in capsys.readouterr().err
    text = (out / "report.md").read_text(encoding="utf-8")
    assert "## What the methods gain and cost: lfd (4 steps)" in text and "Gain against cost: lfd (4 steps), m" in text
    assert all((out / link).is_file() for link in re.findall(r"\]\(([^)]+)\)", text))
    (path,) = (out / "tables").glob("what-the-methods*.csv")
    rows = {row["method"]: row for row in csv.DictReader(path.read_text(encoding="utf-8").splitlines())}
    assert float(rows["self-stream-icl"]["input_times_zero_shot"]) == 3
    assert float(rows["self-stream-icl random"]["against_zero_shot"]) == 0.25
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "What the methods gain and cost" in page


def test_prices_of_the_report() -> None:
    assert cli.gather_prices(["m=1,2", "n=3,4"]) == Prices({"m": (1, 2), "n": (3, 4)})
    with pytest.raises(UsageError, match="write a file of prices, or NAME=INPUT,OUTPUT"):
        cli.gather_prices(["m=1"])
    with pytest.raises(UsageError, match="cannot be read"):
        cli.gather_prices(["prices.yaml"])


def test_currencies_are_not_added_up(tmp_path: Path) -> None:
    files = []
    for name, currency in (("m", "EUR"), ("n", "USD")):
        files.append(tmp_path / f"{name}.yaml")
        files[-1].write_text(f"currency: {currency}\n{name}: {{input: 1, output: 1}}\n", encoding="utf-8")
    with pytest.raises(UsageError, match="EUR and USD cannot be added up"):
        cli.gather_prices([str(path) for path in files])


def test_without_prices_those_that_the_runs_were_made_with(tmp_path: Path) -> None:
    plant_run(tmp_path, [1, 0], "--agent", "zero-shot")
    (stream,) = group(read_runs(tmp_path))
    (run,) = stream.settings[0].runs
    assert recorded_prices([stream]) == Prices()
    run.config["starts"][0]["prices"] = {"models": {"m": [1, 2]}, "currency": "EUR"}
    assert recorded_prices([stream]) == Prices({"m": (1, 2)}, "EUR")
    run.config["starts"] += [{"prices": wrong} for wrong in (3, {"models": 1}, {"models": {"m": "x"}}, None)]
    assert recorded_prices([stream]) == Prices({"m": (1, 2)}, "EUR"), "what was edited is passed over"
    run.config["starts"].append({"prices": {"models": {"m": [1, 2]}, "currency": "USD"}})
    assert recorded_prices([stream]) == Prices(), "two currencies are not added up"
