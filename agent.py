"""The agents. An agent is four rules, and registry.py is the table of them:

    retrieve    which cases to show:  nothing, the latest k, or recall R by cosine and let a policy rank them
    render      how to show them:     as solved cases, or each with its feedback
    answer      how to answer:        ask the LLM once, or write the label
    retain      what to keep:         nothing, successes, everything with its feedback, or the ground truth

The loop in main.py calls retrieve, generate, update and retain, in that order, with one `Step`, which carries all that
is known of the query on its way. What an agent itself holds is what it has learned.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from config import FIELDS, Config
from env.base import Env
from errors import UsageError, UserError
from memory.bank import CaseBank
from registry import AGENTS, POLICIES, RETRIEVALS, AgentRow
from step import Case, Step

if TYPE_CHECKING:
    from bandit import Policy
    from llm import LLM, Session
    from memory.encoders import TextEncoder
    from runs.checkpoint import Checkpoint


@dataclass(frozen=True)
class Parts:
    """What agents and their rules are made of."""

    config: Config
    env: Env
    llm: LLM
    text_encoder: Callable[[], TextEncoder]  # loads the recall encoder when it is first called


# -- retrieval rules ---------------------------------------------------------------------------------------------------


class NoRetrieval:
    """Shows nothing; the retrieval rule that the others extend."""

    def __init__(self, parts: Parts) -> None:
        self.bank = CaseBank()

    def retrieve(self, step: Step) -> None:
        """Choose what to show: `step.show(cases)`."""

    def update(self, step: Step, reward: int) -> None:
        """Learn from the reward that showing `step.cases` brought."""

    def save(self, checkpoint: Checkpoint) -> None:
        checkpoint.put("bank", self.bank.state_dict(), grows=("cases", "embeddings"))

    def load(self, checkpoint: Checkpoint) -> None:
        self.bank.load_state_dict(checkpoint.get("bank"))


class Latest(NoRetrieval):
    """The latest k cases, oldest first."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self._k = parts.config.comk

    def retrieve(self, step: Step) -> None:
        step.show(self.bank.latest(self._k))


class Ranked(NoRetrieval):
    """Recall the R nearest cases by cosine, let the policy rank them, show the top k."""

    def __init__(self, parts: Parts) -> None:
        encoder = parts.text_encoder()
        self.bank = CaseBank(encoder)
        self.policy = make_policy(parts.config, encoder)
        self._k = parts.config.comk
        self._recall_size = max(parts.config.recall_size, self._k)

    def retrieve(self, step: Step) -> None:
        if len(self.bank) <= self._k:
            step.show(list(self.bank.cases))
            return
        recalled = self.bank.recall(step.task, self._recall_size)
        scores = self.policy.score(step.task, recalled)
        chosen = scores.top(self._k)
        step.show([recalled[i] for i in chosen], scores.total[chosen].tolist(), scores.chosen(chosen))
        step.metrics |= scores.metrics(chosen)

    def update(self, step: Step, reward: int) -> None:
        if step.cases:
            step.metrics |= self.policy.update(step.task, step.cases, reward, step.arms)

    def save(self, checkpoint: Checkpoint) -> None:
        super().save(checkpoint)
        state = self.policy.state_dict()
        encoder = state.pop("encoder", None)
        checkpoint.put("policy", state, self.policy.grows)
        if encoder and self.policy.encoder is not None:  # the weights are written again after a training step only
            checkpoint.put("encoder", encoder, self.policy.encoder.grows, encoder["version"])

    def load(self, checkpoint: Checkpoint) -> None:
        super().load(checkpoint)
        self.policy.load_state_dict(checkpoint.get("policy") | {"encoder": checkpoint.get("encoder")})


# -- rendering rules: (env, query, cases) -> prompt --------------------------------------------------------------------


def as_cases(env: Env, query: str, cases: list[Case]) -> str:
    views = [case.view() for case in cases]
    return env.get_case_based_prompt(query, views) if views else env.get_zero_shot_prompt(query)


def with_feedback(env: Env, query: str, cases: list[Case]) -> str:
    views = [case.view() for case in cases]
    return env.get_case_based_prompt_reflexion(query, views) if views else env.get_zero_shot_prompt(query)


RENDER = {"cases": as_cases, "feedback": with_feedback}


# -- answering rules: (env, prompt, session) -> the text to evaluate ---------------------------------------------------


def ask_once(env: Env, prompt: str, session: Session) -> str:
    """Let the task carry itself out with the LLM: a question, or the dialogue that the task has of its own."""
    return env.interact(prompt, session)


def write_truth(env: Env, prompt: str, session: Session) -> str:
    """What an LLM that knew the label would write."""
    return env.gold_output()


ANSWER = {"once": ask_once, "truth": write_truth}


# -- retain rules: (env, step) -> the case's answer and reward, or None to keep nothing --------------------------------

Kept = tuple[Any, int] | None


def keep_nothing(env: Env, step: Step) -> Kept:
    return None


def keep_successes(env: Env, step: Step) -> Kept:
    return (step.answer, 1) if step.reward else None


def keep_everything(env: Env, step: Step) -> Kept:
    return (step.answer, step.reward or 0)


def keep_ground_truth(env: Env, step: Step) -> Kept:
    return (env.get_ground_truth(), 1)


RETAIN = {
    "nothing": keep_nothing,
    "successes": keep_successes,
    "everything": keep_everything,
    "ground_truth": keep_ground_truth,
}


def case_of(env: Env, step: Step, retain: Callable[[Env, Step], Kept]) -> Case | None:
    """The case that a step leaves in the bank by a retain rule; None where it leaves none."""
    kept, key = retain(env, step), env.case_key(step.task)
    return None if kept is None or key is None else Case(key, *kept, step.number)


# -- agents -----------------------------------------------------------------------------------------------------------


def asks_once(env: type[Env]) -> bool:
    """Whether each step of the task is one prompt and one answer."""
    return env.single_turn and env.interact is Env.interact


class Agent:
    """Answers the environment's tasks and learns from one bit of feedback each, by the rules of its row."""

    def __init__(self, parts: Parts) -> None:
        self.env = parts.env
        self.llm = parts.llm
        self.row: AgentRow = AGENTS[parts.config.agent]
        self.retrieval: NoRetrieval = RETRIEVALS[self.row.retrieve].load()(parts)
        self.render = RENDER[self.row.render]
        self._answer = ANSWER[self.row.answer]
        self._retain = RETAIN[self.row.retain]

    def retrieve(self, step: Step) -> None:
        with step.measure("agent"):
            self.retrieval.retrieve(step)

    def generate(self, step: Step) -> None:
        """Have the step answered. Raises LLMError where the LLM does not."""
        with step.measure("agent"):
            prompt = self.render(self.env, step.task, step.cases)
        session = self.llm.session(step.number)
        if self.row.retrieve == "nothing" and asks_once(type(self.env)):
            session.look_ahead(self._prompt_of, len(self.env))
        with step.measure("env"):
            try:
                step.output = self._answer(self.env, prompt, session)
            finally:
                step.charge(session)

    def _prompt_of(self, number: int) -> str:
        """The prompt of a step (from 1) where it shows no cases."""
        here, self.env.index = self.env.index, number - 1
        try:
            return self.render(self.env, self.env.observe(), [])
        finally:
            self.env.index = here

    def update(self, step: Step) -> None:
        with step.measure("agent"):
            self.retrieval.update(step, step.reward or 0)

    def retain(self, step: Step) -> None:
        with step.measure("env"):  # a game finds its solution in the simulator
            case = case_of(self.env, step, self._retain)
        with step.measure("agent"):
            if case is not None:
                self.retrieval.bank.add(case)

    def save(self, checkpoint: Checkpoint) -> None:
        """Put everything that the next step depends on."""
        self.retrieval.save(checkpoint)

    def load(self, checkpoint: Checkpoint) -> None:
        self.retrieval.load(checkpoint)


def check_fits(config: Config, env: type[Env]) -> None:
    """Raise UsageError where the agent cannot play the task; needs neither rows nor models."""
    needs = AGENTS[config.agent].needs
    if needs and not env.single_turn:
        reason = f"it does not apply to the task {config.env}"
        raise UsageError(f"--agent {config.agent} needs the answer as one text: {reason}")
    if needs == "one question" and not asks_once(env):
        raise UsageError(f"--agent {config.agent} learns from single answers: the task {config.env} has a dialogue")


def make_agent(config: Config, env: Env, llm: LLM, text_encoder: Callable[[], TextEncoder]) -> Agent:
    """The agent of `config`; `text_encoder` loads the recall encoder, which only ranked retrieval needs."""
    check_fits(config, type(env))
    agent: Agent = AGENTS[config.agent].load()(Parts(config, env, llm, text_encoder))
    return agent


def make_policy(config: Config, text_encoder: TextEncoder) -> Policy:
    """The policy of `config`, with its ranking encoder where it takes one.

    Raises UserError for a class whose keywords are neither `encoder` nor options that its row names.
    """
    row = POLICIES[config.bandit]
    policy_class = row.load()
    arguments: dict[str, Any] = {}
    for name in inspect.signature(policy_class).parameters:
        if name == "encoder":
            from memory.pair_encoders import make_pair_encoder

            arguments[name] = make_pair_encoder(config, text_encoder)
        elif name in (*row.options, "seed", "comk", "recall_size"):
            arguments[name] = getattr(config, name)
        elif name in FIELDS:
            raise UserError(f"{row.where} takes {name}, which its row in registry.py does not name under `options`")
        else:
            raise UserError(f"{row.where} takes {name}, which is neither `encoder` nor an option of config.py")
    policy: Policy = policy_class(**arguments)
    return policy
