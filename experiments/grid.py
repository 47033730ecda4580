"""Which setting of a sweep won, from run folders."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runs.reader import read_run

CAVEAT = (
    "The best setting was chosen on the very stream that it is scored on, so its success rate flatters: of several "
    "settings that are equally good the luckiest wins. Take the winner to other data before comparing it with anything."
)


@dataclass(frozen=True)
class Setting:
    """One point of the grid: success rate by seed."""

    values: tuple[tuple[str, Any], ...]
    rates: dict[int, float]

    @property
    def mean(self) -> float:
        return statistics.fmean(self.rates.values())

    @property
    def deviation(self) -> float | None:
        """The standard deviation over the seeds; None of one seed."""
        return statistics.stdev(self.rates.values()) if len(self.rates) > 1 else None


@dataclass(frozen=True)
class Contest:
    """The settings of one task, agent, LLM and stream, the best first.

    Settings with fewer finished seeds than others do not compete: their means are over an easier or harder lot.
    """

    env: str
    agent: str
    llm: str
    settings: tuple[Setting, ...]
    incomplete: tuple[Setting, ...]


def contests(folders: Iterable[Path], names: Iterable[str]) -> list[Contest]:
    """Compare the settings of the Config fields `names` among the finished runs in `folders`.

    Runs compete when all else is equal but the seed: the other settings and the data. Runs that use none of `names`
    and groups with a single setting are no contest.
    """
    groups: dict[tuple, dict[tuple, dict[int, float]]] = {}
    for folder in dict.fromkeys(folders):
        run = read_run(folder)
        if run is None:
            continue
        identity, rate = run["identity"], run["summary"].get("success_rate")
        if rate is None:  # no step of it was scored
            continue
        swept = tuple((name, identity[name]) for name in names if name in identity)
        rest = tuple(sorted((key, str(identity[key])) for key in identity.keys() - {"seed", *dict(swept)}))
        agent = "-".join(identity[key] for key in ("agent", "bandit") if identity.get(key))
        group = groups.setdefault((identity["env"], agent, identity["llm"], rest), {})
        group.setdefault(swept, {})[identity["seed"]] = rate
    return [_contest(*key[:3], group) for key, group in groups.items() if len(group) > 1]


def _contest(env: str, agent: str, llm: str, group: dict[tuple, dict[int, float]]) -> Contest:
    settings = [Setting(values, rates) for values, rates in group.items()]
    most = max(len(setting.rates) for setting in settings)
    whole = sorted((s for s in settings if len(s.rates) == most), key=lambda s: s.mean, reverse=True)
    return Contest(env, agent, llm, tuple(whole), tuple(s for s in settings if len(s.rates) < most))
