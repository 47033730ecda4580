"""Run an agent on a task's stream: `python main.py --env ddxplus --agent cbr`.

`run` is the whole of deployment-time learning, one verb a line:
observe -> retrieve -> generate -> evaluate -> update -> retain.
"""

from __future__ import annotations

import sys

if __name__ == "__main__" or sys.argv[0].endswith("dtl"):  # Ctrl-C while the rest is imported leaves no traceback, too
    from stopping import end_at_once

    end_at_once()

import functools
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, CancelledError, ThreadPoolExecutor, wait
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from command_line import read_command_line
from config import Config
from env import Env, describe_data, describe_examples, find_env, make_env, resolve_data, task_code, templates_of
from env.blocks import label_blocks
from errors import DataError, LLMError, RefusedError, exit_code
from pool import Pool, Turns
from runs import screen
from runs.baseline import baseline_of, ratios
from runs.folder import RunLog
from runs.growing import find_beginning
from runs.prices import Bill, Prices, prices_of
from runs.progress import Progress
from runs.reader import Record, summarize
from runs.seeds import print_seeds
from step import Step, as_number, as_plain
from stopping import HOLD, end_at_once, signals_as_exceptions

if TYPE_CHECKING:
    from agent import Agent
    from llm import LLM
    from memory.encoders import TextEncoder
    from runs.track import Tracker

LoadEncoder = Callable[[], "TextEncoder"]


@dataclass(frozen=True)
class Company:
    """What runs that are played beside each other have in common."""

    progress: Progress
    make_llm: Callable[[Config], LLM]
    turns: Turns


def run(
    env: Env,
    agent: Agent,
    log: RunLog,
    tracker: Tracker,
    on_refused: str = "stop",
    bill: Bill | None = None,
    company: Company | None = None,
) -> None:
    """Play the stream from where the log's checkpoint stands to its end, in rounds.

    All steps of a round see the same state; their feedback comes afterwards, in their order. A round is one step, or
    --concurrency of them; to an agent that does not learn the whole stream is one.

    Logged steps come back answered and scored: the LLM is not asked again, but what was learned from them is learned
    anew. An LLMError leaves its step unlogged; a refused prompt may leave it out, unscored (`on_refused`: skip).
    A `bill` that is full stops the run between two steps, by a CostError. Where a round has just ended, what stops a
    run leaves a checkpoint: an outage, a signal, a full bill.
    """
    bill = bill or Bill(None, "")
    learns, size = agent.config.learns, agent.config.concurrency if agent.config.learns else len(env)
    start = log.restore(agent.load)
    pool = Pool(
        env,
        agent.config.in_flight,
        lambda step: answer(step, agent, step.env or env, on_refused),
        agent.llm.cancel,
        company.turns.waiting if company else nullcontext,
    )
    if pool.size < agent.config.in_flight:
        screen.say(f"note: the task {env.name} has a single instance: its steps are answered one after another")
    with nullcontext(company.progress) if company else Progress() as progress, pool:
        progress.expect(len(env), log.steps_logged)
        stream = within(bill, observe(env, log, start))
        learned = start
        try:
            for _ in range(start, len(env), size):
                asked = (retrieve(step, agent) for step in islice(stream, size))
                answered = pool.answered(list(asked) if learns else asked)
                for step in list(answered) if agent.row.looks_up else answered:
                    with HOLD.held():
                        learned = 0  # what is stopped in the middle of this is saved by nobody
                        record = learn(step, agent, env, log)
                        learned = step.number
                        if record is not None:
                            bill.add(record)
                            tracker.log(record)
                            if not learns or learned % size == 0:
                                log.checkpoint(learned, agent.save)
                    progress.advance(agent.config.seed, log.success_rate, str(bill), replayed=record is None)
        except (LLMError, KeyboardInterrupt, CancelledError):
            save_now(log, agent, learned, size)
            raise
    if learned < len(env):
        save_now(log, agent, learned, size)
        bill.check(learned + 1)


def learn(step: Step, agent: Agent, env: Env, log: RunLog) -> Record | None:
    """Learn from an answered step, and log it; its record, None where it was logged before."""
    env.place(step.number, step.turns)
    if step.skipped is None:
        agent.update(step)
        agent.retain(step)
    return log.append(step)


def save_now(log: RunLog, agent: Agent, learned: int, size: int) -> None:
    """Leave a checkpoint of the state after `learned` steps, where that is the end of a round and nothing is torn."""
    whole_round = not agent.config.learns or learned % size == 0
    if learned and learned == log.steps_logged and whole_round:
        with HOLD.held():
            log.checkpoint(learned, agent.save, now=True)


def within(bill: Bill, steps: Iterator[Step]) -> Iterator[Step]:
    """`steps` up to the first that is not to be begun, because the bill is full."""
    for step in steps:
        if bill.is_full and not step.replayed:
            return
        yield step


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
        env.place(number, step.turns)
        yield step


def retrieve(step: Step, agent: Agent) -> Step:
    """Choose what the step shows. Raises UserError where it was logged with something else."""
    with HOLD.held():
        agent.retrieve(step)
    if step.replayed:
        step.check_shown()
    return step


def answer(step: Step, agent: Agent, env: Env, on_refused: str) -> None:
    """Have the step answered and scored, or left out where its prompt is refused and that is to be no obstacle."""
    with agent.ahead(step):
        if step.replayed:
            return
        try:
            agent.generate(step)
            evaluate(step, env)
            agent.reflect(step)
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


@dataclass(frozen=True)
class Played:
    """A run that is finished: its settings, its rows and its log."""

    data: dict[str, Any]
    log: RunLog
    prices: Prices | None

    @property
    def summary(self) -> dict[str, Any]:
        assert self.log.summary is not None
        return self.log.summary

    def show(self) -> None:
        screen.print_summary(self.data, self.log, self.prices)


def run_seed(config: Config, load_encoder: LoadEncoder | None = None, tracker: Tracker | None = None) -> dict[str, Any]:
    """Carry out, continue or look up the run of `config`, and show it; returns its summary.

    Args:
        load_encoder: gives the recall encoder, for runs that share one (`make_load_encoder`); else it is loaded anew.
        tracker: receives each step's record; by default what --track says.

    Raises UserError where the command line would end with a line on standard error. What the names alone can tell to be
    wrong is told before a row is read, and what the rows can tell before a model is loaded.
    """
    return run_one(config, load_encoder or make_load_encoder(config), tracker).summary


def run_one(config: Config, load_encoder: LoadEncoder, tracker: Tracker | None = None) -> Played:
    """Carry the run of `config` out and show it."""
    played = carry_out(config, load_encoder, tracker=tracker)
    played.show()
    return played


def run_beside(configs: list[Config], load_encoder: LoadEncoder) -> list[Played]:
    """As run_one, several at once: while the LLM answers one, another works. What one raises stops them all."""
    from llm import SharedLLMs

    llms, turns = SharedLLMs(load_encoder), Turns()
    with Progress() as progress, ThreadPoolExecutor(len(configs), "seeds") as threads:
        company = Company(progress, llms.make, turns)

        def carry_out_one(config: Config) -> Played:
            with turns.mine():
                return carry_out(config, load_encoder, company)

        playing = [threads.submit(carry_out_one, config) for config in configs]
        try:
            ended = wait(playing, return_when=FIRST_EXCEPTION)
        except KeyboardInterrupt:
            llms.cancel()
            raise
        if ended.not_done:
            llms.cancel()
    for failure in (future.exception() for future in playing):
        if failure is not None and not isinstance(failure, CancelledError):
            raise failure
    for future in playing:
        future.result().show()
    return [future.result() for future in playing]


def carry_out(
    config: Config, load_encoder: LoadEncoder, company: Company | None = None, tracker: Tracker | None = None
) -> Played:
    """Carry out, continue or look up the run of `config`, alone or in company; see run_seed."""
    from agent import check_fits, describe_method
    from llm import make_llm
    from runs.track import make_tracker

    check_fits(config, find_env(config.env))
    for row in config.rows:
        row.check()
    prices = prices_of(config)
    tracker = tracker or make_tracker(config)
    config = replace(config, data=resolve_data(config.env, config.data))
    make = company.make_llm if company else functools.partial(make_llm, recall_encoder=load_encoder)
    env = make_env(config.env, config.data, config.seed if config.shuffle else None, config.limit, config, make)
    data = describe_data(env)
    folder = Path(config.output_dir) / config.run_name()
    identity = config.identity() | {"data_sha256": data["sha256"], "task_code": task_code(env)}
    identity |= env.conditions() | describe_examples(config) | describe_method(config) | describe_start(config)
    log = RunLog(folder, identity, config.overwrite, config.checkpoint_seconds, screen.say)
    try:
        if log.summary is None:
            about = {"options": asdict(config), "data": data, "prompts": templates_of(env)}
            if not log.steps_logged and not config.overwrite:
                begin_from_another(config, log, about)
            play(config, env, log, tracker, about, load_encoder, make, prices, company)
        else:
            screen.say_finished(log)
        if config.agent_row.perfect:
            screen.say_faults(env, log)
        return Played(data, log, prices)
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


def begin_from_another(config: Config, log: RunLog, about: dict[str, Any]) -> None:
    """Take over the first steps of a run that differs in --limit alone, where there is one."""
    beginning = find_beginning(log.folder, log.identity, about["data"]["rows"], screen.say)
    if beginning is None:
        return
    if config.agent_row.plans_ahead:
        screen.say(
            f"note: --agent {config.agent} plans with the stream's length: the steps of {beginning.folder} are others"
        )
        return
    log.take_over(beginning, about)
    screen.say(f"takes {log.steps_logged} steps from {beginning.folder}; no LLM is asked for them again")


def play(
    config: Config,
    env: Env,
    log: RunLog,
    tracker: Tracker,
    about: dict[str, Any],
    load: LoadEncoder,
    make: Callable[[Config], LLM],
    prices: Prices | None,
    company: Company | None,
) -> None:
    """Carry out the run of `log`, or what is left of it; `about`: what config.yaml says of it as a whole."""
    from agent import make_agent

    screen.announce(config, about["data"], log, one_of_several=company is not None)
    blocks = None if config.shuffle else label_blocks(env.dataset)
    task = env.details()  # what it needs beside the rows (a judge, a service, a sandbox) is tried before a model loads
    if company is None or config.seed == 0:
        if blocks:
            screen.say(f"note: {blocks}")
        screen.say_details(task)
    llm = make(config)
    agent = make_agent(config, env, llm, load)
    for asked in (llm, *env.llms()):
        asked.keep_replies(log.journal)
    priced = {"prices": asdict(prices)} if prices else {}
    log.begin(about, {"llm": llm.details(), "task": task, "device": _device(load), **priced}, env.packages)
    bill = Bill(prices, str(config.llm), log.records(), config.max_cost)
    try:
        with tracker.begin(log):
            run(env, agent, log, tracker, config.on_refused, bill, company)
    except LLMError as error:
        number = log.steps_logged + 1
        then = f"Then the same command goes on from step {number}"
        if isinstance(error, RefusedError):
            log.journal.forget(number)  # a judge that gave no verdict is to be asked anew
            then = f"It would be so again: --on_refused skip leaves step {number} out, unscored, and goes on"
        raise type(error)(f"{error}. {then}") from error
    has_bank = any("bank_limit" in row.options for row in config.rows)
    keep = agent.keep if has_bank and config.final != "none" else None
    stays = keep is not None and (config.final == "all" or not agent.trains)
    if stays:
        save_now(log, agent, len(env), config.concurrency)
    log.finish({"bank_size": len(agent.retrieval.bank), **costs(config, log, prices)}, keep, stays)


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
        return TextEncoder(config.embedding_model_path, resolve_device(config.device), config.precision)

    return load_encoder


def run_all(argv: list[str]) -> int:
    """Do what the command line says; returns the exit code. Raises UserError."""
    typed, options = read_command_line(argv)
    config = Config(**options)
    for note in config.without_effect(typed):
        screen.say(f"note: {note}")
    load_encoder = make_load_encoder(config)
    seeds = [config.seed] if config.seed >= 0 else list(range(5))
    configs = [replace(config, seed=seed) for seed in seeds]
    if len(seeds) > 1 and config.in_flight > 1:
        played = run_beside(configs, load_encoder)
    else:
        played = [run_one(config, load_encoder) for config in configs]
    if len(played) > 1:
        print_seeds([one.log for one in played], str(config.llm), prices_of(config))
    fails = config.agent_row.perfect and any(one.summary["success_rate"] != 1 for one in played)
    return int(fails)


def main(argv: list[str]) -> int:
    """The command line; returns the exit code: 0, 1 for an error, 2 for usage, 130 for Ctrl-C, 143 for SIGTERM."""

    def work() -> int:
        with signals_as_exceptions():
            return run_all(argv)

    return exit_code(work, "the same command continues the run", debug="--debug" in argv)


def console() -> None:
    """The command that pyproject.toml installs, and `python main.py`."""
    sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]  # a terminal that cannot show the bars still gets the figures
    code = main(sys.argv[1:])
    end_at_once(code)  # Ctrl-C while Python shuts down
    sys.exit(code)


if __name__ == "__main__":
    console()
