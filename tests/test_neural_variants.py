"""NeuralLinLogUCB's options, and its logit as a feature of the evidence, against a slow second reading of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from agents.neural_evidence import NeuralEvidenceLogUCB
from bandit import NeuralLinLogUCB, Phi
from helpers.planted import DIM, PlantedEncoder, PlantedTexts, cases, planted_reward
from serve.learner import pack, unpack
from serve.ledger import Answered
from step import Step

LAMBDA, NU, RATE, BATCH, RECALL = 0.1, 0.4, 0.3, 4, 8


def make(k: int = 1, **options: Any) -> NeuralLinLogUCB:
    return NeuralLinLogUCB(PlantedEncoder(), LAMBDA, NU, RATE, BATCH, k, **options)


def sigmoid(z: float) -> float:
    return 1 / (1 + math.exp(-z))


class Naive:
    """The variants written down from the whole history, A summed and inverted anew for every score."""

    def __init__(self, encoder: PlantedEncoder, k: int, centre: str, w_rate: float | None, bonus: str) -> None:
        self.encoder, self.k, self.centre, self.w_rate, self.bonus = encoder, k, centre, w_rate, bonus
        self.w = self.head()
        self.history: list[tuple[str, str, int, list[str]]] = []  # query, task, reward, what it is set off against
        self.p: list[float] = []  # of each pair, when it was taken in
        self.new = 0

    def head(self) -> np.ndarray:
        return self.encoder.head_weight().numpy().astype(float)

    def phi(self, query: str, task: str) -> np.ndarray:
        return self.encoder.encode([(query, task)]).numpy()[0].astype(float)

    def x(self, query: str, task: str, beside: list[str]) -> np.ndarray:
        phi = self.phi(query, task)
        return phi - np.mean([self.phi(query, other) for other in beside], 0) if self.centre != "off" else phi

    def beside(self, tasks: list[str]) -> list[str]:
        return tasks[:1] if self.centre == "nearest" else tasks

    def scores(self, query: str, tasks: list[str]) -> list[float]:
        a = LAMBDA * np.eye(DIM)
        for (past, task, _, beside), p in zip(self.history, self.p):
            row = self.x(past, task, beside)
            a += np.outer(row, row) * (p * (1 - p) if self.bonus == "posterior" else 1)
        found = []
        for task in tasks:
            row, logit = self.x(query, task, self.beside(tasks)), self.w @ self.phi(query, task)
            width = NU * math.sqrt(max(0.0, row @ np.linalg.inv(a) @ row))
            found.append(sigmoid(logit + width) if self.bonus == "posterior" else sigmoid(logit) + width)
        return found

    def move(self, entries: list[tuple[str, str, int, list[str]]], rate: float) -> None:
        gradients = [
            (sigmoid(self.w @ self.phi(query, task)) - reward) * self.x(query, task, beside)
            for query, task, reward, beside in entries
        ]
        self.w = self.w - rate * np.sum(gradients, 0)

    def update(self, query: str, tasks: list[str], reward: int, recalled: list[str] | None) -> None:
        added = [(query, task, reward, self.beside(recalled) if recalled else [task]) for task in tasks]
        self.history += added
        self.new += len(added)
        if self.new < BATCH * self.k:
            self.p += [sigmoid(self.w @ self.phi(query, task)) for task in tasks]
            self.move(added, (RATE / BATCH if self.w_rate is None else self.w_rate) / len(added))
            return
        buffer, self.new = self.history[-self.new :], 0
        chunks = [buffer[start : start + BATCH] for start in range(0, len(buffer), BATCH)]
        rewards = [torch.tensor([float(reward) for _, _, reward, _ in chunk]) for chunk in chunks]
        self.encoder.train_step([([(q, t) for q, t, _, _ in chunk], r) for chunk, r in zip(chunks, rewards)], "bce")
        self.w = self.head()
        self.p = [sigmoid(self.w @ self.phi(query, task)) for query, task, _, _ in self.history]
        for entry in self.history if self.w_rate is not None else []:
            self.move([entry], self.w_rate / self.k)  # type: ignore[operator]


@pytest.mark.parametrize("centre", ["off", "nearest", "mean"])
@pytest.mark.parametrize(("w_rate", "bonus", "k"), [(None, "posterior", 1), (0.2, "paper", 2), (0.2, "posterior", 1)])
def test_the_naive_reference_gives_the_same_scores(centre: str, w_rate: float | None, bonus: str, k: int) -> None:
    policy = make(k, centre=centre, w_learning_rate=w_rate, bonus=bonus)
    naive = Naive(PlantedEncoder(), k, centre, w_rate, bonus)
    rng, ranks, trained = np.random.default_rng(k), set(), 0
    for step in range(30):
        query, tasks = f"query {step}", [f"case {i}" for i in rng.permutation(20)[:RECALL]]
        if step < 2:  # nothing was ranked yet
            chosen, arms = list(range(step + 1))[:k], None
        else:
            scores = policy.score(query, cases(tasks))
            assert scores.total.tolist() == pytest.approx(naive.scores(query, tasks), abs=1e-5)
            chosen = scores.top(k)
            arms = scores.chosen(chosen)
            ranks |= set(chosen)
        shown = [tasks[i] for i in chosen]
        reward = max(planted_reward(query, task) for task in shown)
        trained += "train/loss" in policy.update(query, cases(shown), reward, arms)
        naive.update(query, shown, reward, tasks if arms else None)
        assert policy.w.numpy() == pytest.approx(naive.w, abs=1e-5)
    assert trained == naive.encoder.version >= 6 and len(ranks) > 3


@pytest.mark.parametrize("refresh", ["sync", "overlap"])
@pytest.mark.parametrize("centre", ["nearest", "mean"])
def test_what_is_true_of_a_query_whatever_it_shows_leaves_no_trace(centre: str, refresh: str) -> None:
    """A part of phi that all cases of a query share is no reason to choose: neither A nor w takes it up."""

    class Shared(PlantedEncoder):
        def encode(self, pairs: list[tuple[str, str]]) -> torch.Tensor:
            phi = super().encode(pairs)
            phi[:, 0] = torch.tensor([float(sum(query.encode()) % 7 - 3) for query, _ in pairs])
            return phi

    def played(centre: str) -> NeuralLinLogUCB:
        policy = NeuralLinLogUCB(Shared(), LAMBDA, NU, RATE, 64, 1, centre=centre, w_learning_rate=0.5, refresh=refresh)
        for step in range(60):
            query, tasks = f"query {step}", [f"case {i}" for i in range(step, step + RECALL)]
            scores = policy.score(query, cases(tasks))
            chosen = scores.top(1)
            reward = int(sum(query.encode()) % 7 > 2)  # decided by the query alone
            policy.update(query, cases([tasks[chosen[0]]]), reward, scores.chosen(chosen))
        return policy

    apart, paper = played(centre), played("off")
    first = apart.head_weight()[0].item()
    assert apart.w[0].item() == pytest.approx(first, abs=1e-9) and apart.confidence.inverse[0, 0].item() == 10.0
    assert abs(paper.w[0].item() - first) > 0.5 and paper.confidence.inverse[0, 0] < 1.0


@pytest.mark.parametrize("centre", ["nearest", "mean"])
def test_feedback_that_comes_late_finds_what_a_case_was_set_off_against(centre: str) -> None:
    policy, late = make(centre=centre), make(centre=centre)
    tasks = [f"case {i}" for i in range(RECALL)]
    step = Step(1, "query")
    for each in (policy, late):
        scores = each.score("query", cases(tasks))
        step.show(cases(tasks[2:3]), None, scores.chosen([2]))
        for other in range(BATCH) if each is late else []:  # a training step comes between
            each.update(f"other {other}", cases([tasks[other]]), other % 2)
    phi, arms = pack(step)
    kept = unpack(Answered("1", 1, "query", "cases", [], [], "", phi=phi, arms=arms))
    assert isinstance(kept, Phi) and kept.beside == (tuple(tasks[:1]) if centre == "nearest" else tuple(tasks))
    assert torch.equal(kept.rows, step.arms.rows) and kept.rows.shape == (1, 2 * DIM)
    late.update("query", cases(tasks[2:3]), 1, kept)
    shown, *beside = late.encoder.encode([("query", "case 2"), *(("query", task) for task in kept.beside)]).double()
    x = shown - torch.stack(beside).mean(0)
    assert late.rows_of(late.encoder, [BATCH])[0].tolist() == pytest.approx([*shown.tolist(), *x.tolist()])
    expected = np.linalg.inv(LAMBDA * np.eye(DIM) + np.outer(x, x))  # what was not ranked before it counts nothing
    assert late.confidence.inverse.numpy() == pytest.approx(expected, rel=1e-6)


def test_w_goes_through_a_sampled_history_as_often_as_each_pair_stands_for() -> None:
    policy = make(w_learning_rate=0.01)
    phi, head = torch.randn((2, DIM), generator=torch.Generator().manual_seed(0)).double(), policy.head_weight()
    policy.rebuild(phi, torch.tensor([1.0, 0.0]), torch.tensor([1.0, 3.0]))
    w = head - 0.01 * (torch.sigmoid(phi[0] @ head) - 1) * phi[0]
    w = w - 0.01 * 3 * torch.sigmoid(phi[1] @ w) * phi[1]
    assert policy.w.tolist() == pytest.approx(w.tolist())


# -- the logit as one more feature of the evidence ---------------------------------------------------------------------


def with_evidence(null_arm: str = "off", **options: Any) -> NeuralEvidenceLogUCB:
    settings: dict[str, Any] = {"exploration": NU, "prior_strength": 2.0, "evidence_width": 0.3, "null_arm": null_arm}
    learning: dict[str, Any] = {"learning_rate": RATE, "batch_size": BATCH, "comk": 1}
    return NeuralEvidenceLogUCB(PlantedTexts(), PlantedEncoder(), **settings, **learning, **options)


@pytest.mark.parametrize("null_arm", ["off", "on"])
def test_the_feature_is_the_trained_logit_less_the_nearest_cases(null_arm: str) -> None:
    policy, naive = with_evidence(null_arm), Naive(PlantedEncoder(), 1, "off", None, "paper")
    rng, trained, ranks = np.random.default_rng(0), 0, set()
    for step in range(24):
        query, tasks = f"query {step}", [f"case {i}" for i in rng.permutation(20)[:RECALL]]
        scores = policy.score(query, cases(tasks))
        logits = [naive.w @ naive.phi(query, task) for task in tasks]
        assert scores.phi is not None
        expected = [logit - logits[0] for logit in logits] + [0.0] * (null_arm == "on")
        assert scores.phi.rows[:, -1].tolist() == pytest.approx(expected, abs=1e-5)
        w = policy.model.w
        own = 1 / (1 + np.exp(-scores.phi.rows.numpy()[:RECALL] @ w))
        assert scores.exploit.tolist() == pytest.approx(own.tolist())
        chosen = scores.top(1)
        ranks |= set(chosen)
        shown, reward = [tasks[i] for i in chosen], max((planted_reward(query, tasks[i]) for i in chosen), default=0)
        metrics = policy.update(query, cases(shown), reward, scores.chosen(chosen))
        trained += "train/loss" in metrics
        policy.observe(Step(step, query, cases(shown), answer=step, reward=reward))
        if shown:
            naive.update(query, shown, reward, tasks)
    assert trained == naive.encoder.version >= 3 and len(ranks) > 2
    assert len(policy.model.rows) == 24, "a step that shows nothing teaches the regression, not the encoder"


def test_a_snapshot_goes_on_scoring_as_the_policy_did() -> None:
    for policy in (with_evidence(), with_evidence(refresh="overlap")):
        tasks = [f"case {i}" for i in range(RECALL)]

        def learn(start: int) -> None:
            for step in range(start, start + 2 * BATCH):
                arms = policy.score(f"query {step}", cases(tasks)).chosen([step % RECALL])  # noqa: B023
                policy.update(f"query {step}", cases([tasks[step % RECALL]]), step % 2, arms)  # noqa: B023
                policy.observe(Step(step, f"query {step}", answer="x", reward=step % 2))  # noqa: B023

        learn(0)
        taken, before = policy.snapshot(), policy.score("new", cases(tasks))
        learn(100)
        again = policy.snapshot(taken)
        assert taken.score("new", cases(tasks)).total.tolist() == before.total.tolist()
        now = policy.score("new", cases(tasks)).total.tolist()
        assert again.score("new", cases(tasks)).total.tolist() == now != before.total.tolist()
