"""Run an agent on a task's stream: `python main.py --env ddxplus --agent cbr`.

`run` is the whole of deployment-time learning, one verb a line:
observe -> retrieve -> generate -> evaluate -> update -> retain.
"""

from __future__ import annotations

import functools
import json
import sys
import time
import traceback
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config import Config
from env import Env, make_env
from errors import LLMError, UserError
from runs import screen as terminal
from runs.folder import RunLog

if TYPE_CHECKING:
    from agent import Agent
    from llm import LLM, Session
    from memory.encoders import TextEncoder
    from runs.track import Tracker


def run(env: Env, agent: Agent, llm: LLM, log: RunLog, tracker: Tracker) -> None:
    """Play the stream from where the log's checkpoint stands to its end.

    Logged steps are replayed from their record instead of asking the LLM; an LLMError leaves the step unlogged.
    """
    from memory.bank import as_plain

    env.reset()
    env.index = log.restore(agent.load)
    successes = sum(record["reward"] for record in log.records[: env.index])
    with terminal.Progress(len(env), env.index) as progress:
        done = env.index >= len(env)
        while not done:
            step, start = env.index + 1, time.perf_counter()
            logged = log.record(step)
            agent.ask = ask = llm.session(step)

            query = env.observe()
            cases = agent.retrieve(query)
            if logged is None:
                output = agent.generate(query, cases)
                answer, reward = agent.evaluate(output)
                answer, reward = as_plain(answer), int(reward)  # as a continued run reads them from the log
            else:
                check_replay(logged, query, cases)
                env.turns = logged.get("turns")
                answer, reward = agent.replay(logged)
            agent.update(query, cases, reward)
            agent.retain(query, answer, reward)

            successes += reward
            if logged is None:
                seconds = time.perf_counter() - start
                record = make_record(step, query, cases, output, answer, reward, successes, ask, seconds, agent, env)
                append_requests(log.folder, ask.exchanges)
                log.append(record)
                tracker.log(record)
                log.checkpoint(step, agent.save)
            progress.advance(successes / step)
            done = env.step()


def make_record(
    step: int,
    query: str,
    cases: list[dict[str, Any]],
    output: str,
    answer: Any,
    reward: int,
    successes: int,
    ask: Session,
    seconds: float,
    agent: Agent,
    env: Env,
) -> dict[str, Any]:
    """One line of steps.jsonl."""
    spent = ask.spent
    record = {
        "step": step,
        "task": query,
        "cases": [{"id": case["id"], "score": case.get("score")} for case in cases],
        "output": output,
        "answer": answer,
        "reward": reward,
        "success_rate": successes / step,
        "regret": step - successes,
        "usage": {"prompt_tokens": spent.prompt_tokens, "completion_tokens": spent.completion_tokens},
        "llm_seconds": round(spent.seconds, 6),
        "agent_seconds": round(seconds - spent.seconds, 6),
        "cached": spent.cached,
        "finish_reason": spent.finish_reason,
        "prompt_sha256": ask.prompt_sha256,
        "metrics": dict(agent.metrics),
    }
    if env.turns is not None:
        record["turns"] = env.turns
    return record | agent.memo


def append_requests(folder: Path, exchanges: list[dict[str, Any]]) -> None:
    """Keep whole requests and replies in requests.jsonl. A step that a kill made do again is there twice."""
    if exchanges:
        with (folder / "requests.jsonl").open("a", encoding="utf-8") as lines:
            lines.writelines(json.dumps(exchange, ensure_ascii=False) + "\n" for exchange in exchanges)


def check_replay(logged: dict[str, Any], query: str, cases: list[dict[str, Any]]) -> None:
    """Refuse to go on from a log that this code, data or machine would not have written."""
    if logged["task"] != query or [case["id"] for case in logged["cases"]] != [case["id"] for case in cases]:
        raise UserError(
            f"step {logged['step']} of the log cannot be repeated: it saw another task or other cases "
            "(did the code or a package change?). --overwrite starts the run over"
        )


def run_seed(config: Config, text_encoder: Any) -> dict[str, Any]:
    """Carry out, continue or look up the run of `config`; returns its summary."""
    from agent import make_agent
    from llm import make_llm
    from runs.track import make_tracker

    env = make_env(config.env, config.data, config.seed if config.shuffle else None, config.limit, config)
    data = terminal.describe_data(env)
    folder = Path(config.output_dir) / config.run_name()
    identity = config.identity() | {"data_sha256": data["sha256"]}
    log = RunLog(folder, identity, config.overwrite, config.checkpoint_seconds)
    try:
        if log.summary is not None:
            terminal.say("This run is finished; --overwrite starts it over.")
        else:
            terminal.announce(config, data, log)
            llm = make_llm(config, text_encoder)
            agent = make_agent(config, env, llm, text_encoder)
            device = str(text_encoder().device) if text_encoder.cache_info().currsize else "none"
            with make_tracker(config) as tracker:
                details = env.details()
                terminal.say_details(details)
                served = llm.details()
                log.begin({"options": asdict(config), "data": data, "task": details, "llm": served, "device": device})
                try:
                    run(env, agent, llm, log, tracker)
                except LLMError as error:
                    step = len(log.records) + 1
                    raise LLMError(f"{error}. Then the same command goes on from step {step}") from error
            log.finish({"bank_size": len(agent.retrieval.bank)})
        terminal.print_summary(config, data, log)
        return log.summary
    finally:
        log.close()
        env.close()


def make_text_encoder(config: Config) -> functools._lru_cache_wrapper[TextEncoder]:
    """A function that loads the recall encoder at its first call, once for all seeds."""

    @functools.cache
    def text_encoder() -> TextEncoder:
        from memory.encoders import TextEncoder, resolve_device

        return TextEncoder(config.embedding_model_path, resolve_device(config.device))

    return text_encoder


def main(argv: list[str]) -> int:
    """The command line; returns the exit code: 0, 1 for an error, 2 for usage, 130 for Ctrl-C."""
    debug = "--debug" in argv
    try:
        config = Config.from_args(argv)
        text_encoder = make_text_encoder(config)
        if config.seed >= 0:
            run_seed(config, text_encoder)
        else:
            terminal.print_seeds([run_seed(replace(config, seed=seed), text_encoder) for seed in range(5)])
        return 0
    except UserError as error:
        if debug:
            traceback.print_exc()
        else:
            print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("\ninterrupted: the same command continues the run", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.stdout.reconfigure(errors="replace")  # a terminal that cannot show the bars still gets the figures
    sys.exit(main(sys.argv[1:]))
