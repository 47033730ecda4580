"""What a step's record leaves out because it follows from the rest: the prompt that was sent, the case that was kept.

Both are functions of the task's rows, the record and the agent's rules. So the steps are walked once more with the
run's own agent, on a bank that only holds cases: nothing is encoded, ranked or asked. For a task with a dialogue the
prompt is its first message; the record's `turns` tell the rest.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from agent import AGENT_DICT, Agent, NoRetrieval
from config import Config
from env import Env, make_env
from errors import DataError, UserError
from memory.bank import Case, CaseBank
from runs.screen import describe_data


@dataclasses.dataclass(frozen=True)
class Rebuilt:
    """A step's prompt, and the case that it left in the bank, if any."""

    prompt: str
    kept: Case | None


def rebuild(options: dict[str, Any], data: dict[str, Any], records: Iterable[dict[str, Any]]) -> list[Rebuilt]:
    """The prompts and cases of a run with these `options` and `data` in its config.yaml and these steps, in order.

    Raises UserError that says why where it cannot be done: no prompt was sent, the rows are gone or have changed, the
    task cannot be loaded here, or the code makes other steps of them than the run did.
    """
    name = options.get("agent")
    if name == "ground-truth":
        raise UserError("no prompt was sent: this agent answers with the label")
    if name not in AGENT_DICT:
        raise UserError(f"this version has no agent {name}")
    env = open_env(options, data)
    try:
        agent = Agent(env, None, NoRetrieval(CaseBank()), AGENT_DICT[name])
        return _walk(agent, records)
    finally:
        env.close()


def open_env(options: dict[str, Any], data: dict[str, Any]) -> Env:
    """The run's task on the rows that it played: at their recorded place, or where --data finds them now.

    Raises UserError where they are gone or have changed, or the task cannot be loaded here.
    """
    known = {spec.name for spec in dataclasses.fields(Config)}
    config = Config(**{name: value for name, value in options.items() if name in known})
    recorded = data["path"]
    choice = recorded if recorded and Path(recorded).is_file() else config.data
    env = make_env(config.env, choice, config.seed if config.shuffle else None, config.limit, config)
    if describe_data(env)["sha256"] != data["sha256"]:
        env.close()
        place = recorded or "the task's module"
        raise DataError(f"the rows have changed since the run: {place} no longer has sha256 {data['sha256'][:12]}...")
    return env


def _walk(agent: Agent, records: Iterable[dict[str, Any]]) -> list[Rebuilt]:
    env, bank = agent.env, agent.retrieval.bank
    cases: dict[int, Case] = {}
    rebuilt = []
    for record in records:
        env.index = record["step"] - 1
        if env.index >= len(env) or env.observe() != record["task"]:
            raise UserError(f"step {record['step']} saw another task than the rows now have there")
        env.turns = record.get("turns")
        try:
            shown = [cases[case["id"]] for case in record["cases"]]
        except KeyError as error:
            raise UserError(f"step {record['step']} showed case {error}, which this version would not keep") from None
        prompt = agent.rules.render(env, record["task"], shown)
        before = len(bank)
        agent.retain(record["task"], record["answer"], record["reward"])
        kept = bank.cases[-1] if len(bank) > before else None
        if kept is not None:
            cases[kept["id"]] = kept
        rebuilt.append(Rebuilt(prompt, kept))
    return rebuilt
