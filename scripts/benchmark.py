"""Measure what runs cost, each command by a Markdown table.

python scripts/benchmark.py                           # as `policies`: a step outside the LLM, for each policy
python scripts/benchmark.py policies --against naive  # beside a first draft of the same, or an older checkout
python scripts/benchmark.py growth                    # a step early and late in a long stream
python scripts/benchmark.py loop                      # time to the first step, training behind the LLM, two at once
python scripts/benchmark.py envs                      # the multi-turn tasks: turns a second, their share of a step
python scripts/benchmark.py retrieval                 # 2wiki's indexes: recall, time to build and to ask
python scripts/benchmark.py solutions                 # ScienceWorld's own solutions against the tasks' turn limits
python scripts/benchmark.py bank                      # a million cases: search, recall, memory, save and load
python scripts/benchmark.py concurrency               # many questions at once: time against the ideal, the first step
python scripts/benchmark.py gpu                       # local models: answers generated, retrieval trained
python scripts/benchmark.py all                       # policies, growth, loop, concurrency, bank and gpu: hours
python scripts/benchmark.py policies --help           # what a command measures, and its options
"""

from __future__ import annotations

import argparse
import sys

import _path  # noqa: F401

from errors import exit_code
from scripts.benchmarks import bank, concurrency, endpoint, envs, gpu, growth, loop, policies, retrieval, solutions

ALL = ("policies", "growth", "loop", "concurrency", "bank", "gpu")


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="{policies,growth,loop,concurrency,bank,endpoint,...,all}")
    for module in (policies, growth, loop, concurrency, bank, endpoint, envs, retrieval, solutions, gpu):
        name = module.__name__.rpartition(".")[2]
        command = commands.add_parser(
            name, description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        module.add_options(command)
        command.set_defaults(report=module.report)
    commands.add_parser("all", description=f"{', '.join(ALL)}, one after the other").set_defaults(
        report=lambda _: report_all(parser)
    )
    arguments = parser.parse_args(argv or ["policies"])
    return exit_code(lambda: arguments.report(arguments))


def report_all(parser: argparse.ArgumentParser) -> None:
    """Each command of ALL with its defaults; local models in tiny sizes where there is no GPU."""
    import torch

    for name in ALL:
        print(f"\n## {name}\n", flush=True)
        small = name == "gpu" and not torch.cuda.is_available()
        arguments = parser.parse_args([name, *(["--tiny"] if small else [])])
        arguments.report(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
