"""The agents. Every memory agent is a retrieval rule x a retain rule x a rendering rule; AGENT_DICT is the table.

    retrieval   which cases to show:  nothing, the latest k, or recall R by cosine and let a policy rank them
    retain      what to keep:         nothing, successes, everything with its feedback, or the ground truth
    rendering   how to show cases:    as solved cases, or each with its feedback

The loop in main.py calls retrieve, generate, evaluate, update and retain, in that order, once a step.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from config import Config
from env.base import Env
from errors import UsageError
from llm import LLM
from memory.bank import Case, CaseBank

if TYPE_CHECKING:
    from bandit import Policy
    from memory.encoders import TextEncoder

Metrics = dict[str, float]


# -- retrieval rules ---------------------------------------------------------------------------------------------------


class NoRetrieval:
    """Shows nothing; the retrieval rule that the others extend."""

    def __init__(self, bank: CaseBank) -> None:
        self.bank = bank
        self.metrics: Metrics = {}

    def retrieve(self, query: str) -> list[Case]:
        """The cases to show for `query`, each with its `score` where it was ranked; sets `metrics`."""
        return []

    def update(self, query: str, cases: list[Case], reward: int) -> None:
        """Learn from the reward that showing `cases` brought."""

    def save(self, folder: Path) -> None:
        self.bank.save(folder)

    def load(self, folder: Path) -> None:
        self.bank.load(folder)


class Latest(NoRetrieval):
    """The latest k cases, oldest first."""

    def __init__(self, bank: CaseBank, k: int) -> None:
        super().__init__(bank)
        self._k = k

    def retrieve(self, query: str) -> list[Case]:
        return self.bank.latest(self._k)


class Ranked(NoRetrieval):
    """Recall the R nearest cases by cosine, let the policy rank them, show the top k."""

    def __init__(self, bank: CaseBank, policy: Policy, k: int, recall_size: int) -> None:
        super().__init__(bank)
        self._policy = policy
        self._k = k
        self._recall_size = recall_size

    def retrieve(self, query: str) -> list[Case]:
        self.metrics = {}
        if len(self.bank) <= self._k:
            return list(self.bank.cases)
        recalled = self.bank.recall(query, max(self._recall_size, self._k))
        scores = self._policy.score(query, [case["task"] for case in recalled])
        chosen = scores.top(self._k)
        self.metrics = scores.metrics(chosen)
        total = scores.total
        return [recalled[i] | {"score": total[i].item()} for i in chosen]

    def update(self, query: str, cases: list[Case], reward: int) -> None:
        if cases:
            self.metrics |= self._policy.update(query, [case["task"] for case in cases], reward)

    def save(self, folder: Path) -> None:
        import torch

        super().save(folder)
        torch.save(self._policy.state_dict(), folder / "policy.pt")

    def load(self, folder: Path) -> None:
        import torch

        super().load(folder)
        self._policy.load_state_dict(torch.load(folder / "policy.pt", map_location="cpu", weights_only=True))


# -- retain rules: (env, answer, reward) -> the case's answer and reward, or None to keep nothing ---------------------

Kept = tuple[Any, int] | None


def keep_nothing(env: Env, answer: Any, reward: int) -> Kept:
    return None


def keep_successes(env: Env, answer: Any, reward: int) -> Kept:
    return (answer, 1) if reward else None


def keep_everything(env: Env, answer: Any, reward: int) -> Kept:
    return (answer, reward)


def keep_ground_truth(env: Env, answer: Any, reward: int) -> Kept:
    return (env.get_ground_truth(), 1)


# -- rendering rules: (env, query, cases) -> prompt ------------------------------------------------------------------


def as_cases(env: Env, query: str, cases: list[Case]) -> str:
    return env.get_case_based_prompt(query, cases) if cases else env.get_zero_shot_prompt(query)


def with_feedback(env: Env, query: str, cases: list[Case]) -> str:
    return env.get_case_based_prompt_reflexion(query, cases) if cases else env.get_zero_shot_prompt(query)


# -- agents -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rules:
    """One row of the agents' table."""

    retrieval: str = "nothing"  # nothing, latest or ranked
    retain: Callable[[Env, Any, int], Kept] = keep_nothing
    render: Callable[[Env, str, list[Case]], str] = as_cases

    @property
    def prompts_are_known(self) -> bool:
        """Whether no answer changes what a later step shows."""
        return self.retrieval == "nothing"


def asks_once(env: Env) -> bool:
    """Whether each step of the task is one prompt and one answer."""
    return env.single_turn and type(env).interact is Env.interact


class Agent:
    """Answers the environment's tasks and learns from one bit of feedback each."""

    def __init__(self, env: Env, llm: LLM, retrieval: NoRetrieval, rules: Rules) -> None:
        self.env = env
        self.llm = llm
        self.ask = llm.session()  # the loop gives each step its own
        self.retrieval = retrieval
        self.rules = rules

    def retrieve(self, query: str) -> list[Case]:
        return self.retrieval.retrieve(query)

    def generate(self, query: str, cases: list[Case]) -> str:
        """Ask the LLM. Raises LLMError where it does not answer."""
        if self.rules.prompts_are_known and asks_once(self.env):
            self.ask.look_ahead(self._prompt_of, len(self.env))
        return self.env.interact(self.rules.render(self.env, query, cases), self.ask)

    def _prompt_of(self, step: int) -> str:
        """The prompt of `step` (from 1) where it shows no cases."""
        here, self.env.index = self.env.index, step - 1
        try:
            return self.rules.render(self.env, self.env.observe(), [])
        finally:
            self.env.index = here

    def evaluate(self, output: str) -> tuple[Any, int]:
        return self.env.evaluate(output)

    def replay(self, record: dict[str, Any]) -> tuple[Any, int]:
        """What `evaluate` returned in a step that was logged before."""
        return record["answer"], record["reward"]

    def update(self, query: str, cases: list[Case], reward: int) -> None:
        self.retrieval.update(query, cases, reward)

    def retain(self, query: str, answer: Any, reward: int) -> None:
        kept, key = self.rules.retain(self.env, answer, reward), self.env.case_key(query)
        if kept is not None and key is not None:
            case_answer, case_reward = kept
            step = self.env.index + 1
            self.retrieval.bank.add({"id": step, "task": key, "answer": case_answer, "reward": case_reward})

    @property
    def metrics(self) -> Metrics:
        """Numbers about the current step, for the log."""
        return self.retrieval.metrics

    @property
    def memo(self) -> dict[str, Any]:
        """What the step's record has to hold, under keys of its own, so that `replay` can repeat the step."""
        return {}

    def save(self, folder: Path) -> None:
        """Write everything that the next step depends on."""
        self.retrieval.save(folder)

    def load(self, folder: Path) -> None:
        self.retrieval.load(folder)


class GroundTruthAgent(Agent):
    """Answers with the label: a sanity check of task and parser, which must score 1.0."""

    def generate(self, query: str, cases: list[Case]) -> str:
        return self.env.gold_output()


class DiscoverAgent(Agent):
    """cbr that may ask for the ground truth of a share of the steps, where its policy is least sure.

    A step that asked counts as a success and retains the ground truth; the policy still learns from whether the LLM's
    own answer was right.
    """

    def __init__(self, *args: Any, config: Config) -> None:
        super().__init__(*args)
        steps = len(self.env)
        self._strategy = config.discover_strategy
        self._skip_steps = config.skip_steps
        self._budget = int(config.budget_ratio * steps)
        self._rate = min(1.0, self._budget / (steps - config.skip_steps)) if steps > config.skip_steps else 0.0
        self._window: deque[float] = deque(maxlen=config.queue_size)
        self._seed = config.seed
        self._seen = 0  # values seen by the window's strategies
        self._asked = 0
        self._asked_failing = 0  # of those, the steps that the LLM's answer would have failed
        self._asking = False
        self._own_reward = 0

    def retrieve(self, query: str) -> list[Case]:
        cases = super().retrieve(query)
        wants = self._chance() if self._strategy == "random" else self._below_window()
        self._asking = wants and self._asked < self._budget
        return cases

    def _chance(self) -> bool:
        draw = np.random.default_rng([self._seed, self.env.index]).random()
        return self.env.index >= self._skip_steps and bool(draw < self._rate)

    def _below_window(self) -> bool:
        """Whether the largest value of the strategy's term is low, compared with the recent steps' ones."""
        term = "score" if self._strategy == "ucb" else self._strategy
        value = self.metrics.get(f"UCB/{term}_max")
        if value is None:  # no candidates were ranked
            return False
        ready = self._seen >= self._skip_steps and len(self._window) > 0
        wants = ready and value < float(np.percentile(self._window, 100 * self._rate))
        self._window.append(value)
        self._seen += 1
        return bool(wants)

    def evaluate(self, output: str) -> tuple[Any, int]:
        answer, self._own_reward = super().evaluate(output)
        return self._settle(answer)

    def replay(self, record: dict[str, Any]) -> tuple[Any, int]:
        answer, reward = super().replay(record)
        self._own_reward = int(record["metrics"].get("discover/own_reward", reward))
        return self._settle(answer)

    def _settle(self, answer: Any) -> tuple[Any, int]:
        if not self._asking:
            return answer, self._own_reward
        self._asked += 1
        self._asked_failing += 1 - self._own_reward
        return self.env.get_ground_truth(), 1

    def update(self, query: str, cases: list[Case], reward: int) -> None:
        super().update(query, cases, self._own_reward)

    @property
    def metrics(self) -> Metrics:
        return super().metrics | {
            "discover/asked": int(self._asking),
            "discover/own_reward": self._own_reward,
            "NumDiscovery": self._asked,
            "DiscoverSuccessRate": self._asked_failing / self._asked if self._asked else 0.0,
        }

    def save(self, folder: Path) -> None:
        super().save(folder)
        state = {"window": list(self._window), "seen": self._seen, "asked": self._asked, "failing": self._asked_failing}
        (folder / "discover.json").write_text(json.dumps(state), encoding="utf-8")

    def load(self, folder: Path) -> None:
        super().load(folder)
        state = json.loads((folder / "discover.json").read_text(encoding="utf-8"))
        self._window.extend(state["window"])
        self._seen, self._asked, self._asked_failing = state["seen"], state["asked"], state["failing"]


AGENT_DICT: dict[str, Rules] = {
    "zero-shot": Rules(),
    "icrl": Rules("latest", keep_everything, with_feedback),
    "icrl-plus": Rules("latest", keep_successes),
    "cbr": Rules("ranked", keep_successes),
    "cbrgt": Rules("ranked", keep_ground_truth),
    "cbrdiscover": Rules("ranked", keep_successes),
    "reinforce": Rules(),
    "ground-truth": Rules(),
}

SINGLE_TURN_AGENTS = ("cbrdiscover", "ground-truth", "reinforce")


def make_agent(config: Config, env: Env, llm: LLM, text_encoder: Callable[[], TextEncoder]) -> Agent:
    """The agent of `config`; `text_encoder` loads the recall encoder, which only ranked retrieval needs."""
    if config.agent in SINGLE_TURN_AGENTS and not env.single_turn:
        reason = f"it does not apply to the task {env.name}"
        raise UsageError(f"--agent {config.agent} needs the answer as one text: {reason}")
    rules = AGENT_DICT[config.agent]
    if rules.retrieval == "nothing":
        retrieval = NoRetrieval(CaseBank())
    elif rules.retrieval == "latest":
        retrieval = Latest(CaseBank(), config.comk)
    else:
        encoder = text_encoder()
        retrieval = Ranked(CaseBank(encoder), make_policy(config, encoder), config.comk, config.recall_size)
    if config.agent == "reinforce":
        from agents.reinforce import ReinforceAgent

        return ReinforceAgent(env, llm, retrieval, rules, config=config)
    if config.agent == "cbrdiscover":
        return DiscoverAgent(env, llm, retrieval, rules, config=config)
    kind = GroundTruthAgent if config.agent == "ground-truth" else Agent
    return kind(env, llm, retrieval, rules)


def make_policy(config: Config, text_encoder: TextEncoder) -> Policy:
    """The policy of `config` with its ranking encoder; loads only the model that the policy needs."""
    import bandit

    if config.bandit == "Random":
        return bandit.Random(config.seed)
    features = _make_features(config, text_encoder)
    ridge = {"regularization": config.regularization, "exploration": config.exploration}
    neural = {**ridge, "learning_rate": config.learning_rate, "batch_size": config.batch_size, "k": config.comk}
    makers: dict[str, Callable[[], Policy]] = {
        "Pretrained": lambda: bandit.Pretrained(features),
        "LinLogUCB": lambda: bandit.LinLogUCB(features, **ridge),
        "NeuralLogUCB": lambda: bandit.NeuralLogUCB(features, **ridge, seed=config.seed),
        "NeuralLinUCB": lambda: bandit.NeuralLinUCB(features, **neural, seed=config.seed),
        "NeuralLinLogUCB": lambda: bandit.NeuralLinLogUCB(features, **neural),
    }
    return makers[config.bandit]()


def _make_features(config: Config, text_encoder: TextEncoder) -> Any:
    from memory.encoders import EMBEDDED, TextEncoder
    from memory.pair_encoders import BiEncoder, CrossEncoder

    training = (config.learning_rate, config.weight_decay, config.seed)
    if config.reranker_model_path != EMBEDDED:
        return CrossEncoder(config.reranker_model_path, text_encoder.device, *training)
    same = config.embedding_model_path == EMBEDDED
    return BiEncoder(text_encoder if same else TextEncoder(EMBEDDED, text_encoder.device), *training)
