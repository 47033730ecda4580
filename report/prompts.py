"""What a step's record leaves out because it follows from the rest: the prompt that was sent, the case that was kept.

Both are functions of the task's rows, the record and the agent's rules. So the steps are walked once more with the
run's own agent, on a bank that only holds cases: nothing is encoded, ranked or asked. For a task with a dialogue the
prompt is its first message; the record's `turns` tell the rest.

The code may have changed since the run. So a prompt is shown only where it is the one that was sent: the run kept it
(requests.jsonl), or its hash is the record's. Of what cannot be proven the page says so, and what is proven wrong is
not shown.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args, get_type_hints

from agent import rendering_of, retaining_of
from agents.examples import Examples
from agents.retaining import case_of
from config import Config
from env import Env, describe_data, make_env, templates_of
from errors import DataError, UserError
from llm import hash_prompt
from plugins import is_outside
from registry import AGENTS, find_agent
from runs.reader import RunFolder, read_requests
from step import Case, Step, as_plain

from .trust import check_trusted

LOGGED = "as logged"
UNPROVEN = "built again from the log by this version of the code; the run kept nothing to compare it with"
PARTLY = "built again from the log, without what the task adds to it (tools, the actions that are allowed)"
CHANGED = (
    "what this version of the code builds from the log is not what was sent: a prompt or the code has changed since"
)
DIALOGUE = "what the task added to it (tools, the actions that are allowed) was not kept, nor were its templates"


@dataclasses.dataclass(frozen=True)
class Rebuilt:
    """A step's prompt and the case that it left in the bank, if any.

    `prompt` is None where it cannot be shown, and `note` says why; else `note` says what is not certain of it, "" where
    the prompt's hash proves it.
    """

    prompt: str | None
    note: str
    kept: Case | None
    truth: Any = None  # the row's label, for a task whose answers are labels


def shown_prompts(run: RunFolder, records: list[dict[str, Any]]) -> tuple[list[Rebuilt | None], str]:
    """The prompts of a run's steps, in order; and why none could be built, "" where they could.

    What the run has logged of its requests is shown as it is, whether or not the rest can be built again.
    """
    rebuilt: list[Rebuilt | None] = [None] * len(records)
    try:
        rebuilt, reason = list(rebuild(run.config, records)), ""
    except UserError as error:
        reason = f"The prompt cannot be shown: {error}."
    try:
        requests = read_requests(run.folder / "requests.jsonl")
    except UserError as error:
        return rebuilt, reason or f"What was sent cannot be read: {error}."
    for i, record in enumerate(records):
        sent = _first_sent(requests.get(record["step"], []), record.get("prompt_sha256"))
        if sent is not None:
            known = rebuilt[i] or Rebuilt(None, "", None)
            rebuilt[i] = dataclasses.replace(known, prompt=_as_text(sent), note=LOGGED)
    return rebuilt, reason


def _first_sent(requests: list[dict[str, Any]], sha256: str | None) -> dict[str, Any] | None:
    """The request that a step began with; of several, after an outage, the one that the record's hash is of."""
    own = [request for request in requests if sha256 == hash_prompt(request["messages"], request.get("tools"))]
    return next(iter(own if sha256 else requests), None)


def _as_text(request: dict[str, Any]) -> str:
    """A lone message as it is, a conversation with its roles; then the tools that were offered."""
    messages = request["messages"]
    alone = len(messages) == 1 and isinstance(messages[0].get("content"), str)
    texts = [messages[0]["content"]] if alone else [_message_text(message) for message in messages]
    if request.get("tools"):
        texts.append("[tools]\n" + json.dumps(request["tools"], ensure_ascii=False, indent=1))
    return "\n\n".join(texts)


def _message_text(message: dict[str, Any]) -> str:
    content = message.get("content")
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False)
    return f"[{message.get('role')}]\n{text}"


def rebuild(config: dict[str, Any], records: Iterable[dict[str, Any]]) -> list[Rebuilt]:
    """The prompts and cases of a run with this config.yaml and these steps, in order.

    Raises UserError that says why where it cannot be done: no prompt was sent, the rows are gone or have changed, the
    task cannot be loaded here, or the code makes other steps of them than the run did.
    """
    options = config.get("options", {})
    check_trusted(options)
    name = options.get("agent")
    if not isinstance(name, str) or not (name in AGENTS or is_outside(name)):
        raise UserError(f"this version has no agent {name}")
    if find_agent(name).answer == "truth":
        raise UserError("no prompt was sent: this agent answers with the label")
    env = open_env(options, config["data"])
    try:
        return _walk(env, read_options(options), records, config.get("prompts"))
    finally:
        env.close()


def read_options(options: dict[str, Any]) -> Config:
    """The run's command line. Raises UserError where this version does not understand it, or it names code that is not
    trusted."""
    check_trusted(options)
    kinds = {name: get_args(hint) or (hint,) for name, hint in get_type_hints(Config).items()}
    known = {name: value for name, value in options.items() if name in kinds}
    for name, value in known.items():
        if type(value) not in kinds[name] and not (float in kinds[name] and type(value) is int):
            raise UserError(f"its options are damaged ({name} is {value!r})")
    return Config(**known)


def open_env(options: dict[str, Any], data: dict[str, Any]) -> Env:
    """The run's task on the rows that it played: at their recorded place, or where --data finds them now.

    Raises UserError where they are gone or have changed, or the task cannot be loaded here.
    """
    config, recorded = read_options(options), data.get("path")
    choice = recorded if recorded and Path(recorded).is_file() else config.data
    env = make_env(config.env, choice, config.seed if config.shuffle else None, config.limit, config)
    if describe_data(env)["sha256"] != data["sha256"]:
        env.close()
        place = recorded or "the task's module"
        raise DataError(f"the rows have changed since the run: {place} no longer has sha256 {data['sha256'][:12]}...")
    return env


def _walk(env: Env, config: Config, records: Iterable[dict[str, Any]], templates: Any) -> list[Rebuilt]:
    render, retain = rendering_of(config), retaining_of(config)
    cases: dict[int, Case] = {}
    examples = Examples(config, env) if config.agent_row.retrieve == "fixed" else None
    has_label = env.single_turn and env.fields.get("label") in (str, int)
    rebuilt = []
    for record in records:
        env.index = record["step"] - 1
        if env.index >= len(env) or env.observe() != record["task"]:
            raise UserError(f"step {record['step']} saw another task than the rows now have there")
        env.turns = record.get("turns")
        try:
            shown = examples.at(record["step"]) if examples else [cases[case["id"]] for case in record["cases"]]
            shown = shown if record["cases"] else []
        except KeyError as error:
            raise UserError(f"step {record['step']} showed case {error}, which this version would not keep") from None
        kept = None
        try:
            prompt = render(env, record["task"], shown)
            if record["reward"] is not None:  # from a step that was skipped nobody learns
                kept = case_of(env, Step.from_record(record), config, retain)
        except (TypeError, ValueError, LookupError, AttributeError) as error:
            raise UserError(f"step {record['step']} has an answer that the task cannot show ({error})") from None
        if kept is not None:
            cases[kept.step] = kept = dataclasses.replace(kept, answer=as_plain(kept.answer))
        truth = as_plain(env.get_ground_truth()) if has_label else None
        rebuilt.append(Rebuilt(*_judged(env, prompt, record.get("prompt_sha256"), templates), kept, truth))
    return rebuilt


def _judged(env: Env, prompt: str, sha256: str | None, templates: Any) -> tuple[str | None, str]:
    """`prompt` where it may be shown, and what has to be said of it."""
    if sha256 == hash_prompt([{"role": "user", "content": prompt}], None):
        return prompt, ""
    as_then = _same_templates(env, templates)
    if as_then is False:
        return None, CHANGED
    if sha256 is None:
        return prompt, UNPROVEN
    if type(env).interact is Env.interact:  # the prompt is all that is sent
        return None, CHANGED
    return (prompt, PARTLY) if as_then else (None, DIALOGUE)


def _same_templates(env: Env, recorded: Any) -> bool | None:
    """Whether the task's prompt templates are those that config.yaml keeps; None where it keeps none."""
    now = templates_of(env)
    if not isinstance(recorded, dict) or not recorded.keys() & now.keys():
        return None
    return all(recorded[name] == now[name] for name in recorded.keys() & now.keys())
