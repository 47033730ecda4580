"""What the report calls a method: the paper's name where the settings are the paper's, else agent and policy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from config import FIELDS, about
from options import flag
from registry import AGENTS, POLICIES, defaults_of, method_rows

from .experiments import paper_method

# Options that do not make another method: the stream's, the task's, the LLM's, and what the paper tunes or swaps per
# experiment. They are named only where two settings would else have one name.
_QUIET = {
    "agent",
    "bandit",
    "examples",  # a file for each task
    *about("stream", "task", "llm"),
    *(n for n, s in FIELDS.items() if s.metadata.get("tuned")),
}


def method_name(identity: Mapping[str, Any]) -> str:
    """The method with the settings off their default that make it another than its namesake, such as comk=3."""
    found = paper_method(identity)
    if found is not None:
        name, made_of = found
    else:
        parts = [identity["agent"], identity.get("bandit")]
        name, made_of = "-".join(part for part in parts if part), set()
    others = {option: value for option, value in off_default(identity).items() if option in FIELDS}
    return with_options(name, {o: v for o, v in others.items() if o not in _QUIET | made_of})


def tell_apart(identities: list[dict[str, Any]]) -> list[str]:
    """A name for each of the settings of a stream, unique among those with the same LLM."""
    names = [method_name(identity) for identity in identities]
    namesakes = defaultdict(list)
    for i, (name, identity) in enumerate(zip(names, identities)):
        namesakes[name, identity["llm"]].append(i)
    for (name, _), members in namesakes.items():
        group = [identities[i] for i in members]
        options = differing(group)
        for i in members:
            own = {option: identities[i][option] for option in options if option in identities[i]}
            names[i] = with_options(name, off_default(own, identities[i]))
    return names


def differing(identities: list[dict[str, Any]]) -> list[str]:
    """The options in which the settings are not alike."""
    options = {option: None for identity in identities for option in identity}
    return [option for option in options if len({repr(identity.get(option)) for identity in identities}) > 1]


def off_default(options: Mapping[str, Any], identity: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Those of `options` that are not at their default; one that this version does not know counts as such if set.

    `identity` is the whole that they are of, where they are not: agent and policy have defaults of their own.
    """
    identity = options if identity is None else identity
    defaults = {option: spec.default for option, spec in FIELDS.items()}
    agent, bandit, env = (identity.get(name) for name in ("agent", "bandit", "env"))
    if agent in AGENTS and (bandit is None or bandit in POLICIES):
        defaults |= defaults_of(method_rows(agent, bandit, str(env)), str(env))
    return {option: value for option, value in options.items() if value != defaults.get(option)}


def with_options(name: str, options: Mapping[str, Any]) -> str:
    """`name` followed by the options as the command line spells them."""
    return " ".join([name, *(_word(option, value) for option, value in options.items())])


def spelled(option: str) -> str:
    """The option as the command line spells it, without the dashes."""
    return flag(FIELDS[option]) if option in FIELDS else option


def _word(option: str, value: Any) -> str:
    if value is True:
        return spelled(option)
    if option in FIELDS and FIELDS[option].metadata.get("shown") == "words":  # tolerance=0.1, say
        return str(value)
    return f"{spelled(option)}={f'{value:g}' if isinstance(value, float) else value}"
