"""Run an agent on a task's stream: `python main.py --env ddxplus --agent cbr`.

`run` is the whole of deployment-time learning, one verb a line:
observe -> retrieve -> generate -> evaluate -> update -> retain.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from command_line import read_command_line
from config import Config
from env import Env, describe_data, describe_examples, find_env, make_env, resolve_data, task_code, templates_of
from env.blocks import label_blocks
from errors import CostError, DataError, LLMError, RefusedError, exit_code
from runs import screen
from runs.baseline import baseline_of, ratios
from runs.folder import RunLog
from runs.journal import JOURNAL, Journal
from runs.prices import Bill, Prices, prices_of
from runs.reader import summarize
from step import Step, as_number, as_plain

if TYPE_CHECKING:
    from agent import Agent
    from memory.encoders import TextEncoder
    from runs.track import Tracker

LoadEncoder = Callable[[], "TextEncoder"]


def run(
    env: Env, agent: Agent, log: RunLog, tracker: Tracker, on_refused: str = "stop", bill: Bill | None = None
) -> None:
    """Play the stream from where the log's checkpoint stands to its end.

    Logged steps come back answered and scored: the LLM is not asked again, but what was learned from them is learned
    anew. An LLMError leaves its step unlogged; a refused prompt may leave it out, unscored (`on_refused`: skip).
    A `bill` that is full stops the run between two steps, by a CostError.
    """
    bill = bill or Bill(None, "")
    start = log.restore(agent.load)
    with screen.Progress(len(env), start) as progress:
        for step in observe(env, log, start):
            if not step.replayed:
                keep_within(bill, step, agent, log)
            agent.retrieve(step)
            if step.replayed:
                step.check_shown()
            else:
                answer(step, agent, env, on_refused)
            if step.skipped is None:
                agent.update(step)
                agent.retain(step)
            record = log.append(step)
            if record is not None:
                bill.add(record)
                tracker.log(record)
                log.checkpoint(step.number, agent.save)
            progress.advance(log.success_rate, str(bill))


def keep_within(bill: Bill, step: Step, agent: Agent, log: RunLog) -> None:
    """Raise CostError where the step is not to be begun; what was learned until now is saved then."""
    try:
        bill.check(step.number)
    except CostError:
        if step.number > 1:
            log.checkpoint(step.number - 1, agent.save, now=True)
        raise


def observe(env: Env, log: RunLog, start: int) -> Iterator[Step]:
    """The steps of the stream after the first `start` ones, each with the environment's cursor on its row."""
    env.reset()
    logged = log.records(after=start)
    for number in range(start + 1, len(env) + 1):
        env.index = number - 1
        record = next(logged, None)
        step = Step(number, env.observe())
        if record is not None:
            step = step.as_logged(record)
        env.turns, env.step_metrics = step.turns, {}
        yield step


def answer(step: Step, agent: Agent, env: Env, on_refused: str) -> None:
    """Have the step answered and scored, or left out where its prompt is refused and that is to be no obstacle."""
    try:
        agent.generate(step)
        evaluate(step, env)
    except RefusedError as error:
        if on_refused != "skip":
            raise
        step.skipped, step.reward = str(error), None


def evaluate(step: Step, env: Env) -> None:
    """Let the task read and score the step's output. Raises DataError for a reward that is not one bit."""
    with step.measure("env"):
        found, reward = env.evaluate(step.output)
    where = f"in step {step.number} (row {env.index + 1})"
    bit = as_number(reward)
    if bit not in (0, 1):
        raise DataError(
            f"the task {env.name} gave the reward {reward!r} {where}: it must be 0 or 1. Compare a graded score with a "
            "threshold in reward_function, and put the score itself into self.step_metrics"
        )
    for name, value in env.step_metrics.items():
        score = as_number(value)
        if score is None:
            raise DataError(f"the task {env.name} set self.step_metrics[{name!r}] to {value!r} {where}: not a number")
        step.metrics[str(name)] = score
    step.answer, step.reward, step.turns = as_plain(found), int(bit), env.turns


def run_seed(config: Config, load_encoder: LoadEncoder | None = None, tracker: Tracker | None = None) -> dict[str, Any]:
    """Carry out, continue or look up the run of `config`; returns its summary.

    Args:
        load_encoder: gives the recall encoder, for runs that share one (`make_load_encoder`); else it is loaded anew.
        tracker: receives each step's record; by default what --track says.

    Raises UserError where the command line would end with a line on standard error. What the names alone can tell to be
    wrong is told before a row is read, and what the rows can tell before a model is loaded.
    """
    from agent import check_fits, describe_method
    from llm import make_llm
    from runs.track import make_tracker

    check_fits(config, find_env(config.env))
    for row in config.rows:
        row.check()
    prices = prices_of(config)
    load_encoder = load_encoder or make_load_encoder(config)
    tracker = tracker or make_tracker(config)
    config = replace(config, data=resolve_data(config.env, config.data))
    env = make_env(
        config.env,
        config.data,
        config.seed if config.shuffle else None,
        config.limit,
        config,
        functools.partial(make_llm, recall_encoder=load_encoder),
    )
    data = describe_data(env)
    folder = Path(config.output_dir) / config.run_name()
    identity = config.identity() | {"data_sha256": data["sha256"], "task_code": task_code(env)}
    identity |= env.conditions() | describe_examples(config) | describe_method(config) | describe_start(config)
    log = RunLog(folder, identity, config.overwrite, config.checkpoint_seconds, screen.say)
    try:
        if log.summary is None:
            play(config, env, log, tracker, data, load_encoder, prices)
        else:
            screen.say_finished(log)
        if config.agent_row.perfect:
            screen.say_faults(env, log)
        screen.print_summary(data, log, prices)
        assert log.summary is not None
        return log.summary
    finally:
        log.close()
        env.close()


def describe_start(config: Config) -> dict[str, str]:
    """What the run starts from, by the hash of its content, wherever that lies. Raises UserError where it is not."""
    if config.bank_from is None and config.policy_from is None:
        return {}
    from memory.opening import open_bank, open_final

    found = {}
    if config.bank_from is not None:
        found["bank_from"] = open_bank(config.bank_from).sha256
    if config.policy_from is not None:
        found["policy_from"] = open_final(config.policy_from, config.bandit).part_sha256("policy", "weights")
    return found


def play(
    config: Config,
    env: Env,
    log: RunLog,
    tracker: Tracker,
    data: dict[str, Any],
    load: LoadEncoder,
    prices: Prices | None = None,
) -> None:
    """Carry out the run of `log`, or what is left of it."""
    from agent import make_agent
    from llm import make_llm

    screen.announce(config, data, log)
    blocks = None if config.shuffle else label_blocks(env.dataset)
    if blocks:
        screen.say(f"note: {blocks}")
    task = env.details()  # what it needs beside the rows (a judge, a service, a sandbox) is tried before a model loads
    screen.say_details(task)
    llm = make_llm(config, load)
    agent = make_agent(config, env, llm, load)
    llm.keep_replies(Journal(log.folder / JOURNAL))
    whole = {"options": asdict(config), "data": data, "prompts": templates_of(env)}
    priced = {"prices": asdict(prices)} if prices else {}
    log.begin(whole, {"llm": llm.details(), "task": task, "device": _device(load), **priced}, env.packages)
    bill = Bill(prices, str(config.llm), log.records(), config.max_cost)
    try:
        with tracker.begin(log):
            run(env, agent, log, tracker, config.on_refused, bill)
    except LLMError as error:
        number = log.steps_logged + 1
        then = f"Then the same command goes on from step {number}"
        if isinstance(error, RefusedError):
            then = f"It would be so again: --on_refused skip leaves step {number} out, unscored, and goes on"
        raise type(error)(f"{error}. {then}") from error
    has_bank = any("bank_limit" in row.options for row in config.rows)
    keep = agent.keep if has_bank and config.final != "none" else None
    log.finish({"bank_size": len(agent.retrieval.bank), **costs(config, log, prices)}, keep)


def costs(config: Config, log: RunLog, prices: Prices | None) -> dict[str, Any]:
    """What summary.json says of the run's cost: in money, where there are prices, and as multiples of zero-shot's."""
    figures, llm = summarize(log.records()), str(config.llm)
    baseline = baseline_of(log.folder, log.identity)
    compared = ratios(figures, baseline.summary if baseline else None, llm, prices)
    found = {name: round(value, 4) for name, value in compared.items()}
    said: dict[str, Any] = {"relative_to_zero_shot": found} if found else {}
    return said | ({"cost": prices.cost(figures, llm), "currency": prices.currency} if prices else {})


def _device(load_encoder: Any) -> str:
    """Where the recall encoder is, if it was loaded."""
    return str(load_encoder().device) if load_encoder.cache_info().currsize else "none"


def make_load_encoder(config: Config) -> LoadEncoder:
    """A function that loads the recall encoder at its first call, once for all seeds."""

    @functools.cache
    def load_encoder() -> TextEncoder:
        from memory.encoders import TextEncoder, resolve_device, set_threads

        local = [str(config.llm)] if config.serving_mode == "hf" else []
        set_threads(config.threads, [config.embedding_model_path, config.reranker_model_path, *local])
        return TextEncoder(config.embedding_model_path, resolve_device(config.device))

    return load_encoder


def run_all(argv: list[str]) -> int:
    """Do what the command line says; returns the exit code. Raises UserError."""
    typed, options = read_command_line(argv)
    config = Config(**options)
    for note in config.without_effect(typed):
        screen.say(f"note: {note}")
    load_encoder = make_load_encoder(config)
    seeds = [config.seed] if config.seed >= 0 else list(range(5))
    summaries = [run_seed(replace(config, seed=seed), load_encoder) for seed in seeds]
    if len(summaries) > 1:
        screen.print_seeds(summaries, str(config.llm), prices_of(config))
    fails = config.agent_row.perfect and any(summary["success_rate"] != 1 for summary in summaries)
    return int(fails)


def main(argv: list[str]) -> int:
    """The command line; returns the exit code: 0, 1 for an error, 2 for usage, 130 for Ctrl-C."""
    return exit_code(lambda: run_all(argv), "the same command continues the run", debug="--debug" in argv)


def console() -> None:
    """The command that pyproject.toml installs, and `python main.py`."""
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal that cannot show the bars still gets the figures
    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    console()
