"""What can be chosen by name, one row each: strings alone, so that `--help` and a check of names import no model code.

A row says where its class is, which options can change what it does, which defaults of theirs are its own, and a line
of help. To add one, write the class and its row.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_origin, get_type_hints

import plugins
from errors import UsageError, UserError, unknown_choice


@dataclass(frozen=True)
class Row:
    """One choice.

    Attributes:
        where: "module:Class", imported when it is used.
        options: the Config fields that can change its results, beside those that every run has.
        defaults: what it takes for those that the command line leaves open (None).
        on_task: the same for single tasks, where these are others: task -> option -> value.
        help: what it is, in a line.
        requirements: the file that names the packages it needs.
        packages: those of them that it imports only once it is at work.
        reads: further Config fields that it reads and that change no step (where a server is, say). A client that
            can work on several requests at once reads `concurrency`.
        learns: of a rule, whether what it does can depend on earlier steps, or change what later ones do.
    """

    where: str
    options: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    help: str = ""
    requirements: str = "requirements.txt"
    reads: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    learns: bool = True

    def check(self) -> None:
        """Raise UserError where one of `packages` is not installed; nothing is imported."""
        for package in self.packages:
            if importlib.util.find_spec(package) is None:
                raise self._missing(package)

    on_task: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def defaults_for(self, env: str) -> dict[str, Any]:
        """What it takes for open options on the task `env`."""
        return {**self.defaults, **self.on_task.get(env, {})}

    def load(self) -> Any:
        """The class itself. Raises UserError where there is none, or a package that it needs is not installed."""
        try:
            return plugins.load(self.where)
        except ModuleNotFoundError as error:
            raise self._missing(str(error.name).partition(".")[0]) from error

    def _missing(self, package: str) -> UserError:
        return UserError(f"the package {package} is missing: `pip install -r {self.requirements}`")


@dataclass(frozen=True)
class AgentRow(Row):
    """An agent: rules by name, one of each table below, and a class of its own only where it is more than rules.

    Attributes:
        retrieve: which cases to show, a row of RETRIEVALS.
        render: how a prompt shows them, a row of RENDERINGS.
        answer: how the task is carried out with that prompt, a row of ANSWERS.
        retain: what becomes a case, a row of RETAINS.
        who: who answers: "one" LLM, or a rule of CHOOSERS over those of --llms, where --who names no other.
        needs: "one text" where it can only play tasks whose answer is one text, "one question" where also no
            dialogue may lead to it, "turns" where it can only play tasks with a dialogue; "" for any task.
        perfect: whether a success rate below 1 is a fault, of the task.
        looks_up: whether it also looks up what it has learned while it answers; then one step is answered at a time.
        by_rules: of an agent with a class of its own, whether all that it learns is in its rules' cases and policy.
        plans_ahead: whether a step depends on how long the stream is, so that no longer run can begin with its steps.
    """

    where: str = "agent:Agent"
    retrieve: str = "nothing"
    render: str = "cases"
    answer: str = "once"
    retain: str = "nothing"
    who: str = "one"
    needs: str = ""
    perfect: bool = False
    by_rules: bool = False
    looks_up: bool = False
    plans_ahead: bool = False

    def can_learn(self, control: str | None) -> bool:
        """Whether a step can depend on those before it; `control`: what --control says."""
        retrieve, retain = (self.retrieve, self.retain) if control != "empty" else ("nothing", "nothing")
        own = self.where != AgentRow.where and not self.by_rules
        rules = (find_rule(RULES["retrieve"], retrieve), find_rule(RULES["retain"], retain))
        return own or self.who != "one" or any(rule.learns for rule in rules)

    def rules(self) -> list[Row]:
        """Its rows of the tables of rules."""
        chosen = {"retrieve": self.retrieve, "render": self.render, "answer": self.answer, "retain": self.retain}
        return [find_rule(RULES[kind], name) for kind, name in chosen.items()]


_BANK = ("bank_from", "retain", "bank_limit", "forget")
_SHOWN = ("comk", "control")
_RECALLED = ("embedding_model_path", "precision")
_ONE = {"comk": 1}
_RANKED: dict[str, Any] = {  # of a rule that lets a policy rank
    "options": (*_SHOWN, *_BANK, "policy_from", "bandit", "recall_size", *_RECALLED, "reranker_model_path"),
    "defaults": {**_ONE, "bandit": "NeuralLinLogUCB"},
}

# Which cases to show.
RETRIEVALS: dict[str, Row] = {
    "nothing": Row("agent:NoRetrieval", learns=False),
    "latest": Row("agent:Latest", (*_SHOWN, *_BANK, "feedback"), _ONE),
    "nearest": Row(
        "agents.nearest:Nearest",
        (*_SHOWN, *_BANK, "feedback", "order", *_RECALLED),
        {**_ONE, "order": "similar_last"},
    ),
    "ranked": Row("agent:Ranked", **_RANKED),
    "fixed": Row("agents.examples:Fixed", (*_SHOWN, "examples"), _ONE, learns=False),
    "pairs": Row("agents.pairs:RankedPairs", **_RANKED),
    "random": Row("agents.controls:RandomCases"),  # --control random puts it in a method's own rule's place
}

# Who answers, where there are several LLMs (--llms).
CHOOSERS: dict[str, Row] = {
    "round_robin": Row("agents.choosing:RoundRobin"),
    "thompson": Row("agents.choosing:Thompson"),
    "dynamic_thompson": Row("agents.choosing:DynamicThompson"),
    "random": Row("agents.choosing:RandomLLM"),
    "policy": Row("agents.choosing:ByRetrieval"),  # the policy has chosen a pair of case and LLM
}

# How a prompt shows them.
RENDERINGS: dict[str, Row] = {
    "cases": Row("agents.rendering:as_cases"),
    "feedback": Row("agents.rendering:with_feedback"),
    "choice": Row("agents.remem:with_choice"),
    "notes": Row("agents.rendering:as_notes"),
    "cases_with_notes": Row("agents.rendering:cases_with_notes"),
    "reasoned": Row("agents.rendering:reasoned"),
    "good_and_bad": Row("agents.rendering:good_and_bad"),
    "plans": Row("agents.turns:with_plans"),
}

# How the task is carried out with that prompt.
ANSWERS: dict[str, Row] = {
    "once": Row("agents.answering:ask_once"),
    "remem": Row("agents.remem:remem"),
    "refine": Row("agents.refining:refine"),
    "truth": Row("agents.answering:write_truth"),
}

# What becomes a case.
RETAINS: dict[str, Row] = {
    "nothing": Row("agents.retaining:keep_nothing", learns=False),
    "successes": Row("agents.retaining:keep_successes"),
    "everything": Row("agents.retaining:keep_everything"),
    "ground_truth": Row("agents.retaining:keep_ground_truth"),
    "output": Row("agents.retaining:keep_output", ("keep",), {"keep": "successes"}),
    "episodes": Row("agents.retaining:keep_episode"),
    "lessons": Row("agents.retaining:keep_lessons", ("judge",), {"judge": "feedback"}),
}

RULES = {"retrieve": RETRIEVALS, "render": RENDERINGS, "answer": ANSWERS, "retain": RETAINS}

_SIXTEEN: dict[str, Any] = {
    "defaults": {"comk": 16},
    "on_task": {"ds1000": {"comk": 4}, "hotpotqa": {"comk": 4}},
}
_LESSONS: dict[str, Any] = {
    "where": "agents.lessons:ReasoningAgent",
    "retrieve": "nearest",
    "retain": "lessons",
    "by_rules": True,
}
_EXPERIENCE: dict[str, Any] = {"render": "feedback", "retain": "output"}

AGENTS: dict[str, AgentRow] = {
    "zero-shot": AgentRow(help="shows no cases"),
    "few-shot": AgentRow(help="shows k rows of --examples, the same in every prompt", retrieve="fixed", **_SIXTEEN),
    "cot": AgentRow(help="zero-shot, with reasons before the answer", render="reasoned"),
    "self-refine": AgentRow(
        help="zero-shot, and the LLM criticises and rewrites its answer up to four times", answer="refine"
    ),
    "icrl": AgentRow(
        help="shows the latest k interactions, each with its feedback",
        retrieve="latest",
        render="feedback",
        retain="everything",
    ),
    "icrl-plus": AgentRow(help="shows the latest k successes", retrieve="latest", retain="successes"),
    "cbr": AgentRow(
        help="a policy chooses k of its own successes; with NeuralLinLogUCB this is CASCADE",
        retrieve="ranked",
        retain="successes",
    ),
    "cbrgt": AgentRow(help="as cbr, and retains every ground truth", retrieve="ranked", retain="ground_truth"),
    "cbrdiscover": AgentRow(
        "agents.discovery:DiscoverAgent",
        help="as cbr, and asks for the ground truth of a share of the steps",
        options=("discover_strategy", "budget_ratio", "queue_size", "skip_steps"),
        retrieve="ranked",
        retain="successes",
        needs="one text",
        plans_ahead=True,
    ),
    "grow-prompt": AgentRow(
        help="StreamBench: icrl with 16 interactions",
        retrieve="latest",
        render="feedback",
        retain="everything",
        **_SIXTEEN,
    ),
    "mem-prompt": AgentRow(
        help="StreamBench: shows the k nearest interactions, each with its feedback",
        retrieve="nearest",
        render="feedback",
        retain="everything",
        **_SIXTEEN,
    ),
    "self-stream-icl": AgentRow(
        help="StreamBench: shows the k nearest successes", retrieve="nearest", retain="successes", **_SIXTEEN
    ),
    "mam-stream-icl": AgentRow(
        help="StreamBench: self-stream-icl, its bank shared by the LLMs of --llms, which take turns",
        retrieve="nearest",
        retain="successes",
        who="round_robin",
        options=("who",),
        **_SIXTEEN,
    ),
    "mam-cbr": AgentRow(
        help="as cbr over the LLMs of --llms: a policy chooses a case and who answers with it, as one arm",
        retrieve="pairs",
        retain="successes",
        who="policy",
        options=("who",),
        defaults={"null_arm": "off"},  # an arm is a case and who answers with it
    ),
    "exp-recent": AgentRow(
        help="Evo-Memory: shows the latest k successes with their whole outputs",
        retrieve="latest",
        defaults={"comk": 4},
        **_EXPERIENCE,
    ),
    "exp-rag": AgentRow(
        help="Evo-Memory: shows the k nearest successes with their whole outputs",
        retrieve="nearest",
        defaults={"comk": 4, "order": "similar_first"},
        **_EXPERIENCE,
    ),
    "remem": AgentRow(
        help="Evo-Memory: exp-rag, and before it acts the LLM may think, or drop cases that do not help",
        retrieve="nearest",
        render="choice",
        answer="remem",
        retain="output",
        defaults={"comk": 4, "order": "similar_first"},
    ),
    "memento-np": AgentRow(
        help="Memento: shows the k nearest interactions, what worked apart from what did not",
        retrieve="nearest",
        render="good_and_bad",
        retain="output",
        defaults={"comk": 4, "order": "similar_first", "keep": "everything"},
    ),
    "memento-q": AgentRow(
        help="as memento-np, its cases chosen by a learned Q, without exploration",
        retrieve="ranked",
        render="good_and_bad",
        retain="output",
        defaults={"comk": 4, "keep": "everything", "bandit": "MementoQ"},
    ),
    "traj-bootstrap": AgentRow(
        help="Traj-Bootstrap: shows the k nearest successes, whole episodes of a game",
        retrieve="nearest",
        retain="successes",
        defaults={"comk": 6},
    ),
    "traj-bootstrap-utility": AgentRow(
        help="as traj-bootstrap, of the R nearest those that were followed by success most often",
        retrieve="ranked",
        retain="successes",
        defaults={"comk": 6, "bandit": "Utility"},
    ),
    "traj-bootstrap-turns": AgentRow(
        "agents.turns:TurnAgent",
        looks_up=True,
        help="as traj-bootstrap, with a plan first and a thought before each action, each with turns that match it",
        retrieve="nearest",
        render="plans",
        retain="episodes",
        defaults={"comk": 6, "temperature": 0.1},
        needs="turns",
    ),
    "reasoning-bank": AgentRow(
        help="ReasoningBank: the LLM writes lessons after each step; shows those of the nearest one",
        render="notes",
        **_LESSONS,
    ),
    "reasoning-bank-cases": AgentRow(
        help="as reasoning-bank, with the case beside its lessons", render="cases_with_notes", **_LESSONS
    ),
    "reinforce": AgentRow(
        "agents.reinforce:ReinforceAgent",
        help="shows no cases and trains LoRA weights of a local LLM",
        options=("batch_size", "learning_rate", "weight_decay", "kl_coef"),
        defaults={"learning_rate": 1e-4},
        requirements="requirements-local.txt",
        packages=("peft",),
        needs="one question",
    ),
    "ground-truth": AgentRow(
        help="answers with the label, to check a task: it must score 1", answer="truth", needs="one text", perfect=True
    ),
}

_RIDGE = ("regularization", "exploration")
_TRAINED = (*_RIDGE, "batch_size", "learning_rate", "weight_decay", "history_limit", "refresh")
_NU = {"exploration": 0.1}
_EVIDENCE = ("exploration", "prior_strength", "evidence_width", "null_arm", "half_life")
_OF_EVIDENCE = {"exploration": 0.6, "null_arm": "on"}
_STEP_SIZE = {**_NU, "learning_rate": 2e-5}

OF_EVERY_POLICY = ("seed", "comk", "recall_size")  # what its constructor may take beside the options of its row
ENCODERS = ("encoder", "text_encoder")  # and what is made for it, which is no option
# A policy's constructor takes `encoder` where it needs features, and any fields of Config by name.
POLICIES: dict[str, Row] = {
    "NeuralLinLogUCB": Row(
        "bandit:NeuralLinLogUCB",
        (*_TRAINED, "centre", "w_learning_rate", "bonus"),
        _STEP_SIZE,
        "the paper's: trained features, logistic",
    ),
    "LinLogUCB": Row("bandit:LinLogUCB", _RIDGE, _NU, help="logistic regression on frozen features"),
    "NeuralLinUCB": Row("bandit:NeuralLinUCB", _TRAINED, _STEP_SIZE, "trained features, linear reward"),
    "NeuralLogUCB": Row("bandit:NeuralLogUCB", _RIDGE, _NU, help="a small network on frozen features"),
    "MementoQ": Row(
        "agents.case_values:MementoQ",
        _TRAINED,
        {"exploration": 0.0, "learning_rate": 2e-5},
        "Memento's: the chance of success, learned, without exploration",
    ),
    "Utility": Row("agents.case_values:Utility", help="Traj-Bootstrap's: how often a case was shown to success"),
    "EvidenceLogUCB": Row(
        "agents.evidence:EvidenceLogUCB",
        _EVIDENCE,
        _OF_EVIDENCE,
        "logistic on few features: how a case's answer fared among the near past queries",
    ),
    "NeuralEvidenceLogUCB": Row(
        "agents.neural_evidence:NeuralEvidenceLogUCB",
        (*_EVIDENCE, "batch_size", "learning_rate", "weight_decay", "refresh"),
        {**_OF_EVIDENCE, "learning_rate": 2e-5},
        "as EvidenceLogUCB, with the logit of a trained encoder as one more feature",
    ),
    "Pretrained": Row("bandit:Pretrained", help="the pretrained ranker as it came (NP-CBR)"),
    "Random": Row("bandit:Random", help="any recalled case"),
}

_SAMPLING = ("max_new_tokens", "temperature", "top_p", "system_prompt")
_QWEN3 = {"temperature": 0.1, "top_p": 0.8}  # the paper's; clients/sampling.py has what no option sets
_ASKED = ("timeout", "max_retries", "concurrency", "cache", "log_requests")

CLIENTS: dict[str, Row] = {
    "embedded": Row(
        "clients.embedded:EmbeddedReader",
        help="a small reader in this process, which is no LLM",
        reads=("cache", "log_requests"),
    ),
    "openai": Row(
        "clients.server:OpenAI",
        (*_SAMPLING, "extra_body"),
        {"temperature": 0.05, "top_p": 0.8},
        "an API of the OpenAI protocol (OPENAI_API_KEY, OPENAI_BASE_URL)",
        reads=_ASKED,
    ),
    "vllm": Row(
        "clients.server:VLLM",
        (*_SAMPLING, "thinking", "extra_body"),
        _QWEN3,
        "a vLLM server (--server, --port)",
        reads=("server", "port", *_ASKED),
    ),
    "hf": Row(
        "clients.local:LocalClient",
        (*_SAMPLING, "thinking", "model_path"),
        _QWEN3,
        "transformers, in this process",
        reads=("generate_batch", "cache", "log_requests"),
    ),
}

# The LLMs of --llms: each has a row of its own, and these options where the command line says them for all.
ROSTER = Row(
    "llm:Roster",
    (*_SAMPLING, "thinking", "extra_body"),
    help="several LLMs",
    reads=("llms", "server", "port", "generate_batch", *_ASKED),
)


# -- looking up, also what lies outside the tables --------------------------------------------------------------------


def find_rule(table: Mapping[str, Row], name: str) -> Row:
    """A row of a table of rules, or that of a class or function outside: with the options of the rule it extends."""
    if name in table:
        return table[name]
    options, defaults = _inherited(_load(name), table)
    return Row(name, options, defaults)


def find_agent(name: str) -> AgentRow:
    """The row of an agent: one of AGENTS, or one that a file outside has. Raises UserError."""
    return AGENTS[name] if name in AGENTS else _outside_agent(plugins.resolve(name))


def find_policy(name: str) -> Row:
    """The row of a policy: one of POLICIES, or that of a class outside. Raises UserError."""
    return POLICIES[name] if name in POLICIES else _outside_policy(plugins.resolve(name))


@functools.cache
def _outside_policy(place: str) -> Row:
    """What the constructor says: its keywords are the options, their defaults its own or those of what it extends."""
    made = _load(place)
    if not all(callable(getattr(made, name, None)) for name in ("score", "update", "state_dict", "load_state_dict")):
        raise UsageError(f"--bandit {place} is no policy: extend Policy, FeaturePolicy or another class of bandit.py")
    parameters = inspect.signature(made).parameters
    _, inherited = _inherited(made, POLICIES)
    options = tuple(name for name in parameters if name not in (*OF_EVERY_POLICY, *ENCODERS))
    given = {p.name: p.default for p in parameters.values() if p.default is not p.empty}
    defaults = {name: value for name, value in (inherited | given).items() if name in options}
    return Row(place, options, defaults, (inspect.getdoc(made) or "").partition("\n")[0])


def _inherited(made: Any, table: Mapping[str, Row]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """The options and defaults of the nearest class in `table` that `made` extends."""
    rows = {row.where: row for row in table.values()}
    for base in getattr(made, "__mro__", ()):
        row = rows.get(f"{base.__module__}:{base.__qualname__}")
        if row is not None:
            return row.options, dict(row.defaults)
    return (), {}


@functools.cache
def _outside_agent(place: str) -> AgentRow:
    path, _ = plugins.split(place)
    row = _read_agent(Path(path)) if path.endswith((".yaml", ".yml")) else _load(place)
    if not isinstance(row, AgentRow):
        raise UsageError(f'{place} is no row: name an AgentRow(where="file.py:Class"), or a file.yaml with its rules')
    if plugins.label(place) in AGENTS:
        raise UsageError(f"{place}: there is an agent {plugins.label(place)} already; give the file another name")
    beside = Path(path).parent if path.endswith(plugins.SUFFIXES) else None
    own = {name: getattr(row, name) for name in ("where", *RULES)}
    resolved: dict[str, Any] = {k: plugins.resolve(v, beside) for k, v in own.items() if plugins.is_outside(v)}
    row = dataclasses.replace(row, **resolved)
    for kind, table in RULES.items():
        name = getattr(row, kind)
        if name not in table and not plugins.is_outside(name):
            raise UsageError(f"{path}: {unknown_choice(kind, str(name), table)}, or a place such as file.py:Class")
        find_rule(table, name)
    return row


def _read_agent(path: Path) -> AgentRow:
    """The row that a YAML file has: the attributes of AgentRow. Raises UserError."""
    import yaml

    try:
        row = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise UsageError(f"--agent {path}: cannot be read ({reason})") from None
    known = {spec.name: get_type_hints(AgentRow)[spec.name] for spec in dataclasses.fields(AgentRow)}
    if not isinstance(row, dict):
        raise UsageError(f"--agent {path}: expected lines NAME: VALUE, with names among {', '.join(known)}")
    for name, value in row.items():
        if name not in known:
            raise UsageError(f"{path}: {unknown_choice('name', str(name), known)}")
        kind = get_origin(known[name]) or known[name]
        if not isinstance(value, list if kind is tuple else kind):
            wanted = {tuple: "a list", Mapping: "a mapping"}.get(kind, kind.__name__)
            raise UsageError(f"{path}: {name} has to be {wanted}, not {value!r}")
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in row.items()}
    return AgentRow(**values)


def _load(place: str) -> Any:
    try:
        return plugins.load(place)
    except ModuleNotFoundError as error:
        raise plugins.missing_package(place, error) from error


def method_rows(agent: str, bandit: str | None, env: str) -> list[Row]:
    """The rows that make a method, most particular first: the agent's, its rules', its policy's where it has one."""
    row = find_agent(agent)
    rows = [row, *row.rules()]
    if any("bandit" in each.options for each in rows):
        rows.append(find_policy(bandit or defaults_of(rows, env)["bandit"]))
    return rows


def defaults_of(rows: list[Row], env: str) -> dict[str, Any]:
    """What `rows` take for open options on the task `env`; the first row that has one decides."""
    return {name: value for row in reversed(rows) for name, value in row.defaults_for(env).items()}
