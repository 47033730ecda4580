"""The agents. An agent is rules by name, and registry.py is the table of them:

    retrieve    which cases to show:  nothing, the latest k, the k nearest, or R recalled for a policy to rank
    render      how to show them:     as solved cases, each with its feedback, or what worked apart from what did not
    answer      how to answer:        ask the LLM once, or write the label
    retain      what to keep:         nothing, successes, everything with its feedback, or the ground truth
    who         who answers:          one LLM, or of several each in turn, by their successes, or as the policy says

Retrieval has a state and stands here, as who answers has in agents/choosing.py; the other rules are functions in
agents/. The loop in main.py calls retrieve, generate, reflect, update and retain, in that order, with one `Step`, which
carries all that is known of the query on its way. What an agent itself holds is what it has learned.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import plugins
from agents.choosing import ByRetrieval
from agents.retaining import Retain, case_of
from config import FIELDS, Config
from env.base import Env, twin_of
from env.identity import code_of, hash_file, is_of_checkout
from errors import UsageError, UserError
from memory.bank import CaseBank
from memory.opening import open_bank, open_final
from registry import CHOOSERS, OF_EVERY_POLICY, RULES, AgentRow, find_agent, find_policy, find_rule
from step import Case, Step
from stopping import HOLD

if TYPE_CHECKING:
    from bandit import Policy
    from llm import LLM
    from memory.encoders import TextEncoder
    from runs.checkpoint import Checkpoint


KEPT_WEIGHTS = ("version", "module", "head")  # of a trained encoder's state; the rest is its optimizer's


@dataclass(frozen=True)
class Parts:
    """What agents and their rules are made of."""

    config: Config
    env: Env
    llm: LLM
    text_encoder: Callable[[], TextEncoder]  # loads the recall encoder when it is first called


# -- retrieval rules ---------------------------------------------------------------------------------------------------


class NoRetrieval:
    """Shows nothing; the retrieval rule that the others extend.

    Attributes:
        k: how many cases to show.
        seed: of what is drawn by chance.
    """

    def __init__(self, parts: Parts) -> None:
        self.bank = make_bank(parts.config)
        self.k = parts.config.comk or 0
        self.seed = parts.config.seed
        self._outcome = {"correct": 1, "incorrect": 0}.get(parts.config.feedback or "")

    def retrieve(self, step: Step) -> None:
        """Choose what to show: `step.show(cases)`."""

    def recall_ahead(self, queries: list[str]) -> None:
        """Do for all `queries`, whose steps are retrieved next, what is cheaper for them together, if anything."""

    def prepare(self, step: Step, query: str) -> None:
        """Do, while `step` is answered, what retrieving for the next `query` will need; see Policy.prepare."""

    def with_outcome(self, cases: list[Case]) -> list[Case]:
        """Those of the chosen `cases` whose outcome --feedback asks for; so they may be fewer than k."""
        return [case for case in cases if self._outcome in (None, case.reward)]

    def update(self, step: Step, reward: int) -> None:
        """Learn from the reward that showing `step.cases` brought."""
        self.bank.note(step.cases, reward)

    def observe(self, step: Step) -> None:
        """Take in how a step ended, whatever was shown."""

    def save(self, checkpoint: Checkpoint) -> None:
        self.bank.save(checkpoint)

    def load(self, checkpoint: Checkpoint) -> None:
        self.bank.load(checkpoint)

    def keep(self, checkpoint: Checkpoint, weights: bool) -> None:
        """Put what another run can start from; of a policy that has trained an encoder only with its `weights`."""
        self.bank.save(checkpoint)

    def start_from(self, learned: Checkpoint) -> None:
        """Take over the policy that `keep` has put. Raises UserError where it does not fit."""
        raise UsageError("--policy_from needs an agent whose cases a policy ranks")


class Latest(NoRetrieval):
    """The latest k cases, oldest first."""

    def retrieve(self, step: Step) -> None:
        step.show(self.with_outcome(self.bank.latest(self.k)))


class Ranked(NoRetrieval):
    """Recall the R nearest cases by cosine, let the policy rank them, show the top k."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        encoder = parts.text_encoder()
        self.bank = make_bank(parts.config, encoder)
        self.policy = make_policy(parts.config, encoder)
        self._recall_size = max(parts.config.recall_size, self.k)

    def recall_ahead(self, queries: list[str]) -> None:
        self.bank.recall_ahead(queries, self._recall_size)

    def retrieve(self, step: Step) -> None:
        if len(self.bank) <= (0 if self.policy.may_show_nothing else self.k):
            step.show(list(self.bank.cases))
            return
        recalled = self.bank.recall(step.task, self._recall_size)
        scores = self.policy.score(step.task, recalled)
        chosen = scores.top(self.k)
        step.show([recalled[i] for i in chosen], scores.total[chosen].tolist(), scores.chosen(chosen))
        step.metrics |= scores.metrics(chosen)

    def prepare(self, step: Step, query: str) -> None:
        if len(self.bank) >= self.k:
            self.policy.prepare(step, query, self.bank.recall(query, self._recall_size))

    def update(self, step: Step, reward: int) -> None:
        super().update(step, reward)
        if step.cases or step.arms is not None:
            step.metrics |= self.policy.update(step.task, step.cases, reward, step.arms)

    def observe(self, step: Step) -> None:
        self.policy.observe(step)

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

    def keep(self, checkpoint: Checkpoint, weights: bool) -> None:
        super().keep(checkpoint, weights)
        state = self.policy.state_dict()
        encoder = state.pop("encoder", None) or {}
        if weights or not encoder:
            checkpoint.put("policy", state, self.policy.grows)
            checkpoint.put("weights", {name: encoder[name] for name in KEPT_WEIGHTS if name in encoder})

    def start_from(self, learned: Checkpoint) -> None:
        state, weights = learned.get("policy"), learned.get("weights")
        try:
            self.policy.load_state_dict(state | {"encoder": weights})
        except (LookupError, RuntimeError, ValueError, TypeError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            where = f"--policy_from {learned.folder.parent}"
            raise UserError(f"{where}: its policy does not fit this run's encoder ({reason})") from None


# -- the rules of a command line ---------------------------------------------------------------------------------------


def rendering_of(config: Config) -> Callable[[Env, str, list[Case]], str]:
    """How prompts show cases: (env, query, cases) -> prompt."""
    name = "cases" if config.feedback == "hidden" else find_agent(config.agent).render
    render = find_rule(RULES["render"], name).load()
    return functools.partial(render, framed=True) if control_of(config) == "empty" else render


def retaining_of(config: Config) -> Retain:
    """What becomes a case."""
    frozen = control_of(config) == "empty" or config.retain == "off"
    name = "nothing" if frozen else find_agent(config.agent).retain
    retain: Retain = find_rule(RULES["retain"], name).load()
    return retain


def retrieval_of(config: Config) -> type[NoRetrieval]:
    """Which cases are shown."""
    own = find_agent(config.agent).retrieve
    if own == "pairs":  # of a bank that stays empty there are still the LLMs to choose from
        own = "pairs" if chooser_of(config) == "policy" else "ranked"
    controls = {"empty": own if own == "pairs" else "nothing", "random": own if own == "fixed" else "random"}
    name = controls.get(control_of(config) or "", own)
    rule: type[NoRetrieval] = find_rule(RULES["retrieve"], name).load()
    return rule


def chooser_of(config: Config) -> str:
    """Who answers of several LLMs: a row of CHOOSERS. Where cases are drawn by chance, so is what the policy chose."""
    name = config.who or find_agent(config.agent).who
    return "random" if name == "policy" and control_of(config) == "random" else name


def choosing_of(config: Config) -> ByRetrieval:
    """Who answers a step: of one LLM there is nothing to choose."""
    if not config.members:
        return ByRetrieval(1, config.seed)
    rule: ByRetrieval = CHOOSERS[chooser_of(config)].load()(len(config.members), config.seed)
    return rule


def control_of(config: Config) -> str | None:
    """--control, for an agent that shows cases."""
    return None if find_agent(config.agent).retrieve == "nothing" else config.control


# -- agents -----------------------------------------------------------------------------------------------------------


def asks_once(env: type[Env]) -> bool:
    """Whether each step of the task is one prompt and one answer."""
    return env.single_turn and env.interact is Env.interact


class Agent:
    """Answers the environment's tasks and learns from one bit of feedback each, by the rules of its row."""

    def __init__(self, parts: Parts) -> None:
        self.env = parts.env
        self.llm = parts.llm
        self.row: AgentRow = find_agent(parts.config.agent)
        self.config = parts.config
        self.retrieval = retrieval_of(parts.config)(parts)
        self.choosing = choosing_of(parts.config)
        self.render = rendering_of(parts.config)
        self._answer = find_rule(RULES["answer"], self.row.answer).load()
        self._retain = retaining_of(parts.config)
        self._preparing = ThreadPoolExecutor(1, "ahead")
        self._prepared: list[Future[None]] = []

    def retrieve(self, step: Step) -> None:
        with step.measure("agent"):
            self.retrieval.retrieve(step)
            self.choosing.choose(step)
        step.llm = self.llm.member(step.member).name

    def generate(self, step: Step) -> None:
        """Have the step answered, on its own instance of the task. Raises LLMError where the LLM does not."""
        env = step.env or self.env
        with step.measure("agent"):
            prompt = self.render(env, step.task, step.cases)
        llm = self.llm.member(step.member)
        session = step.session = llm.session(step.number)
        if llm is self.llm and not self.config.learns and asks_once(type(env)):
            session.look_ahead(self._prompt_of, len(env))
        with step.measure("env"):
            try:
                step.output = self._answer(env, prompt, session, step)
            finally:
                step.charge(session)

    def _prompt_of(self, number: int) -> str:
        """The prompt of a step (from 1), of an agent that learns nothing that it could depend on."""
        env = twin_of(self.env)
        env.place(number)
        step = Step(number, env.observe())
        self.retrieval.retrieve(step)
        return self.render(env, step.task, step.cases)

    @contextmanager
    def ahead(self, step: Step) -> Iterator[None]:
        """While the step is answered, in the block, prepare to retrieve for the next one, in a thread.

        A replayed step is prepared after as well, so that a continued run is the run that was not. Of a dialogue the
        next task is known only once its simulator has begun it, and in a round all are retrieved for together.
        """
        known = self.config.learns and self.config.concurrency == 1 and asks_once(type(self.env))
        if not known or step.number == len(self.env):
            yield
            return
        env = twin_of(self.env)
        env.place(step.number + 1)
        self._prepared = [self._preparing.submit(lambda: self.retrieval.prepare(step, env.observe()))]
        try:
            yield
        finally:
            with HOLD.held(), step.measure("agent"):
                wait(self._prepared)  # what it has raised, retrieving raises again

    def reflect(self, step: Step) -> None:
        """Ask the LLM what it makes of the step, now that it is scored. Raises LLMError where the LLM does not answer.

        As `generate`, it may be under way for several steps at once, and learns nothing yet.
        """

    def update(self, step: Step) -> None:
        with step.measure("agent"):
            self.retrieval.update(step, step.reward or 0)
            self.choosing.update(step, step.reward or 0)
            self.retrieval.observe(step)

    def retain(self, step: Step) -> None:
        with step.measure("env"):  # a game finds its solution in the simulator
            case = case_of(self.env, step, self.config, self._retain)
        with step.measure("agent"):
            if case is not None:
                self.retrieval.bank.add(case)

    def save(self, checkpoint: Checkpoint) -> None:
        """Put everything that the next step depends on."""
        wait(self._prepared)  # an interruption may have come before that was over
        self.retrieval.save(checkpoint)
        self.choosing.save(checkpoint)

    def load(self, checkpoint: Checkpoint) -> None:
        self.retrieval.load(checkpoint)
        self.choosing.load(checkpoint)

    @property
    def trains(self) -> bool:
        """Whether it trains a model, whose weights make its checkpoints large."""
        return "learning_rate" in self.config.identity()

    def keep(self, checkpoint: Checkpoint) -> None:
        """Put what a finished run keeps, by --final."""
        self.retrieval.keep(checkpoint, weights=self.config.final == "all")


def check_fits(config: Config, env: type[Env]) -> None:
    """Raise UsageError where the agent cannot play the task; needs neither rows nor models."""
    needs = find_agent(config.agent).needs
    if needs == "turns":
        if asks_once(env):
            reason = f"the task {config.env} is one question, for which --agent traj-bootstrap does all that it would"
            raise UsageError(f"--agent {config.agent} retrieves at every turn of a dialogue: {reason}")
        return
    if needs and not env.single_turn:
        reason = f"it does not apply to the task {config.env}"
        raise UsageError(f"--agent {config.agent} needs the answer as one text: {reason}")
    if needs == "one question" and not asks_once(env):
        raise UsageError(f"--agent {config.agent} learns from single answers: the task {config.env} has a dialogue")


def make_agent(config: Config, env: Env, llm: LLM, text_encoder: Callable[[], TextEncoder]) -> Agent:
    """The agent of `config`; `text_encoder` loads the recall encoder, which only ranked retrieval needs."""
    check_fits(config, type(env))
    agent: Agent = find_agent(config.agent).load()(Parts(config, env, llm, text_encoder))
    if config.bank_from is not None:
        agent.retrieval.bank.start_from(open_bank(config.bank_from), config.bank_from)
    if config.policy_from is not None:
        agent.retrieval.start_from(open_final(config.policy_from, config.bandit))
    return agent


def make_bank(config: Config, encoder: TextEncoder | None = None) -> CaseBank:
    """An empty bank that forgets as `config` says."""
    return CaseBank(encoder, config.bank_limit, config.forget)


def describe_method(config: Config) -> dict[str, dict[str, str]]:
    """Hashes of the files that agent and policy are made of, where they lie outside the checkout; else nothing.

    As with the code of a task, a run that was begun with others is another run.
    """
    places = [name for name in (config.agent, config.bandit) if name and plugins.is_outside(name)]
    if config.agent in places:
        row = config.agent_row
        rules = (row.retrieve, row.render, row.answer, row.retain)
        places += [name for name in (row.where, *rules) if plugins.is_outside(name) and not is_of_checkout(name)]
    files = [Path(plugins.split(name)[0]) for name in places if name.endswith((".yaml", ".yml"))]
    modules = {plugins.module_of(name) for name in places if not name.endswith((".yaml", ".yml"))}
    hashes = {path.name: hash_file(path) for path in files} | code_of(modules)
    return {"method_code": hashes} if hashes else {}


def make_policy(config: Config, text_encoder: TextEncoder, pair_encoder: Callable[[], Any] | None = None) -> Policy:
    """The policy of `config`; `pair_encoder` makes its ranking encoder where that is to be another than `config`'s.

    Raises UserError for a class whose keywords are neither encoders nor options that its row names.
    """
    row = find_policy(str(config.bandit))
    policy_class = row.load()
    arguments: dict[str, Any] = {}
    for name in inspect.signature(policy_class).parameters:
        if name == "encoder":
            from memory.pair_encoders import make_pair_encoder

            arguments[name] = pair_encoder() if pair_encoder else make_pair_encoder(config, text_encoder)
        elif name == "text_encoder":
            arguments[name] = text_encoder
        elif name in config.policy_settings:
            arguments[name] = config.policy_settings[name]
        elif name in FIELDS and name in (*row.options, *OF_EVERY_POLICY):
            arguments[name] = getattr(config, name)
        elif name in FIELDS:
            raise UserError(f"{row.where} takes {name}, which its row in registry.py does not name under `options`")
        else:
            raise UserError(f"{row.where} takes {name}, which is neither an encoder nor an option of config.py")
    policy: Policy = policy_class(**arguments)
    return policy
