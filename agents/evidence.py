"""EvidenceLogUCB: rank cases by few features that say what is known of their answers, instead of by hundreds.

One bit a step cannot teach a policy hundreds of weights, but it can teach it how far to trust a handful of features
that mean something. Two observations make them:

- The bit judges the answer that was *given*, not the case that was shown: a reader that did not follow the case says
  nothing about it. So what is kept of a step is its query, its answer and its bit, failures too, and a case is as good
  as its answer has been among the queries near this one.
- The bit is confounded by the query: easy queries succeed whatever is shown. So what tells cases apart is measured
  relative to the query's nearest case, and features of the query alone take up how easy it is (compare action-centred
  and semiparametric contextual bandits: Greenewald et al. 2017, Krishnamurthy et al. 2018).
"""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import torch

from bandit import Phi, Policy, Scores, not_finite
from errors import UserError
from memory.bank import Embedder, name_of
from memory.past import Near, PastAnswers, answer_text
from step import Case, Metrics, Step

NEIGHBOURS = 128  # past queries that speak for or against an answer
PSEUDO = 0.5  # successes and failures that every answer is given beforehand
COSINE_SCALE = 10.0  # a tenth of cosine counts as much as one unit of log-odds

# What a row of features holds, and the weight that each is believed to have before anything was seen: what tells the
# query's cases apart, how easy the query is whatever is shown, what any case is worth for it, showing nothing.
PRIOR = {
    "cosine": 1.0,  # with the query, less the nearest case's
    "evidence": 1.0,  # log-odds of the case's answer among the near past queries, less the nearest case's
    "record": 0.0,  # log-odds of success of the steps that showed the case, less the nearest case's
    "nearness": 0.3,  # the nearest case's cosine
    "nearest's evidence": 0.3,
    "one": 0.25,  # of every case, 0 for showing nothing, so that what cases are seen to be worth says nothing of it
    "shown nearness": 0.3,  # the nearest case's cosine, of the cases alone: the nearer it is, the more a case is worth
    "shown evidence": 0.3,  # the nearest's evidence, of the cases alone
    "nothing": 0.0,  # 1 for showing nothing
    "evidence for nothing": 0.5,  # log-odds of near steps that showed nothing, less those that showed something
}
COLUMN = {name: i for i, name in enumerate(PRIOR)}

# Weights that are never below zero: of cases alike but for these, the one nearer or better spoken for is not worse.
# Early on the nearest case is often wrong, and followed, where a far one is not: without this a stream may begin by
# learning that far cases are the better ones, show those, and never find out that it has become untrue.
NOT_NEGATIVE = ("cosine", "evidence", "shown nearness", "shown evidence")


class LaplaceLogistic:
    """Logistic regression with a Gaussian prior N(mean, I / strength) and Laplace's approximation of its posterior.

    The weights are the posterior's mode, those of `not_negative` at least zero, found by a projected Newton method
    (Bertsekas, 1982) from where they were; `width` is the standard deviation of a row's logit under the posterior,
    whose precision is strength I + sum of weight p (1 - p) x x'. With a half-life a row counts half as much for every
    `half_life` steps after it; a step's rows have weights that sum to 1.

    Args:
        mean: the weights believed in beforehand, [d].
        not_negative: which weights are at least zero, [d] of bool; none of them by default.
    """

    TOLERANCE, MAX_STEPS = 1e-8, 50

    def __init__(
        self,
        mean: np.ndarray,
        strength: float,
        half_life: float | None = None,
        not_negative: np.ndarray | None = None,
    ) -> None:
        self.mean = mean
        self.strength = strength
        self.half_life = half_life
        self.least = np.full(len(mean), -np.inf) if not_negative is None else np.where(not_negative, 0.0, -np.inf)
        self.w = np.maximum(mean, self.least)
        self.covariance = np.eye(len(mean)) / strength
        self.rows = np.zeros((0, len(mean)))
        self.rewards = np.zeros(0)
        self.weights = np.zeros(0)

    def add(self, rows: np.ndarray, reward: int, weight: float) -> None:
        """Take in rows [n, d] that share a reward, each with `weight`, and move to the new mode."""
        self.rows = np.concatenate([self.rows, rows])
        self.rewards = np.concatenate([self.rewards, np.full(len(rows), float(reward))])
        self.weights = np.concatenate([self.weights, np.full(len(rows), weight)])
        self._fit()

    def _fit(self) -> None:
        ages = np.floor(self.weights.sum() - self.weights.cumsum() + 1e-6)  # in whole steps
        weights = self.weights * faded(ages, self.half_life)
        loss = self._loss(self.w, weights)
        for _ in range(self.MAX_STEPS):
            p = sigmoid(self.rows @ self.w)
            gradient = self.rows.T @ (weights * (p - self.rewards)) + self.strength * (self.w - self.mean)
            curved = self.rows * (weights * p * (1.0 - p))[:, None]
            precision = self.rows.T @ curved + self.strength * np.eye(len(self.w))
            self.covariance = np.linalg.inv(precision)
            free = (self.w > self.least) | (gradient < 0.0)
            step = np.zeros(len(self.w))
            step[free] = np.linalg.solve(precision[np.ix_(free, free)], gradient[free])
            if np.abs(step).max() < self.TOLERANCE:
                return
            size, before = 1.0, self.w
            self.w = np.maximum(before - step, self.least)
            while size > 1e-4 and self._loss(self.w, weights) > loss:  # a full step may overshoot
                size /= 2
                self.w = np.maximum(before - size * step, self.least)
            loss = self._loss(self.w, weights)

    def _loss(self, w: np.ndarray, weights: np.ndarray) -> float:
        logits = self.rows @ w
        losses = np.logaddexp(0.0, logits) - self.rewards * logits
        return float(weights @ losses + 0.5 * self.strength * ((w - self.mean) ** 2).sum())

    def width(self, rows: np.ndarray) -> np.ndarray:
        """The posterior's standard deviation of each row's logit, [n]."""
        return np.sqrt(np.einsum("nd,nd->n", rows @ self.covariance, rows).clip(0.0))


class EvidenceLogUCB(Policy):
    """score = sigma(w . x + nu * s(x)), x of PRIOR's features, s the posterior's standard deviation of w . x.

    It is the upper end of what the chance of success may be; `exploit` is sigma(w . x), `explore` what is on top. Each
    of the k cases shown at a step gets the step's bit with weight 1/k, so a step counts once whatever k is; the answer
    that was given gets it once. With a `half_life` a step counts half as much for every `half_life` steps that came
    after it: for an answer, in a case's record and in the regression.

    With `null_arm` on, showing nothing is an arm too, and scores sigma(w . x): where that is above what the best case
    may be worth, none is shown. With `explore` it has a bonus of its own, which grows as sqrt(ln t) with the steps so
    far: it is tried again and again, so that harm is found out for certain in the end.

    It needs no ranking encoder: its vectors are those that the cases are recalled by. Where answers never repeat, the
    evidence is zero for all and the cosine and each case's record are left.
    """

    grows: Collection[str] = (*PastAnswers.GROWS, "rows", "outcomes", "weights")
    prior = PRIOR  # of a policy that extends this one with more columns after them

    def __init__(
        self,
        text_encoder: Embedder,
        exploration: float,
        prior_strength: float,
        evidence_width: float,
        null_arm: str,
        half_life: float | None = None,
    ) -> None:
        self._text_encoder = text_encoder
        self.exploration = exploration
        self.evidence_width = evidence_width
        self.may_show_nothing = null_arm != "off"
        self.explores_nothing = null_arm == "explore"
        self.half_life = half_life
        self.past = PastAnswers(text_encoder.dim)
        not_negative = np.array([name in NOT_NEGATIVE for name in self.prior])
        self.model = LaplaceLogistic(np.array(list(self.prior.values())), prior_strength, half_life, not_negative)
        self._records: dict[str, tuple[float, float]] = {}  # case -> failures and successes of the steps that showed it

    def score(self, query: str, cases: Sequence[Case]) -> Scores:
        rows = self.features(query, cases)
        logits = rows @ self.model.w
        exploit = sigmoid(logits)
        nu = np.full(len(rows), self.exploration)
        if self.may_show_nothing:
            nu[-1] *= math.sqrt(math.log1p(len(self.past))) if self.explores_nothing else 0.0
        bound = sigmoid(logits + nu * self.model.width(rows))
        if not np.isfinite(bound).all():
            raise not_finite("its scores")
        phi = Phi(torch.from_numpy(rows), 0)
        arms = slice(0, len(cases))
        terms = torch.from_numpy(exploit[arms]), torch.from_numpy((bound - exploit)[arms])
        return Scores(*terms, phi, float(bound[-1]) if self.may_show_nothing else None)

    def features(self, query: str, cases: Sequence[Case]) -> np.ndarray:
        """A row for each case, and with the null arm one for showing nothing; [n, d]."""
        vector = self._text_encoder.encode([query])[0]
        cosines = np.einsum("nd,d->n", self._text_encoder.encode([case.task for case in cases]), vector)
        nearest, near = float(cosines[0]), self.past.near(vector, NEIGHBOURS)
        near_weights = near.weights(self.evidence_width, nearest) * faded(near.ages, self.half_life)
        evidence = evidence_of([answer_text(case.answer) for case in cases], near, near_weights)
        record = np.array([self._record(case) for case in cases])
        rows = np.zeros((len(cases) + self.may_show_nothing, len(self.prior)))
        arms = slice(0, len(cases))
        rows[arms, COLUMN["cosine"]] = COSINE_SCALE * (cosines - nearest)
        rows[arms, COLUMN["evidence"]] = evidence - evidence[0]
        rows[arms, COLUMN["record"]] = record - record[0]
        nearness = COSINE_SCALE * (nearest - 0.8)
        rows[:, [COLUMN["nearness"], COLUMN["nearest's evidence"]]] = nearness, evidence[0]
        worth = [COLUMN["one"], COLUMN["shown nearness"], COLUMN["shown evidence"]]
        rows[arms, worth] = 1.0, nearness, evidence[0]
        if self.may_show_nothing:
            bare, shown = (_odds_among(near, near_weights * kept) for kept in (1.0 - near.shown, near.shown))
            rows[-1, COLUMN["nothing"]] = 1.0
            rows[-1, COLUMN["evidence for nothing"]] = bare - shown
        return rows

    def _record(self, case: Case) -> float:
        """The log-odds of success of the steps that showed the case."""
        failures, successes = self._records.get(str(name_of(case)), (0, 0))
        return log_odds(failures, successes, pseudo=1.0)

    def update(self, query: str, cases: Sequence[Case], reward: int, phi: Phi | None = None) -> Metrics:
        if phi is not None:  # what was shown without being ranked was not compared with anything
            self.model.add(phi.rows.numpy(), reward, 1.0 / len(phi.rows))
        if self.half_life is not None:
            kept = float(faded(np.ones(1), self.half_life)[0])
            self._records = {name: (kept * lost, kept * won) for name, (lost, won) in self._records.items()}
        for case in cases:
            failures, successes = self._records.get(str(name_of(case)), (0, 0))
            self._records[str(name_of(case))] = failures + 1 - reward, successes + reward
        return {}

    def observe(self, step: Step) -> None:
        vector = self._text_encoder.encode([step.task])[0]
        self.past.add(vector, step.answer, step.reward or 0, shown=bool(step.cases))

    def snapshot(self, before: Policy | None = None) -> Policy:
        taken = copy.copy(self)
        taken.past, taken.model, taken._records = self.past.snapshot(), copy.copy(self.model), dict(self._records)
        return taken

    def state_dict(self) -> dict[str, Any]:
        arrays = {"rows": self.model.rows, "outcomes": self.model.rewards, "weights": self.model.weights}
        arrays |= {"w": self.model.w, "covariance": self.model.covariance}
        tensors = {name: torch.from_numpy(value.copy()) for name, value in arrays.items()}
        return self.past.state_dict() | tensors | {"records": json.dumps(self._records)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        columns = len(state["w"])
        if columns != len(self.prior):
            made = f"weighs {columns} features, {type(self).__name__} has {len(self.prior)}"
            raise UserError(f"the policy has learned under another version: it {made}; start anew")
        self.past.load_state_dict(state)
        self.model.rows, self.model.rewards, self.model.weights, self.model.w, self.model.covariance = (
            torch.as_tensor(state[name]).numpy().copy() for name in ("rows", "outcomes", "weights", "w", "covariance")
        )
        self._records = {name: (lost, won) for name, (lost, won) in json.loads(state["records"]).items()}


def evidence_of(answers: list[str], near: Near, weights: np.ndarray) -> np.ndarray:
    """For each answer the log-odds that it is right here, by the near steps that gave it, [n]."""
    sums: dict[str, list[float]] = {}
    for answer, reward, weight in zip(near.answers, near.rewards, weights):
        sums.setdefault(answer, [0.0, 0.0])[int(reward)] += float(weight)
    return np.array([log_odds(*sums.get(answer, (0.0, 0.0))) for answer in answers])


def faded(ages: np.ndarray, half_life: float | None) -> np.ndarray:
    """What is left of weights of these ages: 0.5^(age / half_life), all of them without a half-life."""
    return np.ones(len(ages)) if half_life is None else np.exp2(-ages / half_life)


def _odds_among(near: Near, weights: np.ndarray) -> float:
    return log_odds(float(weights @ (1.0 - near.rewards)), float(weights @ near.rewards))


def log_odds(failures: float, successes: float, pseudo: float = PSEUDO) -> float:
    """log((successes + pseudo) / (failures + pseudo))."""
    return float(np.log((successes + pseudo) / (failures + pseudo)))


def sigmoid(z: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-z)) without overflow."""
    return 0.5 * (1.0 + np.tanh(0.5 * z))
