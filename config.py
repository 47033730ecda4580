"""One dataclass is the command line, its help and the record of a run.

A field's metadata says how the option is spelled and explained. `identity` is the part of the settings that can change
a run's steps: it names the run folder and decides whether a command continues an earlier run. Nothing heavy is
imported here, so `--help` is quick.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import math
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

from env import ENV_ALIASES, ENV_DICT
from errors import UsageError, unknown_choice

# The options beside --env, --llm and --seed that can change what each agent, policy and serving mode does.
POLICY_OPTIONS: dict[str, tuple[str, ...]] = {
    "NeuralLinLogUCB": ("regularization", "exploration", "batch_size", "learning_rate", "weight_decay"),
    "LinLogUCB": ("regularization", "exploration"),
    "NeuralLinUCB": ("regularization", "exploration", "batch_size", "learning_rate", "weight_decay"),
    "NeuralLogUCB": ("regularization", "exploration"),
    "Pretrained": (),
    "Random": (),
}
ENCODERS = ("embedding_model_path", "reranker_model_path")  # shown by the last part of their path
_CBR = ("bandit", "comk", "recall_size", *ENCODERS)
_DISCOVER = ("discover_strategy", "budget_ratio", "queue_size", "skip_steps")
AGENT_OPTIONS: dict[str, tuple[str, ...]] = {
    "zero-shot": (),
    "icrl": ("comk",),
    "icrl-plus": ("comk",),
    "cbr": _CBR,
    "cbrgt": _CBR,
    "cbrdiscover": (*_CBR, *_DISCOVER),
    "reinforce": ("batch_size", "learning_rate", "weight_decay", "kl_coef"),
    "ground-truth": (),
}
LEARNING_RATES = {"reinforce": 1e-4}  # an agent's default; for the others:
LEARNING_RATE = 2e-5
_SAMPLING = ("max_new_tokens", "temperature", "top_p")
SERVING_OPTIONS: dict[str, tuple[str, ...]] = {
    "embedded": (),
    "openai": _SAMPLING,
    "vllm": _SAMPLING,
    "hf": (*_SAMPLING, "model_path", "generate_batch"),
}
# The options of its own that can change what a task does.
ENV_OPTIONS: dict[str, tuple[str, ...]] = {
    "2wiki": ("web_search", "retrieval_method", "retrieval_url", "judge_llm", "judge_serving_mode"),
}
# What shows in a run's name in a way of its own, or, like the weights that an LLM's name stands for, not at all.
UNNAMED = ("env", "agent", "bandit", "llm", "seed", "serving_mode", "model_path")
STREAM_OPTIONS = ("shuffle", "limit", "data")
TRACKERS = ("none", "tensorboard", "wandb")
DEVICES = ("auto", "cpu", "cuda", "mps")
EMBEDDED = "embedded"  # the encoder that ships as a package; also the name of the serving mode that needs no LLM
EMBEDDED_READER = "embedded-reader"


def option(default: Any, help: str, **metadata: Any) -> Any:
    """A Config field. `flag` (default: the field's name), `alias`, `choices`, `at_least` and `at_most` are metadata."""
    return field(default=default, metadata={"help": help, **metadata})


@dataclass(frozen=True)
class Config:
    """Every option of main.py, with the paper's defaults."""

    env: str = option("ddxplus", "the task", choices=tuple(ENV_DICT))
    agent: str = option("cbr", "the agent", choices=tuple(AGENT_OPTIONS))
    bandit: str = option("NeuralLinLogUCB", "the policy that ranks recalled cases", choices=tuple(POLICY_OPTIONS))
    seed: int = option(0, "seed of everything random; -1 makes five runs, seeds 0 to 4", at_least=-1, at_most=2**32 - 1)
    shuffle: bool = option(False, "order the stream by the seed (default: the file's order)")
    limit: int | None = option(None, "only the first N steps of the stream", at_least=1, metavar="N")
    data: str = option("auto", "the rows: auto, official, sample, or a folder or .jsonl file", metavar="WHICH")

    comk: int = option(1, "k, the number of cases put into the prompt", at_least=1)
    recall_size: int = option(32, "R, the number of nearest cases that the policy ranks", at_least=1)
    embedding_model_path: str = option(EMBEDDED, "recall encoder: Hugging Face id, folder or embedded", metavar="MODEL")
    reranker_model_path: str = option(EMBEDDED, "ranking encoder: Hugging Face id, folder or embedded", metavar="MODEL")
    regularization: float = option(0.1, "lambda, the ridge term of A", flag="lambda", alias="lamdba", above=0)
    exploration: float = option(0.1, "nu, the weight of the exploration bonus", flag="nu", at_least=0)
    batch_size: int = option(32, "B, the number of feedbacks between two training steps", at_least=1)
    learning_rate: float | None = option(
        None, "of the policy's encoder and head (default: 2e-05) or reinforce's LoRA (default: 0.0001)", at_least=0
    )
    weight_decay: float = option(1e-5, "of the policy's encoder and head, or reinforce's LoRA", at_least=0)
    kl_coef: float = option(0.1, "reinforce: beta, the weight of staying close to the model as it came", at_least=0)

    discover_strategy: str = option(
        "ucb", "cbrdiscover: when to ask for the truth", choices=("random", "ucb", "explore", "exploit")
    )
    budget_ratio: float = option(0.1, "cbrdiscover: the share of steps that may ask", at_least=0, at_most=1)
    queue_size: int = option(32, "cbrdiscover: length of the window of past scores", at_least=1)
    skip_steps: int = option(16, "cbrdiscover: steps before it may ask", at_least=0)

    llm: str | None = option(
        None, "the LLM's name at its server, hf: its id or folder (default: the embedded reader)", metavar="NAME"
    )
    serving_mode: str | None = option(
        None, "default: embedded when no --llm is named, else vllm", choices=tuple(SERVING_OPTIONS)
    )
    server: str = option("127.0.0.1", "vllm: host name or URL of the server")
    port: int = option(8000, "vllm: port of the server", at_least=1, at_most=65535)
    model_path: str | None = option(
        None, "hf: Hugging Face id or folder of the weights (default: what --llm says)", metavar="MODEL"
    )
    generate_batch: int = option(
        8, "hf: how many answers an agent that does not learn generates at once", at_least=1, metavar="N"
    )
    max_new_tokens: int = option(2048, "longest answer, in tokens", at_least=1)
    temperature: float | None = option(None, "sampling temperature (default: 0.1; openai 0.05)", at_least=0)
    top_p: float | None = option(None, "nucleus sampling (default: 0.8)", above=0, at_most=1)
    timeout: float = option(600.0, "seconds to wait for one answer of the LLM", above=0)
    max_retries: int = option(5, "how often a failed request is sent again before the run stops", at_least=0)
    cache: str | None = option(None, "keep the LLM's answers in this SQLite file", metavar="FILE")

    alfworld_path: str | None = option(
        None, "alfworld: the folder of the games (default: ALFWORLD_DATA, or ~/.cache/alfworld)", metavar="FOLDER"
    )
    web_search: bool = option(False, "2wiki: also offer Google search, by Serper (needs SERPER_API_KEY)")
    retrieval_method: str = option(
        "bm25", "2wiki: how a service that the run starts itself searches", choices=("bm25", "dense")
    )
    retrieval_url: str | None = option(
        None, "2wiki: a running retrieval service (default: the run starts its own)", metavar="URL"
    )
    judge_llm: str | None = option(
        None, "2wiki: the LLM that judges answers (default: none, answers must match a label)", metavar="NAME"
    )
    judge_serving_mode: str | None = option(
        None, "how the judge is served (default: as the LLM, or vllm)", choices=("openai", "vllm")
    )
    judge_server: str | None = option(None, "vllm: the judge's host name or URL (default: --server)", metavar="SERVER")
    judge_port: int | None = option(None, "vllm: the judge's port (default: --port)", at_least=1, at_most=65535)

    allow_unsandboxed: bool = option(
        False, "ehr: where no sandbox works, run the LLM's scripts with access to all that you can read"
    )

    output_dir: str = option("results", "where run folders go", metavar="FOLDER")
    overwrite: bool = option(False, "start over where a run folder exists")
    checkpoint_seconds: float = option(60.0, "time between checkpoints; steps since the last are replayed", at_least=0)
    device: str = option("auto", "where encoders and policies run", choices=DEVICES)
    track: str = option("none", "also send metrics to a tracker", choices=TRACKERS)
    debug: bool = option(False, "show tracebacks")

    def __post_init__(self) -> None:
        object.__setattr__(self, "env", ENV_ALIASES.get(self.env, self.env))
        for spec in dataclasses.fields(self):
            _check(spec, getattr(self, spec.name))
        if self.learning_rate is None:
            object.__setattr__(self, "learning_rate", self._default_learning_rate)
        if self.serving_mode is None:
            object.__setattr__(self, "serving_mode", "vllm" if self.llm else EMBEDDED)
        if self.serving_mode == EMBEDDED:
            if self.llm not in (None, EMBEDDED_READER):
                advice = f"drop --llm {self.llm}, or choose openai, vllm or hf"
                raise UsageError(f"--serving_mode embedded is not an LLM: {advice}")
            object.__setattr__(self, "llm", EMBEDDED_READER)
        elif self.llm is None:
            what = "its Hugging Face id or folder" if self.serving_mode == "hf" else "the model's name at the server"
            raise UsageError(f"--serving_mode {self.serving_mode} needs --llm NAME, {what}")
        if self.agent == "reinforce":
            self._check_reinforce()

    def _check_reinforce(self) -> None:
        if self.serving_mode != "hf":
            advice = "add --serving_mode hf --llm ID_OR_FOLDER"
            raise UsageError(f"--agent reinforce trains the LLM itself, so main.py has to run it: {advice}")
        if self.cache:
            raise UsageError("--agent reinforce changes the LLM as it goes: answers kept by --cache would be stale")

    @classmethod
    def from_args(cls, argv: list[str]) -> Config:
        """Parse a command line. Raises UsageError; prints and exits for --help."""
        parser = Parser("main.py", "Deployment-time learning: run an agent on a task's stream and log every step.")
        add_options(parser)
        return cls(**vars(parser.parse_args(argv)))

    def identity(self) -> dict[str, Any]:
        """The settings that can change this run's steps, by field name."""
        names = ["env", "agent", "llm", "serving_mode", "seed", *STREAM_OPTIONS, *AGENT_OPTIONS[self.agent]]
        if "bandit" in names:
            names += POLICY_OPTIONS[self.bandit]
        names += SERVING_OPTIONS[self.serving_mode]
        if "generate_batch" in names and self.agent != "zero-shot":
            names.remove("generate_batch")  # the others learn from each answer before the next
        names += ENV_OPTIONS.get(self.env, ())
        return {name: getattr(self, name) for name in names}

    @property
    def _default_learning_rate(self) -> float:
        return LEARNING_RATES.get(self.agent, LEARNING_RATE)

    def _default(self, spec: dataclasses.Field) -> Any:
        return self._default_learning_rate if spec.name == "learning_rate" else spec.default

    def run_name(self) -> str:
        """The run's folder below --output_dir: env / agent-and-bandit / llm / seed, settings off their default too."""
        identity = self.identity()
        agent = f"{self.agent}-{self.bandit}" if "bandit" in identity else self.agent
        parts = {"env": [self.env], "agent": [agent], "llm": [_path_safe(self.llm)]}
        own = (*STREAM_OPTIONS, *ENV_OPTIONS.get(self.env, ()))
        for spec in dataclasses.fields(self):
            if spec.name in UNNAMED or spec.name not in identity:
                continue
            value = identity[spec.name]
            if value != self._default(spec):
                served = spec.name in SERVING_OPTIONS[self.serving_mode]
                where = "env" if spec.name in own else "llm" if served else "agent"
                shown = Path(value).name if spec.name in ENCODERS else _path_safe(value)
                parts[where].append(flag(spec) if value is True else f"{flag(spec)}={shown}")
        return "/".join([*(_shorten(",".join(part)) for part in parts.values()), f"seed{self.seed}"])


def add_options(parser: argparse._ActionsContainer) -> None:
    """Let `parser` (or a group of it) take every option; the namespace holds only those that a command line names."""
    hints = get_type_hints(Config)
    for spec in dataclasses.fields(Config):
        _add_argument(parser, spec, hints[spec.name])


def flag(spec: dataclasses.Field) -> str:
    """How the option is spelled on the command line, without the dashes."""
    return spec.metadata.get("flag", spec.name)


def _path_safe(value: Any) -> str:
    return str(value).strip("/").replace("/", "_").replace(",", "_")


def _shorten(name: str, limit: int = 150) -> str:
    """`name`, or its beginning and a hash where it is too long for a folder's name (model paths can be)."""
    if len(name) <= limit:
        return name
    return f"{name[:limit]}~{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _check(spec: dataclasses.Field, value: Any) -> None:
    name, limits = f"--{flag(spec)}", spec.metadata
    if value is None:
        return
    if "choices" in limits and value not in limits["choices"]:
        raise unknown_choice(name, value, limits["choices"])
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{name} must be a finite number, not {value}")
    if "at_least" in limits and value < limits["at_least"]:
        raise UsageError(f"{name} must be at least {limits['at_least']}, not {value}")
    if "above" in limits and value <= limits["above"]:
        raise UsageError(f"{name} must be above {limits['above']}, not {value}")
    if "at_most" in limits and value > limits["at_most"]:
        raise UsageError(f"{name} must be at most {limits['at_most']}, not {value}")


def _add_argument(parser: argparse._ActionsContainer, spec: dataclasses.Field, hint: Any) -> None:
    metadata = spec.metadata
    names = [f"--{flag(spec)}"] + ([f"--{metadata['alias']}"] if "alias" in metadata else [])
    help = metadata["help"].replace("%", "%%")
    if "choices" in metadata:
        help += f" {{{', '.join(metadata['choices'])}}}"
    if hint is bool:
        parser.add_argument(*names, dest=spec.name, action="store_true", default=argparse.SUPPRESS, help=help)
        return
    if spec.default is not None:
        help += f" (default: {spec.default})"
    kind = next(kind for kind in (int, float, str) if kind is hint or kind in getattr(hint, "__args__", ()))
    metavar = metadata.get("metavar", kind.__name__.upper())
    parser.add_argument(*names, dest=spec.name, type=kind, default=argparse.SUPPRESS, help=help, metavar=metavar)


class _Help(argparse.HelpFormatter):
    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(text, width, break_on_hyphens=False)  # names like zero-shot stay whole


class Parser(argparse.ArgumentParser):
    """A parser whose errors are UsageErrors."""

    def __init__(self, prog: str, description: str) -> None:
        super().__init__(prog=prog, description=description, allow_abbrev=False, formatter_class=_Help)

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message} (`python {self.prog} --help` lists the options)")
