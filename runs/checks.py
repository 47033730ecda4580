"""What the lines and files of a run folder have to hold: checked once, where they are read.

A check raises ValueError or TypeError that says what is wrong; the reader adds the file and the line.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from typing import Any

from config import Config

MAX_DEPTH = 100  # of nested values: json and yaml stop at about a thousand, each in its own way
MAX_NUMBER = 2**53  # what JSON, NumPy and a browser hold exactly
_SCALAR = (str, int, float, bool, type(None))
_OPTIONS = {spec.name for spec in dataclasses.fields(Config)}


# -- config.yaml, summary.json -----------------------------------------------------------------------------------------


def check_config(config: Any) -> None:
    """Raise ValueError or TypeError where `config` is not what main.py writes: plain data that says which run it is."""
    if not isinstance(config, dict) or not isinstance(config.get("identity"), dict):
        raise ValueError("it has no identity")
    json.dumps(config, sort_keys=True, allow_nan=False, ensure_ascii=False).encode()  # refuses what is not plain
    identity = config["identity"]
    for name in ("env", "agent", "llm"):
        _expect(identity, name, isinstance(identity.get(name), str) and identity[name], "a name")
    _expect(identity, "seed", _is_count(identity.get("seed")), "a whole number")
    _expect(identity, "bandit", isinstance(identity.get("bandit"), (str, type(None))), "a name")
    _expect(identity, "limit", identity.get("limit") is None or _is_count(identity["limit"]), "a whole number")
    _expect(identity, "shuffle", isinstance(identity.get("shuffle"), (bool, type(None))), "true or false")
    for name in identity.keys() & _OPTIONS:
        _expect(identity, name, isinstance(identity[name], _SCALAR), "a single value")
    for name in ("options", "data"):
        _expect(config, name, isinstance(config.get(name, {}), dict), "a mapping")
    if "data" in config:
        _check_data(config["data"])


def _check_data(data: dict[str, Any]) -> None:
    for name in ("origin", "sha256"):
        _expect(data, name, isinstance(data.get(name), str), "a text")
    _expect(data, "path", isinstance(data.get("path"), (str, type(None))), "a path")
    rows = data.get("rows", 0)
    _expect(data, "rows", rows is None or (_is_count(rows) and rows), "a whole number above 0")


def check_summary(summary: Any) -> None:
    """Raise ValueError where `summary` is not what main.py writes at the end of a run."""
    if not isinstance(summary, dict):
        raise ValueError("not a summary")
    _expect(summary, "steps", _is_count(summary.get("steps")), "a whole number")
    for key in ("success_rate", "last_quarter_success_rate"):
        _expect(summary, key, _is_rate(summary.get(key)), "a share")


# -- steps.jsonl, requests.jsonl ---------------------------------------------------------------------------------------


def check_record(record: Any, number: int) -> None:
    """Raise ValueError where `record` is not what line `number` (from 1) of steps.jsonl has to be."""
    if not isinstance(record, dict):
        raise ValueError("not a record")
    _expect(record, "step", _is_count(record.get("step")), "a whole number")
    if record["step"] != number:
        raise ValueError(f"step {record['step']} where {number} should be")
    for key, (right, what) in _RECORD.items():
        if key not in record:
            raise ValueError(f"no {key}")
        _expect(record, key, right(record[key]), what)
    for key, (right, what) in _MAY_HAVE.items():
        if key in record:
            _expect(record, key, right(record[key]), what)
    if record["reward"] is None and not record.get("skipped"):
        raise ValueError("no reward, and nothing says why the step was skipped")
    if any(_depth_exceeds(record.get(key), MAX_DEPTH) for key in ("answer", "turns", "episode")):
        raise ValueError("nested too deeply")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_NUMBER


def _is_number(value: Any) -> bool:
    """A number that is no truth value; it may be nan, which the metrics of a policy can be."""
    if isinstance(value, int):
        return not isinstance(value, bool) and abs(value) <= MAX_NUMBER
    return isinstance(value, float)


def _is_time(value: Any) -> bool:
    return _is_number(value) and math.isfinite(value) and value >= 0


def _is_rate(value: Any) -> bool:
    return value is None or (_is_number(value) and 0 <= value <= 1)


def _is_case(value: Any) -> bool:
    if not isinstance(value, dict) or not _is_count(value.get("id")):
        return False
    return _is_text_or_none(value.get("key")) and (value.get("score") is None or _is_number(value["score"]))


def is_usage(value: Any) -> bool:
    """Whether `value` is what a record says of tokens."""
    kinds = ("prompt_tokens", "completion_tokens")
    if not isinstance(value, dict) or not all(_is_count(value.get(kind)) for kind in kinds):
        return False
    cached = {kind: value.get(f"cached_{kind}", 0) for kind in kinds}
    return all(_is_count(cached[kind]) and cached[kind] <= value[kind] for kind in kinds)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_reward(value: Any) -> bool:
    return value is None or (_is_count(value) and value <= 1)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_anything(value: Any) -> bool:
    return True


def _are(right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda values: isinstance(values, list) and all(map(right, values))


def _are_metrics(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_number, value.values()))


def _is_text_or_none(value: Any) -> bool:
    return isinstance(value, (str, type(None)))


_Checks = dict[str, tuple[Callable[[Any], bool], str]]


def _is_episode(value: Any) -> bool:
    turns = value.get("turns") if isinstance(value, dict) and _is_text(value.get("plan")) else None
    names = ("observation", "thought", "action")
    return isinstance(turns, list) and all(
        isinstance(turn, dict) and all(_is_text(turn.get(name)) for name in names) for turn in turns
    )


_RECORD: _Checks = {
    "task": (_is_text, "a text"),
    "cases": (_are(_is_case), "a list of cases with id and score"),
    "output": (_is_text, "a text"),
    "answer": (_is_anything, ""),
    "reward": (_is_reward, "0, 1 or null"),
    "success_rate": (_is_rate, "a share"),
    "regret": (_is_count, "a whole number"),
    "usage": (is_usage, "the numbers of tokens"),
    "llm_seconds": (_is_time, "a number of seconds"),
    "agent_seconds": (_is_time, "a number of seconds"),
    "cached": (_is_flag, "true or false"),
    "metrics": (_are_metrics, "numbers by name"),
}
_MAY_HAVE: _Checks = {
    "calls": (_is_count, "a whole number"),
    "env_seconds": (_is_time, "a number of seconds"),
    "finish_reason": (_is_text_or_none, "a text"),
    "prompt_sha256": (_is_text_or_none, "a text"),
    "turns": (_are(lambda turn: isinstance(turn, dict)), "a list of turns"),
    "lessons": (_are(lambda lesson: isinstance(lesson, dict) and all(map(_is_text, lesson.values()))), "lessons"),
    "episode": (_is_episode, "a plan and turns"),
    "llm": (_is_text, "a name"),
    "skipped": (_is_text, "a text"),
    "output_tokens": (_are(_is_count), "a list of tokens"),
}


def _expect(holder: dict[str, Any], key: str, right: Any, what: str) -> None:
    if not right:
        raise ValueError(f"{key} is not {what}")


def _depth_exceeds(value: Any, limit: int) -> bool:
    """Whether lists and mappings are nested more than `limit` deep, found without recursion."""
    level = [value]
    while level:
        if limit < 0:
            return True
        inner = [node for node in level if isinstance(node, (list, dict))]
        level = [child for node in inner for child in (node.values() if isinstance(node, dict) else node)]
        limit -= 1
    return False


def check_request(line: Any, number: int) -> None:
    """Raise ValueError where `line` is not what a line of requests.jsonl has to be: a step and what it sent."""
    if not isinstance(line, dict):
        raise ValueError("not a request")
    _expect(line, "step", _is_count(line.get("step")), "a whole number")
    request = line.get("request", line)  # the client's request as a whole, or its messages and tools
    _expect(line, "request", isinstance(request, dict), "what was sent")
    messages = _are(lambda message: isinstance(message, dict))(request.get("messages"))
    _expect(request, "messages", messages and request["messages"], "a list of messages")
    _expect(request, "tools", isinstance(request.get("tools"), (list, type(None))), "a list of tools")
    if any(_depth_exceeds(value, MAX_DEPTH) for value in (request, line.get("reply"))):
        raise ValueError("nested too deeply")
