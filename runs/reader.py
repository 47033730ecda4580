"""The one reader of a run folder: config.yaml, steps.jsonl, summary.json, and requests.jsonl where it was asked for.

What the files hold is checked here, once, so that whoever gets a record or a config can rely on its types. A folder
that was damaged, torn or edited ends in a UserError that names file and line, never in another exception. The only
line that may be torn is a log's last: it is left out, for the run was killed while it was written.

A run's figures (success rate, regret, tokens, seconds) are computed by `Tally` alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from errors import UserError

from .checks import MAX_DEPTH, check_config, check_record, check_request, check_summary, is_usage

Record = dict[str, Any]  # a line of steps.jsonl
MAX_CONFIG_BYTES = 4_000_000
LENGTH = "length"  # the finish_reason of an answer that was cut at the token limit
CUT_SHARE = 0.02  # of the answers: more than that is worth a warning
_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # many times quicker where it is built


# -- config.yaml -------------------------------------------------------------------------------------------------------


def read_config(path: Path) -> dict[str, Any]:
    """All of config.yaml, its `identity` checked. Raises UserError."""
    text = _read_text(path, MAX_CONFIG_BYTES)
    try:
        _refuse_bombs(text)
        config = yaml.load(text, _Loader)
        check_config(config)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise _damaged(path, error) from None
    return config


def _refuse_bombs(text: str) -> None:
    """Refuse nesting and aliases before anything is built of them: ten lines of aliases can fill the memory."""
    depth = 0
    for event in yaml.parse(text, _Loader):
        if isinstance(event, yaml.AliasEvent):
            raise ValueError("it has aliases, which main.py does not write")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise ValueError("nested too deeply")


# -- steps.jsonl -------------------------------------------------------------------------------------------------------


def whole_steps(path: Path, start: int = 0, skipped: int = 0) -> Iterator[tuple[Record, int]]:
    """The records of steps.jsonl one by one, each with the length in bytes of the log up to its end.

    What follows the last one is a torn line; there is nothing where there is no file. Reading can begin at byte
    `start`, behind the first `skipped` lines. Raises UserError naming the line that is damaged.
    """
    return _whole_lines(path, check_record, start, skipped)


def iterate_steps(path: Path) -> Iterator[Record]:
    """The records of steps.jsonl alone. Raises UserError as whole_steps."""
    for record, _ in whole_steps(path):
        yield record


def last_step(path: Path, start: int) -> tuple[Record | None, int]:
    """The last record behind byte `start`, and where to look from next: for who follows a run that goes on.

    Only what was added is read. Raises UserError where that record is damaged.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            start = start if size >= start else 0  # started over
            file.seek(start)
            new = file.read()
    except FileNotFoundError:
        return None, start
    except OSError as error:
        raise _unreadable(path, error) from None
    whole = new[: new.rfind(b"\n") + 1]
    if not whole:
        return None, start
    try:
        record = _parse(whole.split(b"\n")[-2])
        check_record(record, record["step"] if isinstance(record, dict) and "step" in record else 0)
    except (ValueError, TypeError, RecursionError) as error:
        raise _damaged(path, error) from None
    return record, start + len(whole)


# -- summary.json ------------------------------------------------------------------------------------------------------


def read_summary(path: Path) -> dict[str, Any] | None:
    """summary.json of a finished run, or None where there is no such file. Raises UserError."""
    try:
        text = _read_text(path, MAX_CONFIG_BYTES)
    except FileNotFoundError:
        return None
    try:
        summary = json.loads(text)
        check_summary(summary)
    except (ValueError, TypeError, RecursionError) as error:
        raise _damaged(path, error) from None
    return summary


TOKENS = ("prompt_tokens", "completion_tokens")
CACHED = ("cached_prompt_tokens", "cached_completion_tokens")
PAID = (*TOKENS, *CACHED)


def tokens_of(record: Record) -> dict[str, int]:
    """A step's tokens by kind, and of those the ones that came from the cache.

    Older records tell of a step whether all its answers came from there, and nothing of parts.
    """
    usage = record["usage"]
    tokens = {kind: usage[kind] for kind in TOKENS}
    for kind, name in zip(TOKENS, CACHED):
        tokens[name] = usage.get(name, usage[kind] if record["cached"] else 0)
    return tokens


def judges_of(record: Record) -> dict[str, dict[str, int]]:
    """How often a step's judges were asked and their tokens, by the judge's name: a task logs them among its turns."""
    found: dict[str, dict[str, int]] = {}
    for turn in record.get("turns") or ():
        name, usage = turn.get("judge"), turn.get("usage")
        if isinstance(name, str) and is_usage(usage):
            calls = turn.get("calls", 1)  # older turns are of one verdict and do not say so
            spent = {"calls": calls if isinstance(calls, int) else 1} | {kind: usage.get(kind, 0) for kind in PAID}
            _add_up(found.setdefault(name, {}), spent)
    return found


def _add_up(sums: dict[str, int], values: dict[str, int]) -> None:
    for key, value in values.items():
        sums[key] = sums.get(key, 0) + value


@dataclass
class Tally:
    """Adds up a run's figures, record by record; only the rewards are kept."""

    rewards: list[int | None] = field(default_factory=list)
    sums: dict[str, float] = field(default_factory=dict)
    by_llm: dict[str, dict[str, int]] = field(default_factory=dict)
    judges: dict[str, dict[str, int]] = field(default_factory=dict)
    last_metrics: dict[str, Any] = field(default_factory=dict)

    def add(self, record: Record) -> None:
        self.rewards.append(record["reward"])
        tokens = tokens_of(record)
        for key, value in tokens.items():
            self._sum(key, value)
        if "llm" in record:  # one of several
            _add_up(self.by_llm.setdefault(record["llm"], {}), tokens)
        for name, spent in judges_of(record).items():
            _add_up(self.judges.setdefault(name, {}), spent)
        for key in ("llm_seconds", "env_seconds", "agent_seconds"):
            if key in record:  # older records have no env_seconds
                self._sum(key, record[key])
        if "calls" in record:  # nor this
            self._sum("calls", record["calls"])
        if "finish_reason" in record:  # nor this
            self._sum("cut_answers", int(record["finish_reason"] == LENGTH))
        self.last_metrics = record["metrics"]

    def _sum(self, key: str, value: float) -> None:
        self.sums[key] = self.sums.get(key, 0) + value

    def summary(self) -> dict[str, Any]:
        """success_rate is None where no step was scored; a skipped step is in no rate and no regret.

        `env_seconds`, `cut_answers` and `calls` are missing where the records do not tell them, `by_llm` where one LLM
        answered, `judges` where none was asked, and the numbers of cached tokens where there are none.
        """
        scored = [reward for reward in self.rewards if reward is not None]
        quarter = self.rewards[-max(1, len(self.rewards) // 4) :]
        figures: dict[str, Any] = {
            "steps": len(self.rewards),
            "skipped_steps": len(self.rewards) - len(scored),
            "success_rate": _mean(scored),
            "last_quarter_success_rate": _mean([reward for reward in quarter if reward is not None]),
            "regret": len(scored) - sum(scored),
            **{key: self.sums.get(key, 0) for key in TOKENS},
            **{key: round(value, 3) for key, value in self.sums.items() if key.endswith("_seconds")},
        }
        known = ("cut_answers", "calls", *(key for key in CACHED if self.sums.get(key)))
        figures |= {key: self.sums[key] for key in known if key in self.sums}
        if self.rewards:
            spent = ("calls", *TOKENS)
            figures |= {
                f"{key}_per_step": round(figures[key] / len(self.rewards), 3) for key in spent if key in figures
            }
        figures |= {"by_llm": self.by_llm} if self.by_llm else {}
        figures |= {"judges": self.judges} if self.judges else {}
        asked = ("NumDiscovery", "DiscoverSuccessRate")
        return figures | {key: self.last_metrics[key] for key in asked if key in self.last_metrics}


def summarize(records: Iterable[Record]) -> dict[str, Any]:
    """A run's figures: success rate over the stream and its last quarter, regret, skipped steps, tokens, seconds."""
    tally = Tally()
    for record in records:
        tally.add(record)
    return tally.summary()


def _mean(values: list[int]) -> float | None:
    return sum(values) / len(values) if values else None


# -- folders -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class RunFolder:
    """A run on disk. `config` has the identity, the options and the data; `summary` is None until it is finished."""

    folder: Path
    config: dict[str, Any]
    summary: dict[str, Any] | None

    @property
    def identity(self) -> dict[str, Any]:
        return self.config["identity"]

    @property
    def options(self) -> dict[str, Any]:
        return self.config.get("options", {})

    @property
    def data(self) -> dict[str, Any]:
        """path, origin, sha256, rows."""
        return self.config["data"]

    def records(self) -> Iterator[Record]:
        """The logged steps, read anew at each call. Raises UserError."""
        return iterate_steps(self.folder / "steps.jsonl")

    def check_length(self, steps: int) -> None:
        """Raise UserError where a log of `steps` steps does not fit what config.yaml and summary.json say."""
        rows = self.data["rows"]
        if steps > rows:
            raise UserError(f"{self.folder / 'steps.jsonl'}: damaged (it has {steps} steps of a stream of {rows})")
        if self.summary is not None and not self.summary["steps"] == steps == rows:
            said = f"counts {self.summary['steps']} steps where steps.jsonl has {steps} and the stream {rows}"
            raise UserError(f"{self.folder / 'summary.json'}: {said}")


def find_folders(root: Path) -> list[Path]:
    """The folders in and below `root` that hold a config.yaml or a steps.jsonl, in the order of their paths."""
    if not root.is_dir():
        raise UserError(f"{root}: no such folder")
    found = []
    for folder, _, files in os.walk(root):  # not rglob: a run that is going on renames its checkpoints meanwhile
        if not {"config.yaml", "steps.jsonl"}.isdisjoint(files):
            found.append(Path(folder))
    return sorted(found)


def open_folder(folder: Path) -> RunFolder | None:
    """The run in `folder`, its steps not read yet; None where it holds none of ours. Raises UserError."""
    path = folder / "config.yaml"
    try:
        config = read_config(path)
        if "data" not in config:
            raise UserError(f"{path}: damaged (it does not say what data the run is on)")
    except FileNotFoundError:
        if (folder / "steps.jsonl").exists():
            raise UserError(f"{folder / 'steps.jsonl'}: no config.yaml beside it says what run it is") from None
        return None
    except UserError:
        if (folder / "steps.jsonl").exists():
            raise
        return None  # somebody else's config.yaml
    if config["data"]["rows"] is None:  # a stream without an end: an endpoint's requests
        config["data"]["rows"] = max(1, sum(1 for _ in whole_steps(folder / "steps.jsonl")))
    return RunFolder(folder, config, read_summary(folder / "summary.json"))


def read_run(folder: Path) -> dict[str, Any] | None:
    """config.yaml of a finished run with its `summary` added, or None where there is none that can be read."""
    try:
        config, summary = read_config(folder / "config.yaml"), read_summary(folder / "summary.json")
    except (UserError, FileNotFoundError):
        return None
    return None if summary is None else config | {"summary": summary}


def whole_requests(path: Path) -> Iterator[tuple[Record, int]]:
    """The lines of requests.jsonl, as whole_steps gives those of steps.jsonl."""
    return _whole_lines(path, check_request)


def read_requests(path: Path) -> dict[int, list[Record]]:
    """What the LLM was sent, by step and in order: requests with their `messages` and, where it had some, `tools`.

    {} where there is no requests.jsonl. Raises UserError naming the line that is damaged.
    """
    requests: dict[int, list[Record]] = {}
    for line, _ in whole_requests(path):
        requests.setdefault(line["step"], []).append(line.get("request", line))
    return requests


# -- files -------------------------------------------------------------------------------------------------------------


def _whole_lines(
    path: Path, check: Callable[[Any, int], None], start: int = 0, skipped: int = 0
) -> Iterator[tuple[Record, int]]:
    """Each line of a log, checked, with the length in bytes of the log up to its end; a torn last line is left out."""
    length = start
    try:
        with path.open("rb") as file:
            file.seek(start)
            for number, line in enumerate(file, skipped + 1):  # a binary file's lines end in b"\n" alone
                if not line.endswith(b"\n"):
                    return
                try:
                    value = _parse(line)
                    check(value, number)
                except (ValueError, TypeError, RecursionError) as error:
                    raise UserError(f"{path}:{number}: damaged ({_reason(error)})") from None
                length += len(line)
                yield value, length
    except FileNotFoundError:
        return
    except OSError as error:
        raise _unreadable(path, error) from None


def _parse(line: bytes) -> Any:
    value = json.loads(line.decode("utf-8"))
    if b"\\ud" in line.lower():  # half a character, which a file of ours cannot hold, would come through as an escape
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    return value


def _read_text(path: Path, limit: int) -> str:
    """A small file. Raises FileNotFoundError, and UserError where it cannot be read or is too large."""
    try:
        with path.open("rb") as file:
            raw = file.read(limit + 1)
        if len(raw) > limit:
            raise UserError(f"{path}: damaged (larger than {limit:,} bytes)")
        return raw.decode("utf-8")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unreadable(path, error) from None
    except UnicodeDecodeError as error:
        raise _damaged(path, error) from None


def _unreadable(path: Path, error: OSError) -> UserError:
    return UserError(f"{path}: cannot be read ({error.strerror})")


def _damaged(path: Path, error: Exception) -> UserError:
    return UserError(f"{path}: damaged ({_reason(error)})")


def _reason(error: Exception) -> str:
    """The error in a few words, on one line."""
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, UnicodeError):
        return "not UTF-8"
    if isinstance(error, yaml.MarkedYAMLError) and error.problem:
        return " ".join(f"YAML, {error.problem}".split())
    return " ".join(str(error).split())[:200]
