"""How answers are sampled: the one place that every way to serve an LLM, and the judge, takes its settings from.

Temperature, top_p and thinking are options, the first two with each serving mode's own defaults in the registry. The
rest is the paper's and fixed: top-k, the presence penalty, and, unless it is asked for, the thinking of Qwen3 switched
off. An API is asked for none of these, since providers differ in what they take.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from config import Config
from options import NOT_SENT
from registry import CLIENTS

TOP_K = 20
PRESENCE_PENALTY = 1.5
FIXED: dict[str, dict[str, Any]] = {
    "openai": {},
    "vllm": {"top_k": TOP_K, "presence_penalty": PRESENCE_PENALTY, "enable_thinking": False},
    "hf": {"top_k": TOP_K, "presence_penalty": PRESENCE_PENALTY, "enable_thinking": False},
}


@dataclass(frozen=True)
class Sampling:
    """Settings of one LLM; None leaves the choice to the server."""

    temperature: float | None
    top_p: float | None
    max_new_tokens: int
    top_k: int | None = None
    presence_penalty: float | None = None
    enable_thinking: bool | None = None
    seed: int | None = None


def sampling_of(config: Config) -> Sampling:
    """The command line's settings, the serving mode's where it leaves them open."""
    defaults = CLIENTS[config.serving_mode].defaults
    fixed = dict(FIXED[config.serving_mode])
    if config.agent == "reinforce":  # its loss weighs the model's own distribution: nothing is added to the logits
        fixed["presence_penalty"] = 0.0
    if config.thinking != "auto":
        fixed["enable_thinking"] = config.thinking == "on"
    return Sampling(
        temperature=_number(config.temperature, defaults["temperature"]),
        top_p=_number(config.top_p, defaults["top_p"]),
        max_new_tokens=config.max_new_tokens,
        seed=None if config.serving_mode == "openai" else config.seed,
        **fixed,
    )


def _number(value: float | str | None, default: float) -> float | None:
    """What is sent: nothing for "none"."""
    return None if value == NOT_SENT else float(default if value is None else value)
