"""Traj-Bootstrap in full (arXiv 2505.00234): a plan first, then a thought and an action each turn, and retrieval anew
for each of them.

The plan is asked for with the plans of the k nearest won episodes. Before each thought and each action, k won episodes
are looked up by the mean cosine of three keys: the goals, the plans, and this turn's observation (for a thought) or
thought (for an action) with those of the episode's turns; what is shown is the best matching turn with five on either
side. A turn in which nothing happened is not kept. The wrapper stands between the task and the LLM, so any task that
asks turn by turn can be played; what a turn was shown stands in the record's `episode`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from agent import Agent, Parts, control_of
from agents.nearest import in_order
from agents.rendering import View, of_cases
from env.base import Env
from env.families.game import LISTED
from memory.index import VectorIndex
from step import Case, Step

if TYPE_CHECKING:
    from llm import Message, Reply, Session
    from memory.bank import Embedder
    from runs.checkpoint import Checkpoint

AROUND = 5  # turns shown on either side of the one that matches
LONGEST = 2000  # characters of an observation, a thought or a plan that are shown later
PLANS = "These earlier tasks were done, each by its plan. Let them guide you where they resemble the new one."
PLAN = (
    "Before the first turn, write a plan for this task: in a few sentences, what has to be done, in which order. "
    "Do not act yet."
)
WINDOWS = "These are turns of earlier tasks that were done. Let them guide you where they resemble yours."
THINK = "Think first: in a sentence or two, what follows from all this for your next action? Do not act yet."
ACT = "Now act by it: give your next reply in the form that the task asks for, and only that."


class Window(NamedTuple):
    """A part of an episode: the turn that matches, and what is shown around it."""

    case: Case
    turn: int


def with_plans(env: Env, query: str, cases: list[Case], framed: bool = False) -> str:
    """The rendering rule, of the call for a plan: the task, the plans of the cases, and the wish for one."""
    shown = _plans(env, query, cases, framed=True) if cases or framed else env.get_zero_shot_prompt(query)
    return f"{shown}\n\n{PLAN}"


@of_cases
def _plans(env: Env, query: str, cases: list[View]) -> str:
    shown = [
        f"<case>\n<task>\n{case['task']}\n</task>\n<plan>\n{_cut(case['episode']['plan'])}\n</plan>\n</case>"
        for case in cases
    ]
    return "\n\n".join([env.get_zero_shot_prompt(query), PLANS, *shown])


class TurnAgent(Agent):
    """Plans, and then thinks and acts with what it finds for each turn."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        self.episodes = Episodes(parts.text_encoder())
        self._answer = self._play
        self._by_chance = control_of(parts.config) == "random"

    def _play(self, env: Env, prompt: str, session: Session, step: Step) -> str:
        """The answering rule; `prompt` asks for the plan."""
        acting = Acting(self, session, step, plan=session(prompt).strip())
        try:
            return env.interact(env.get_zero_shot_prompt(step.task), acting)
        finally:
            step.episode = {"plan": acting.plan, "turns": acting.close(env.turns or [])}

    def find(self, step: Step, plan: str, text: str, side: str, call: int) -> list[Window]:
        """The k windows for the thought or action (`side`: observation or thought) that is call number `call`."""
        rng = np.random.default_rng([step.number, call, self.config.seed])
        near = self.episodes.draw(rng) if self._by_chance else self.episodes.near(step.task, plan, text, side)
        kept = {case.step for case in self.retrieval.with_outcome([window.case for window in near])}
        found = [window for window in near if window.case.step in kept][: self.retrieval.k]
        return found if self._by_chance else in_order(found, self.config.order, [self.config.seed, step.number, call])

    def retain(self, step: Step) -> None:
        before = len(self.retrieval.bank)
        super().retain(step)
        with step.measure("agent"):
            for case in self.retrieval.bank.cases[before:]:
                self.episodes.add(case)

    def save(self, checkpoint: Checkpoint) -> None:
        super().save(checkpoint)
        checkpoint.put("episodes", {"vectors": self.episodes.index.vectors}, grows=("vectors",))

    def load(self, checkpoint: Checkpoint) -> None:
        super().load(checkpoint)
        self.episodes.take_back(self.retrieval.bank.cases, checkpoint.get("episodes")["vectors"])


class Episodes:
    """The keys of all turns of the won episodes, embedded: for each case its goal, its plan, then each turn's two."""

    def __init__(self, encoder: Embedder) -> None:
        self.cases: list[Case] = []
        self.index = VectorIndex(encoder.dim)
        self._encoder = encoder
        self._starts: list[int] = []  # of each case's rows

    def add(self, case: Case) -> None:
        self._append(case)
        self.index.add(self._encoder.encode(keys_of(case)))

    def _append(self, case: Case) -> None:
        last = len(keys_of(self.cases[-1])) if self.cases else 0
        self._starts.append(self._starts[-1] + last if self._starts else 0)
        self.cases.append(case)

    def take_back(self, cases: Sequence[Case], vectors: np.ndarray) -> None:
        """Become the episodes of `cases`, whose keys were embedded before."""
        self.cases, self._starts = [], []
        for case in cases:
            self._append(case)
        self.index = VectorIndex(vectors.shape[1])
        self.index.add(vectors)

    def near(self, goal: str, plan: str, text: str, side: str) -> list[Window]:
        """Each episode's best matching turn, the best episode first; of equals the older first."""
        if not self.cases:
            return []
        # einsum, not @: BLAS rounds equal rows differently by where they lie
        cosines = np.einsum("nd,qd->nq", self.index.vectors, self._encoder.encode([goal, plan, text]))
        found, scores = [], []
        for case, start in zip(self.cases, self._starts):
            n = len(turns_of(case))
            first = start + 2 + (0 if side == "observation" else n)
            turns = cosines[first : first + n, 2]
            best = int(np.argmax(turns))
            found.append(Window(case, best))
            scores.append((cosines[start, 0] + cosines[start + 1, 1] + turns[best]) / 3)
        return [found[i] for i in np.argsort(-np.array(scores), kind="stable")]

    def draw(self, rng: np.random.Generator) -> list[Window]:
        """All episodes in an order by chance, each with a turn by chance."""
        return [
            Window(self.cases[i], int(rng.integers(len(turns_of(self.cases[i])))))
            for i in rng.permutation(len(self.cases))
        ]


class Acting:
    """A session that thinks before each reply, and passes on the reply alone.

    Attributes:
        plan: the plan.
        turns: of each turn so far what was observed, thought and replied, and which (case, turn) each call was shown.
    """

    def __init__(self, agent: TurnAgent, session: Session, step: Step, plan: str) -> None:
        self.plan = plan
        self.turns: list[dict[str, Any]] = []
        self._agent, self._session, self._step = agent, session, step

    def __call__(self, prompt: str | list[Message]) -> str:
        return self.chat([{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt).text

    def chat(self, messages: list[Message], tools: list[dict[str, Any]] | None = None) -> Reply:
        """Answer a conversation: a thought, then the reply itself."""
        observation = _cut(messages[-1]["content"].partition(LISTED)[0]) if self.turns else ""
        shown = self._find(observation or self._step.task, "observation")
        thought = self._session.chat(self._asked(messages, shown, THINK)).text.strip()
        shown_then = self._find(thought, "thought")
        reply = self._session.chat(self._asked(messages, shown_then, f"Your thought: {thought}\n\n{ACT}"), tools)
        self.turns.append(
            {
                "observation": observation,
                "thought": _cut(thought),
                "action": _cut(reply.text.strip() or _calls(reply)),
                "shown": [[[window.case.step, window.turn] for window in each] for each in (shown, shown_then)],
            }
        )
        return reply

    def _find(self, text: str, side: str) -> list[Window]:
        with self._step.measure("agent"):
            return self._agent.find(self._step, self.plan, text, side, 2 * len(self.turns) + (side == "thought"))

    def _asked(self, messages: list[Message], shown: list[Window], wish: str) -> list[Message]:
        """The conversation, at its end what was found, the plan, and what is asked for."""
        *before, last = messages
        found = [WINDOWS, *map(as_text, shown)] if shown else []
        parts = [*found, f"Your plan: {self.plan}", wish]
        if last["role"] != "user":
            return [*messages, {"role": "user", "content": "\n\n".join(parts)}]
        return [*before, last | {"content": "\n\n".join([last["content"], *parts])}]

    def close(self, played: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The turns, those marked in which nothing happened, by the next observation or by the task's own turns."""
        aligned = played if len(played) == len(self.turns) else [{}] * len(self.turns)
        results = (
            [turn["observation"] for turn in self.turns[1:]] + [str(aligned[-1].get("observation", ""))]
            if self.turns
            else []
        )
        for turn, result, own in zip(self.turns, results, aligned):
            if "nothing happen" in result.lower() or own.get("legal") is False:
                turn["idle"] = True
        return self.turns


def as_text(window: Window) -> str:
    """A window as prompts show it."""
    case, turns = window.case, turns_of(window.case)
    start = max(0, window.turn - AROUND)
    lines = [f"<task>\n{case.task}\n</task>", f"Plan: {_cut(plan_of(case))}"]
    for turn in turns[start : window.turn + AROUND + 1]:
        lines += [f"Observation: {turn['observation']}"] if turn["observation"] else []
        lines += [f"Thought: {turn['thought']}", f"Reply: {turn['action']}"]
    return "\n".join(["<case>", *lines, "</case>"])


def turns_of(case: Case) -> list[dict[str, Any]]:
    assert case.episode is not None, "the retain rule keeps whole episodes"
    turns: list[dict[str, Any]] = case.episode["turns"]
    return turns


def plan_of(case: Case) -> str:
    assert case.episode is not None
    return str(case.episode["plan"])


def keys_of(case: Case) -> list[str]:
    """The texts that a case is found by: goal, plan, each turn's observation, each turn's thought."""
    turns = turns_of(case)
    observed = [turn["observation"] or case.task for turn in turns]
    return [case.task, plan_of(case), *observed, *(turn["thought"] for turn in turns)]


def _calls(reply: Reply) -> str:
    calls = (call["function"] for call in reply.tool_calls)
    return "; ".join(f"{call['name']}({call['arguments']})" for call in calls)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]} [...]"
