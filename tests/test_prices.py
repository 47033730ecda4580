"""What a run costs: the price table, the bill in bar and summary, what the cache saves, and --max_cost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import main
from config import Config
from errors import UsageError
from helpers.fake_server import FakeServer, serving
from helpers.runs import argv, lfd_stream, run_folder, steps
from runs.prices import Bill, Prices, prices_of, read_prices
from runs.reader import Tally, read_summary, tokens_of

STEP = (11 * 1000 + 3 * 2000) / 1e6  # of the server's 11 and 3 tokens at the table's prices
TABLE = "currency: EUR\nm: {input: 1000, output: 2000}\ncheap: {input: 10, output: 0}\n"


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving() as server:
        server.models["data"] = [{"id": name, "object": "model"} for name in ("m", "cheap", "free")]
        yield server


@pytest.fixture
def table(tmp_path: Path) -> Path:
    lfd_stream(tmp_path, 10)
    path = tmp_path / "prices.yaml"
    path.write_text(TABLE, encoding="utf-8")
    return path


def summary_of(output: Path) -> dict[str, Any]:
    summary = read_summary(run_folder(output) / "summary.json")
    assert summary is not None
    return summary


# -- the table ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("m: {input: 1, output: 2}", "write `currency: USD`"),
        ("currency: 3\n", "write `currency: USD`"),
        ("currency: USD\nm: 0.3", "m: 0.3 is no pair of prices; write NAME: {input: 0.05, output: 0.20}"),
        ("currency: USD\nm: {input: 1}", "is no pair of prices"),
        ("currency: USD\nm: {input: 1, output: 2, cached: 3}", "is no pair of prices"),
        ("currency: USD\nm: {input: 1, output: -2}", "m: -2 is no price"),
        ("currency: USD\nm: {input: .inf, output: 2}", "m: inf is no price"),
        ("currency: USD\nm: {input: yes, output: 2}", "m: True is no price"),
        ("- m", "not a table of prices"),
        ("{", "cannot be read (while parsing"),
    ],
)
def test_a_table_that_is_none_says_what_to_write(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as error:
        read_prices(path)
    assert said in str(error.value) and str(path) in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(UsageError, match="cannot be read .No such file"):
        read_prices(tmp_path / "absent.yaml")


def test_every_llm_of_a_run_needs_a_price(table: Path) -> None:
    assert prices_of(Config(llm="m")) is None
    assert prices_of(Config(llm="m", prices=str(table))) == Prices({"m": (1000, 2000), "cheap": (10, 0)}, "EUR")
    with pytest.raises(UsageError, match="no price of free; it has those of m, cheap. write NAME"):
        prices_of(Config(llm="free", prices=str(table)))
    roster = {"env": "lfd", "agent": "mam-stream-icl", "prices": str(table)}
    assert prices_of(Config(llms="m temperature=0, cheap", **roster)) is not None
    with pytest.raises(UsageError, match="no price of free"):
        prices_of(Config(llms="m, free", **roster))
    assert prices_of(Config(prices=str(table))) is not None, "the embedded reader costs nothing"
    with pytest.raises(UsageError, match="--max_cost needs --prices FILE"):
        Config(llm="m", max_cost=1.0)
    priced = Config(llm="m", prices=str(table), max_cost=1.0)
    assert priced.identity() == Config(llm="m").identity() and priced.run_name() == Config(llm="m").run_name()


def test_amounts_are_readable() -> None:
    prices = Prices({}, "USD")
    amounts = (0, 0.0000123, 0.0123, 1.5, 12.345, 12345.6)
    assert [prices.money(amount) for amount in amounts] == [
        *("0.0000 USD", "1.2e-05 USD", "0.0123 USD", "1.5000 USD", "12.35 USD", "12,345.60 USD")
    ]
    assert Prices().money(2.0) == "2.0000"


# -- what is charged ---------------------------------------------------------------------------------------------------


def test_each_llm_of_a_roster_at_its_own_price() -> None:
    prices = Prices({"m": (1000, 2000), "cheap": (10, 0)}, "EUR")
    common = {"reward": 1, "cached": False, "metrics": {}, "calls": 1}
    records = [
        common | {"llm": name, "usage": {"prompt_tokens": 11, "completion_tokens": 3}}
        for name in ("m temperature=0.0", "cheap", "m temperature=0.0")
    ]
    tally, bill = Tally(), Bill(prices, "m temperature=0.0,cheap", records)
    for record in records:
        tally.add(record)
    figures = tally.summary()
    assert figures["by_llm"]["cheap"]["prompt_tokens"] == 11 and figures["prompt_tokens"] == 33
    assert prices.cost(figures, "m temperature=0.0,cheap") == pytest.approx(2 * STEP + 11 * 10 / 1e6)
    assert bill.total == pytest.approx(prices.cost(figures, ""))


def test_what_came_from_the_cache_costs_nothing() -> None:
    prices = Prices({"m": (1000, 2000)}, "EUR")
    usage = {"prompt_tokens": 100, "completion_tokens": 10}
    partly = {"usage": usage | {"cached_prompt_tokens": 60, "cached_completion_tokens": 4}, "cached": False}
    older = {"usage": usage, "cached": True}
    assert prices.cost(tokens_of(partly), "m") == pytest.approx((40 * 1000 + 6 * 2000) / 1e6)
    assert prices.cost(tokens_of(older), "m") == 0
    for record in (partly, older):
        assert prices.cost(tokens_of(record), "m", cached=True) == pytest.approx(0.12)


def test_a_run_says_what_it_costs(
    server: FakeServer, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--agent", "zero-shot", "--prices", table, "--cache", tmp_path / "answers.sqlite")
    assert main.main(argv(server, tmp_path / "first", *more)) == 0
    said = capsys.readouterr()
    assert "cost               0.1700 EUR\n" in said.out and "0.1700 EUR" in said.err, "in the summary and in the bar"
    assert "calls              10 of the LLM, 1.00 a step" in said.out
    summary = summary_of(tmp_path / "first")
    assert summary["cost"] == pytest.approx(10 * STEP) and summary["currency"] == "EUR"
    assert summary["calls"] == 10 and summary["calls_per_step"] == 1 and summary["prompt_tokens_per_step"] == 11
    assert "cached_prompt_tokens" not in summary
    assert main.main(argv(server, tmp_path / "second", *more)) == 0
    assert "0.0000 EUR; 140 of the tokens came from the cache and cost nothing" in capsys.readouterr().out
    again = summary_of(tmp_path / "second")
    assert again["cost"] == 0 and again["cached_prompt_tokens"] == again["prompt_tokens"] == 110
    assert steps(run_folder(tmp_path / "second"))[3]["usage"]["cached_completion_tokens"] == 3
    config = (run_folder(tmp_path / "first") / "config.yaml").read_text(encoding="utf-8")
    assert "currency: EUR" in config and "prices" not in config.partition("options:")[0]


def test_a_method_beside_zero_shot(
    server: FakeServer, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answer = lambda prompt: "VERDICT: keep" if "VERDICT" in prompt else "no answer"
    assert main.main(argv(server, tmp_path / "out", "--agent", "self-refine", "--limit", 4)) == 0
    assert "times zero-shot" not in capsys.readouterr().out
    assert main.main(argv(server, tmp_path / "out", "--agent", "zero-shot", "--limit", 4)) == 0
    assert "times zero-shot" not in capsys.readouterr().out
    refined = ("--agent", "self-refine", "--limit", 4, "--overwrite", "--prices", table)
    assert main.main(argv(server, tmp_path / "out", *refined)) == 0
    out = capsys.readouterr().out
    assert "times zero-shot    2.00 calls, 2.00 input, 2.00 output, 2.00 cost" in out
    folder = next(path for path in (tmp_path / "out").rglob("summary.json") if "self-refine" in str(path))
    found = json.loads(folder.read_text(encoding="utf-8"))["relative_to_zero_shot"]
    assert found == {"calls": 2.0, "input": 2.0, "output": 2.0, "cost": 2.0}


# -- --max_cost --------------------------------------------------------------------------------------------------------


def test_a_run_stops_at_its_cost_and_goes_on(
    server: FakeServer, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--agent", "icrl", "--prices", table, "--max_cost")
    assert main.main(argv(server, tmp_path / "out", *more, 3.5 * STEP)) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: stopped before step 5: the run has cost 0.0680 EUR, and --max_cost is 0.0595.")
    assert error.endswith("the same command with a higher --max_cost goes on from step 5")
    folder = run_folder(tmp_path / "out")
    assert len(steps(folder)) == len(server.chats) == 4 and not (folder / "summary.json").exists()
    assert (folder / "checkpoint").is_dir(), "what was learned is not learned again"
    assert main.main(argv(server, tmp_path / "out", *more, 3.5 * STEP)) == 1
    assert len(server.chats) == 4, "the same limit asks nothing"
    assert main.main(argv(server, tmp_path / "out", *more, 10 * STEP)) == 0, "what it costs in all is no more than that"
    assert len(server.chats) == 10 and summary_of(tmp_path / "out")["cost"] == pytest.approx(10 * STEP)
    assert main.main(argv(server, tmp_path / "whole", "--agent", "icrl")) == 0
    assert steps(folder) == steps(run_folder(tmp_path / "whole")), "prices change no step"


def test_the_cost_of_several_seeds(
    server: FakeServer, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ("--agent", "zero-shot", "--limit", 2, "--seed", -1, "--prices", table)
    assert main.main(argv(server, tmp_path / "out", *more)) == 0
    out = capsys.readouterr().out
    assert "cost of all                0.1700 EUR" in out and "calls per step             1.00 ± 0.00" in out
