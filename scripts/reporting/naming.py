"""What the report calls a method: the paper's name where the settings are the paper's, else agent and policy."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from config import Config, flag

from .experiments import paper_method

# Options that do not make another method: the task's, the LLM's, and what the paper tunes or swaps per experiment.
# They are named only where two settings would else have one name.
_QUIET = {
    *("env", "agent", "bandit", "seed", "llm", "serving_mode", "limit", "shuffle", "data", "data_sha256"),
    *("learning_rate", "exploration", "embedding_model_path", "reranker_model_path", "model_path"),
    *("max_new_tokens", "temperature", "top_p", "top_k", "kl_coef"),
    *("web_search", "retrieval_method", "retrieval_url", "judge_llm", "judge_serving_mode"),
}
_SPECS = {spec.name: spec for spec in dataclasses.fields(Config)}


def method_name(identity: Mapping[str, Any]) -> str:
    """The method with the settings off their default that make it another than its namesake, such as comk=3."""
    found = paper_method(identity)
    if found is not None:
        name, made_of = found
    else:
        parts = [identity["agent"], identity.get("bandit")]
        name, made_of = "-".join(part for part in parts if part), set()
    others = [option for option in identity if option in _SPECS and option not in _QUIET | made_of]
    return _with(name, identity, (option for option in others if identity[option] != _SPECS[option].default))


def tell_apart(identities: list[dict[str, Any]]) -> list[str]:
    """A name for each of the settings of a stream, unique among those with the same LLM."""
    names = [method_name(identity) for identity in identities]
    namesakes = defaultdict(list)
    for i, (name, identity) in enumerate(zip(names, identities)):
        namesakes[name, identity["llm"]].append(i)
    for (name, _), members in namesakes.items():
        group = [identities[i] for i in members]
        options = {option: None for identity in group for option in identity}
        differing = [option for option in options if len({repr(member.get(option)) for member in group}) > 1]
        for i in members:
            off = [option for option in differing if identities[i].get(option) != _default(option)]
            names[i] = _with(name, identities[i], off)
    return names


def _default(option: str) -> Any:
    return _SPECS[option].default if option in _SPECS else None


def _with(name: str, identity: Mapping[str, Any], options: Iterable[str]) -> str:
    return " ".join([name, *(f"{_flag(option)}={_short(identity[option])}" for option in options)])


def _flag(option: str) -> str:
    return flag(_SPECS[option]) if option in _SPECS else option


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
