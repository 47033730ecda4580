"""What memories, several LLMs and learned values are worth, where the truth is planted: ten seeds, 95 % t intervals.

The agents are the real ones. What stands for an LLM knows a share of the topics, and otherwise goes by the cases that
it is shown; so what is claimed here is claimed of such readers, and of no LLM.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from agents.case_values import MementoQ
from agents.pairs import RankedPairs
from bandit import Pair, Scores
from config import Config
from env.base import Env
from helpers.planted import PlantedEncoder
from helpers.planted_llms import SEEDS, PlantedClient, Topics, WordEncoder, interval, planted_agent, play, shown
from step import Case, Step

STEPS = 150
ENCODER = WordEncoder()


def guess(rng: np.random.Generator, but: set[str] = frozenset()) -> str:  # type: ignore[assignment]
    """One of the labels by chance, none of `but` where that leaves any."""
    labels = [f"answer{i}" for i in range(Topics.ANSWERS)]
    left = [label for label in labels if label not in but] or labels
    return left[int(rng.integers(len(left)))]


def of_topic(env: Env, prompt: str) -> list[tuple[str, bool]]:
    """The shown cases of the question's own topic: (answer, whether it was right)."""
    topic = f"topic{env.row['topic']} "
    return [(answer, right) for task, answer, right in shown(prompt) if task.startswith(topic)]


def copying(env: Env, prompt: str, rng: np.random.Generator) -> str:
    """Writes what the nearest case of its topic says, whatever its feedback; without one it guesses."""
    cases = of_topic(env, prompt)
    return cases[-1][0] if cases else guess(rng)


def avoiding(env: Env, prompt: str, rng: np.random.Generator) -> str:
    """Writes what was right for its topic; else what was not wrong for it."""
    cases = of_topic(env, prompt)
    right = [answer for answer, was_right in cases if was_right]
    return right[-1] if right else guess(rng, {answer for answer, _ in cases})


def rate(seed: int, reader: Any, **options: Any) -> float:
    env = Topics(seed, STEPS)
    agent = planted_agent(Config(env="lfd", **options), env, [PlantedClient(env, reader, seed)], ENCODER)
    return float(np.mean([step.reward for step in play(agent, env)]))


@pytest.mark.parametrize("reader, helps", [(copying, False), (avoiding, True)])
def test_failures_hurt_who_copies_and_help_who_avoids(reader: Any, helps: bool) -> None:
    """The same retrieval and rendering, with and without the failures in the bank."""

    def both(seed: int) -> float:
        everything, successes = (
            rate(seed, reader, agent="exp-rag", comk=4, order="similar_last", keep=keep)
            for keep in ("everything", "successes")
        )
        return everything - successes

    low, high = interval([both(seed) for seed in SEEDS])
    print(f"{reader.__name__}: everything - successes {low:+.3f} to {high:+.3f}")
    assert low > 0.03 if helps else high < -0.03


# -- several LLMs ------------------------------------------------------------------------------------------------------


class Specialist:
    """Knows the topics t with t mod 3 = `which`; of others it copies a case, or guesses."""

    def __init__(self, which: int) -> None:
        self.which = which

    def __call__(self, env: Env, prompt: str, rng: np.random.Generator) -> str:
        if env.row["topic"] % 3 == self.which:
            return str(env.row["label"])
        return copying(env, prompt, rng)


def roster(seed: int, members: tuple[int, ...], **options: Any) -> tuple[list[Step], list[PlantedClient]]:
    """A run of the specialists `members`; with several over one bank."""
    env = Topics(seed, STEPS)
    clients = [PlantedClient(env, Specialist(which), seed) for which in members]
    several = {"agent": "mam-stream-icl", "llms": "a,b,c"} if len(members) > 1 else {"agent": "self-stream-icl"}
    agent = planted_agent(Config(env="lfd", comk=4, **several, **options), env, clients, ENCODER)
    return play(agent, env), clients


def test_a_shared_memory_beats_each_alone_and_costs_what_one_costs() -> None:
    gains: dict[int, list[float]] = {0: [], 1: [], 2: []}
    costs: list[float] = []
    for seed in SEEDS:
        steps, clients = roster(seed, (0, 1, 2))
        together = np.mean([step.reward for step in steps])
        assert [client.asked for client in clients] == [STEPS / 3] * 3
        alone = []
        for which in range(3):
            own, (client,) = roster(seed, (which,))
            gains[which].append(float(together - np.mean([step.reward for step in own])))
            assert client.asked == STEPS
            alone.append(client.tokens)
        costs.append(sum(client.tokens for client in clients) / float(np.mean(alone)))
    found = [interval(gains[which]) for which in range(3)]
    low, high = interval(costs)
    print(f"shared - alone {[f'{a:+.3f} to {b:+.3f}' for a, b in found]}; tokens / one's {low:.3f} to {high:.3f}")
    assert all(low > 0.03 for low, _ in found)
    assert 0.95 < low and high < 1.1, "one call a step, and prompts that are longer only where the bank fills sooner"


def regrets(seed: int, base: np.ndarray, size: int) -> tuple[float, float, float]:
    """Of expected reward, to who always knew the best: mam-cbr's, the best fixed LLM's and round robin's.

    base [topics, K] is the chance of success; a case of the question's topic adds 0.2. mam-cbr has to learn all of it;
    the other two are given the best case at each step, which they could at most learn.
    """
    rng = np.random.default_rng(seed)
    topics = rng.integers(len(base), size=size)
    best, k = base.max(1)[topics] + 0.2, base.shape[1]
    names = ",".join("abcdef"[:k])
    config = Config(
        env="lfd", agent="mam-cbr", llms=names, bandit="NeuralLinUCB", recall_size=8, batch_size=10**9, seed=seed
    )
    env = Topics(seed, 1)
    clients = [PlantedClient(env, copying, seed) for _ in range(k)]
    retrieval = planted_agent(config, env, clients, SMALL).retrieval
    assert isinstance(retrieval, RankedPairs)
    expected = np.zeros(size)
    for i, topic in enumerate(topics):
        step = Step(i + 1, f"topic{topic} topic{topic} question{i % 50}")
        retrieval.retrieve(step)
        near = bool(step.cases) and step.cases[0].task.startswith(f"topic{topic} ")
        expected[i] = base[topic, step.member] + 0.2 * near
        reward = int(rng.random() < expected[i])
        retrieval.update(step, reward)
        if reward and len(retrieval.bank) < 300:  # recall stays quick
            retrieval.bank.add(Case(step.task, step=step.number))
    fixed = (base[topics] + 0.2).sum(0)
    return best.sum() - expected.sum(), best.sum() - fixed.max(), best.sum() - fixed.mean()


SMALL = WordEncoder(16)


def test_regret_of_choosing_case_and_llm_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where each LLM has topics of its own it beats both; where one is best throughout it has to find that one."""
    monkeypatch.setattr(Scores, "metrics", lambda scores, chosen: {})  # which take longer than the choice itself
    own = np.full((12, 3), 0.2)
    own[np.arange(12), np.arange(12) % 3] = 0.7
    one = np.tile([0.3, 0.6, 0.4], (12, 1))
    for name, base, size in (("own topics", own, 2000), ("one is best", one, 500)):
        mam, fixed, turns = (np.array(each) for each in zip(*(regrets(seed, base, size) for seed in SEEDS)))
        to_fixed, to_turns = interval(mam - fixed), interval(mam - turns)
        print(f"{name}: {mam.mean():.0f}, best fixed {fixed.mean():.0f}, round robin {turns.mean():.0f}, differences")
        print(f"  {to_fixed[0]:+.0f} to {to_fixed[1]:+.0f} and {to_turns[0]:+.0f} to {to_turns[1]:+.0f}")
        if name == "own topics":
            assert to_fixed[1] < -400 and to_turns[1] < -400
        else:
            assert to_fixed[0] > 0 and to_turns[1] < -10


# -- learned values ----------------------------------------------------------------------------------------------------


class TwoSides(PlantedEncoder):
    """phi is three numbers of the question and three of the case."""

    def encode(self, pairs: list[Pair]) -> torch.Tensor:
        return torch.from_numpy(np.array([[*side(query), *side(case)] for query, case in pairs])).float()


@functools.cache
def side(text: str) -> np.ndarray:
    return np.random.default_rng(list(text.partition("\n")[0].encode())).standard_normal(3)


def slope(values: list[float], scores: Tensor) -> float:
    """How much the logit of Q grows with a number of the case, or of the question."""
    return float(np.polyfit(values, torch.logit(scores).numpy(), 1)[0])


def learned(seed: int, of_case: bool) -> tuple[float, float]:
    """What Q, trained on 400 questions with four cases each, makes of new cases and of new questions, as slopes.

    A case is good, and a question easy, by the first of its numbers. The bit depends on the cases that were shown, or
    as in Memento's published pairs on the question alone, whatever was shown.
    """
    rng = np.random.default_rng([seed, of_case])
    q = MementoQ(TwoSides(0.05), regularization=1.0, exploration=0.0, learning_rate=0.05, batch_size=8, comk=4)
    for i in range(400):
        query, cases = f"question {seed} {i}", [Case(f"case {seed} {i} {j}", answer="") for j in range(4)]
        strength = np.mean([side(case.task)[0] for case in cases]) * 2 if of_case else side(query)[0]
        q.update(query, cases, int(rng.random() < 1 / (1 + np.exp(-3 * strength))))
    new = [Case(f"new {seed} {j}", answer="") for j in range(60)]
    queries = [f"other {seed} {j}" for j in range(60)]
    of_queries = torch.cat([q.score(query, new[:1]).total for query in queries])
    return (
        slope([side(case.task)[0] for case in new], q.score(f"question {seed}", new).total),
        slope([side(query)[0] for query in queries], of_queries),
    )


def test_mementos_q_learns_of_cases_only_where_the_bit_depends_on_them() -> None:
    depends, does_not = ([learned(seed, of_case) for seed in SEEDS] for of_case in (True, False))
    cases, flawed = interval([case for case, _ in depends]), interval([case for case, _ in does_not])
    questions = interval([question for _, question in does_not])
    print(f"slope by the case {cases}; where the bit is the question's {flawed}, and by the question {questions}")
    assert cases[0] > 0.5
    assert max(map(abs, flawed)) < 0.25 and flawed[1] < cases[0] - 0.5
    assert questions[0] > 1, "it has learned how hard a question is"
