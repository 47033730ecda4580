"""Tables, plots and a page of finished and unfinished runs, or one run in the terminal.

    python scripts/report.py results/                       # everything below results/, into results/report/
    python scripts/report.py mine/ theirs/                  # the runs of both together, into mine/report/
    python scripts/report.py results/ --figure 3            # the tasks and methods of the paper's figure 3
    python scripts/report.py results/ --prices qwen3-32b=0.1,0.3
    python scripts/report.py results/ddxplus/cbr-NeuralLinLogUCB/qwen3-8b/seed0
    python scripts/report.py results/ --diagnose            # where failures arose: bank, recall, ranking or reader
    python scripts/report.py results/ --trust_code          # also load the tasks and agents that runs name by a file

Prices are those of a file, as main.py takes it, or of a million input and output tokens; without any, those that the
runs were made with. Exit code: 0, 1 where there is nothing to report, 2 for usage,
130 for Ctrl-C.
"""

from __future__ import annotations

import argparse
import functools
import math
from pathlib import Path

from errors import UsageError, UserError, exit_code
from runs.prices import Prices, read_prices
from runs.screen import say

from .costs import recorded_prices
from .experiments import Figure, find_figure, know_plans_in
from .folders import Run
from .runs import group, read_run_folder, read_runs, select
from .trust import left_out as code_left_out
from .trust import trusting

RESULTS_HELP = "a folder of runs, several whose runs are compared with each other, or one run's folder"
PRICES_HELP = "a file of prices, or NAME=INPUT,OUTPUT, of an LLM's tokens"
STEPS = ("one", "all", "none")
STEPS_HELP = "what the page lets you open: one seed of each setting (default), all runs, or none, for a small page"

PAPER_HELP = "also figures (PDF, 3.3 and 6.8 inches wide) and tables (LaTeX) for a paper, in OUT/paper"
TRUST_HELP = "load the tasks, agents and policies that runs name by a file: only for runs whose files you know"
DIAGNOSE_HELP = (
    "where the failures of tasks with labels arose; best: also what the best of the recalled cases would have reached, "
    "for runs of the embedded reader"
)


def main(argv: list[str]) -> int:
    arguments = parse_arguments(argv)
    with trusting(arguments.trust_code):
        return exit_code(lambda: run(arguments))


def run(arguments: argparse.Namespace) -> None:
    """Do what the command line asks for. Raises UserError."""
    know_plans_in(arguments.results)
    prices = gather_prices(arguments.prices)
    figure = find_figure(arguments.figure) if arguments.figure else None
    roots = arguments.results
    if arguments.diagnose:
        diagnose(roots, arguments.diagnose == "best")
        return
    one = read_run_folder(roots[0]) if len(roots) == 1 and roots[0].is_dir() else None
    if one is not None and figure is not None:
        raise UsageError(f"--figure is for a folder of runs; {roots[0]} is one run")
    if one is not None:
        from .single import print_run

        _say_of_code([one])
        print_run(one, prices)
    else:
        out = arguments.out or roots[0] / "report"
        report(roots, figure, prices, arguments.steps, out, arguments.paper)


def diagnose(roots: list[Path], best: bool) -> None:
    """Print where the runs below `roots` lost their failures. Raises UserError where that can be said of none."""
    from memory.encoders import TextEncoder, resolve_device

    from .diagnosis import table

    @functools.cache
    def load(model: str, device: str, precision: str) -> TextEncoder:
        return TextEncoder(model, resolve_device(device), precision)

    runs = read_runs(roots)
    _say_of_code(runs)
    print(table(runs, lambda config: load(config.embedding_model_path, config.device, config.precision), best))


def report(roots: list[Path], figure: Figure | None, prices: Prices, steps: str, out: Path, paper: bool) -> None:
    """Read the runs below `roots` and write the report into `out`. Raises UserError where there is none."""
    from .writing import write_report

    left_out: list[str] = []
    places = ", ".join(map(str, roots))
    runs = read_runs(roots, left_out.append)
    for line in left_out:
        say(line)
    _say_of_code(runs)
    streams = group(runs)
    if not streams:
        raise UserError(
            f"{places}: no runs here; a run folder, as main.py writes it, holds config.yaml and steps.jsonl"
        )
    if figure is not None:
        streams = select(streams, figure)
        if not streams:
            raise UserError(f"{places}: no runs of {figure.title} ({', '.join(figure.methods)})")
    llms = dict.fromkeys(setting.llm for stream in streams for setting in stream.settings)
    for name in prices.models.keys() - {part for llm in llms for part in (llm, *llm.split(","))}:
        say(f"--prices {name}: no run of this LLM here; there are runs of {', '.join(llms)}")
    prices = prices if prices.models else recorded_prices(streams)
    try:
        removed = write_report(streams, figure, prices, left_out, out, steps, paper)
    except OSError as error:
        raise UserError(f"{out}: cannot write here ({error.strerror}); --out chooses another place") from None
    if removed:
        files = f"{len(removed)} files" if len(removed) > 1 else "1 file"
        say(f"{out}: {files} of an earlier report removed, which this one does not have")
    say(f"report: {', '.join(str(path) for path in sorted(out.glob('report.*')))}")


def _say_of_code(runs: list[Run]) -> None:
    line = code_left_out(runs)
    if line:
        say(line)


def gather_prices(texts: list[str]) -> Prices:
    """Files, as main.py's --prices takes them, and NAME=INPUT,OUTPUT. Raises UsageError."""
    models: dict[str, tuple[float, float]] = {}
    currencies = []
    for text in texts:
        if "=" in text and not Path(text).is_file():
            models |= [read_price(text)]
            continue
        table = read_prices(Path(text).expanduser())
        models |= table.models
        currencies.append(table.currency)
    if len(set(currencies)) > 1:
        raise UsageError(f"--prices: {' and '.join(currencies)} cannot be added up; write all prices in one currency")
    return Prices(models, currencies[0] if currencies else "")


def read_price(text: str) -> tuple[str, tuple[float, float]]:
    """NAME=INPUT,OUTPUT. Raises UsageError."""
    name, _, values = text.rpartition("=")
    try:
        prompt, completion = map(float, values.split(","))
    except ValueError:
        prompt = completion = math.nan
    if not name or not all(0 <= price < math.inf for price in (prompt, completion)):
        raise UsageError(
            f"--prices {text}: write a file of prices, or NAME=INPUT,OUTPUT, of a million tokens: qwen3-32b=0.1,0.3"
        )
    return name, (prompt, completion)


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    description, _, details = __doc__.partition("\n\n")
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("report.py", None, description, details, formatter_class=formatter)
    parser.add_argument("results", nargs="+", type=Path, metavar="RESULTS", help=RESULTS_HELP)
    parser.add_argument(
        "--figure",
        metavar="N",
        help="only this figure: of the paper (3, 4a, 4b, 5, 6, supplement), or of your own plan",
    )
    parser.add_argument("--diagnose", nargs="?", const="parts", choices=("parts", "best"), help=DIAGNOSE_HELP)
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="default: report/ in the first of RESULTS")
    parser.add_argument("--prices", nargs="+", default=[], metavar="FILE", help=PRICES_HELP)
    parser.add_argument("--steps", choices=STEPS, default="one", help=STEPS_HELP)
    parser.add_argument("--paper", action="store_true", help=PAPER_HELP)
    parser.add_argument("--trust_code", action="store_true", help=TRUST_HELP)
    return parser.parse_args(argv)
