"""The policies: contextual bandits that choose which recalled case goes into the prompt.

An arm is a recalled case; its feature vector is phi(query, case) in R^d from a `PairEncoder`; the reward is one bit.
A policy sees features and rewards, never a model's files. The formulas are those of the CASCADE paper
(arXiv 2605.06702) for NeuralLinLogUCB, of NeuralUCB with linear confidence (ICLR 2022) for NeuralLinUCB, and of neural
dueling bandits (ICLR 2025) for NeuralLogUCB. lambda is spelled `regularization` here and nu `exploration`.

Matrices are float64 on the encoder's device (on the CPU where the device has no float64). `torch` and `numpy` random
generators are each policy's own, so two policies in one process do not disturb each other.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from errors import UserError
from step import SHOWS_NOTHING, Case, Metrics, Step

Pair = tuple[str, str]


class Encoder(Protocol):
    """What a policy needs of a pair encoder; see memory.pair_encoders.PairEncoder."""

    dim: int
    device: torch.device
    version: int
    grows: Collection[str]
    keeps: bool

    def encode(self, pairs: list[Pair]) -> Tensor: ...

    def head_weight(self) -> Tensor: ...

    def train_step(self, chunks: list[tuple[list[Pair], Tensor]], loss: str) -> float: ...

    def state_dict(self) -> dict[str, Any]: ...

    def twin(self) -> Encoder: ...

    def frozen(self) -> Encoder: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@dataclass(frozen=True)
class Phi:
    """Features of arms, rows [n, d], and the version of the encoder's weights that made them.

    `beside` are the tasks of the cases that the rows were set off against, for a policy that does so: with other
    weights both change.
    """

    rows: Tensor
    version: int
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scores:
    """The two terms of each arm's score, [n] each, arms in recall order; and the features that made them, if any.

    `nothing` is the score of showing no case, where that is an arm of its own; its features are the last row of `phi`.
    """

    exploit: Tensor
    explore: Tensor
    phi: Phi | None = None
    nothing: float | None = None

    @property
    def total(self) -> Tensor:
        return self.exploit + self.explore

    def top(self, k: int) -> list[int]:
        """The k best arms, best first; ties go to the better recall rank. Where showing nothing is an arm, none of them
        unless the best is above it: k cases are judged by one bit, so nothing says which of them to leave out.

        Raises UserError where a score is not a finite number: such a policy ranks nothing.
        """
        if not torch.isfinite(self.total).all():
            raise not_finite("its scores")
        best = torch.sort(self.total, descending=True, stable=True).indices[:k].tolist()
        return best if self.nothing is None or self.total[best[0]].item() > self.nothing else []

    def chosen(self, arms: list[int]) -> Phi | None:
        """The features of these arms, or of showing nothing where they are none, for the policy's update."""
        if self.phi is None:
            return None
        return replace(self.phi, rows=self.phi.rows[arms if arms or self.nothing is None else [-1]])

    def metrics(self, chosen: list[int]) -> Metrics:
        """max, min and mean of both terms and their sum, over all arms and over the chosen ones, if any."""
        result = {}
        for term, values in (("exploit", self.exploit), ("explore", self.explore), ("score", self.total)):
            for scope, part in (("", values), ("chosen_", values[chosen])):
                for statistic in ("max", "min", "mean") if len(part) else ():
                    result[f"UCB/{term}_{scope}{statistic}"] = getattr(part, statistic)().item()
        if self.nothing is not None:
            result |= {"UCB/score_nothing": self.nothing, SHOWS_NOTHING: int(not chosen)}
        return result


def not_finite(what: str) -> UserError:
    """The error for a policy whose numbers have run away."""
    advice = "--learning_rate, --lambda and --nu nearer to their defaults keep them so"
    return UserError(f"the policy has diverged: {what} are no longer finite numbers; {advice}")


class Policy(ABC):
    """Scores arms and learns from the reward of those that were chosen.

    Between `score` and `update` it remembers nothing of a step: the features of the chosen arms travel with the step,
    so several steps can be under way at once and feedback may come late. The keywords of a policy's constructor are
    options of config.py, beside `encoder`, which a policy takes that wants features, and `text_encoder`, by which the
    cases are recalled.

    Attributes:
        grows: the entries of `state_dict`, lists or tensors [n, ...], that only ever get longer.
        encoder: what its features come from, if any.
        may_show_nothing: whether showing no case is an arm; then it is asked from the first case on, not only where
            there are more than k.
    """

    grows: Collection[str] = ()
    encoder: Encoder | None = None
    may_show_nothing = False

    @abstractmethod
    def score(self, query: str, cases: Sequence[Case]) -> Scores:
        """Score the arms (query, case) of `cases`, which come in recall order."""

    def prepare(self, step: Step, query: str, cases: Sequence[Case]) -> None:
        """Do, while `step` is answered, what will be needed to score `cases` for the next `query`.

        It changes nothing that is chosen, and depends on no clock: called for the same steps it leaves the same state.
        """

    def update(self, query: str, cases: Sequence[Case], reward: int, phi: Phi | None = None) -> Metrics:
        """Learn that `query`, answered with `cases`, got `reward`; returns metrics, mostly none.

        `phi` is what `score` gave for these cases (`Scores.chosen`), None where they were not scored.
        """
        return {}

    def observe(self, step: Step) -> None:
        """Take in how a step ended, whatever it showed and once all is known of it: its answer and its reward."""

    def snapshot(self, before: Policy | None = None) -> Policy:
        """A policy that scores as this one does now, whatever this one learns later; it is not to learn itself.

        Args:
            before: the snapshot that was taken last, whose encoder serves where the weights are still the same.
        """
        taken = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, Confidence):
                setattr(taken, name, value.copy())
        if self.encoder is not None:
            last = before.encoder if before is not None else None
            same = last is not None and last.version == self.encoder.version
            taken.encoder = last if same else self.encoder.frozen()
        return taken

    def state_dict(self) -> dict[str, Any]:
        """Tensors and plain values from which `load_state_dict` restores the policy bit for bit.

        What a policy keeps of an encoder that it trains stands under `encoder`.
        """
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Become the policy that `state` was taken from."""


class Random(Policy):
    """Uniform over the recalled cases: each arm's exploit term is a fresh uniform draw."""

    def __init__(self, seed: int) -> None:
        self._generator = torch.Generator().manual_seed(seed)

    def score(self, query: str, cases: Sequence[Case]) -> Scores:
        draws = torch.rand(len(cases), generator=self._generator, dtype=torch.float64)
        return Scores(draws, torch.zeros_like(draws))

    def state_dict(self) -> dict[str, Any]:
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._generator.set_state(state["generator"])


class FeaturePolicy(Policy):
    """A policy over phi."""

    encoder: Encoder

    def __init__(self, encoder: Encoder) -> None:
        self.encoder = encoder
        self.device = torch.device("cpu") if encoder.device.type == "mps" else encoder.device

    def head_weight(self) -> Tensor:
        """The encoder's head, float64 [d] on the policy's device."""
        return self.head_of(self.encoder)

    def head_of(self, encoder: Encoder) -> Tensor:
        """The same of another encoder."""
        return encoder.head_weight().to(self.device).double()

    def features(self, pairs: list[Pair]) -> Tensor:
        """phi of each pair, float64 [n, d] on the policy's device. Raises UserError where they are no numbers."""
        return self.features_of(self.encoder, pairs)

    def features_of(self, encoder: Encoder, pairs: list[Pair]) -> Tensor:
        """The same by another encoder."""
        phi = encoder.encode(pairs).to(self.device).double()
        if not torch.isfinite(phi).all():
            raise not_finite("the features of its encoder")
        return phi

    def prepare(self, step: Step, query: str, cases: Sequence[Case]) -> None:
        if self.encoder.keeps:
            self.encoder.encode(self.pairs(query, cases))

    def score(self, query: str, cases: Sequence[Case]) -> Scores:
        phi = Phi(self.features(self.pairs(query, cases)), self.encoder.version)
        return replace(self.score_features(phi.rows), phi=phi)

    @abstractmethod
    def score_features(self, phi: Tensor) -> Scores:
        """Score arms by their features [n, d]."""

    def chosen_features(self, query: str, cases: Sequence[Case], phi: Phi | None) -> Tensor:
        """The features of the chosen arms, [k, d]: those that they were scored by, unless the encoder was trained."""
        if phi is not None and phi.version == self.encoder.version:
            return phi.rows
        return self.features(self.pairs(query, cases))

    def pairs(self, query: str, cases: Sequence[Case]) -> list[Pair]:
        """The two texts of each arm: (query, case task)."""
        return [(query, case.task) for case in cases]


class Pretrained(FeaturePolicy):
    """The pretrained classifier's logit, never updated (NP-CBR in the paper)."""

    def __init__(self, encoder: Encoder) -> None:
        super().__init__(encoder)
        self._w = self.head_weight()

    def score_features(self, phi: Tensor) -> Scores:
        logits = phi @ self._w
        return Scores(logits, torch.zeros_like(logits))


class Confidence:
    """A = lambda I + sum of phi phi' over the chosen arms, kept as its inverse [d, d] in float64."""

    def __init__(self, dim: int, regularization: float, device: torch.device) -> None:
        self.regularization = regularization
        self.inverse = torch.eye(dim, dtype=torch.float64, device=device) / regularization

    def add(self, phi: Tensor) -> None:
        """Take in the rows of phi [n, d] by one update of rank n (Woodbury's; Sherman and Morrison's for one row)."""
        directions = self.inverse @ phi.T
        small = phi @ directions
        small.diagonal().add_(1.0)
        self.inverse.addmm_(directions, torch.linalg.solve(small, directions.T), alpha=-1.0)

    def rebuild(self, phi: Tensor, weights: Tensor | None = None) -> None:
        """Start again from the rows of phi [n, d] alone, each counted `weights` [n] times.

        Raises UserError where rounding leaves A no inverse.
        """
        gram = phi.T @ (phi if weights is None else weights[:, None] * phi)
        gram.diagonal().add_(self.regularization)
        lower, failed = torch.linalg.cholesky_ex(gram)
        if failed:
            raise UserError("the policy's matrix A has no inverse in float64: a larger --lambda gives it one")
        self.inverse = torch.cholesky_inverse(lower)

    def copy(self) -> Confidence:
        """One that does not change with this one."""
        taken = copy.copy(self)
        taken.inverse = self.inverse.clone()
        return taken

    def width(self, phi: Tensor) -> Tensor:
        """sqrt(phi' A^-1 phi) of each row, [n]."""
        return torch.einsum("nd,nd->n", phi @ self.inverse, phi).clamp_min(0.0).sqrt()


class LinLogUCB(FeaturePolicy):
    """Logistic regression on frozen features: score = sigma(w . phi) + nu * sqrt(phi' A^-1 phi).

    w is 1/d in every entry until both rewards have been seen, then the unpenalised maximum-likelihood fit without
    intercept on all data. Where the data are separable no finite maximum exists, and w is where L-BFGS, which starts
    from zero each time, meets its tolerance: a function of the data alone.
    """

    grows = ("phi", "rewards")

    def __init__(self, encoder: Encoder, regularization: float, exploration: float) -> None:
        super().__init__(encoder)
        self.exploration = exploration
        self.confidence = Confidence(encoder.dim, regularization, self.device)
        self.w = torch.full((encoder.dim,), 1.0 / encoder.dim, dtype=torch.float64, device=self.device)
        self._phi = torch.empty((0, encoder.dim), dtype=torch.float64, device=self.device)
        self._rewards: list[int] = []

    def score_features(self, phi: Tensor) -> Scores:
        return Scores(torch.sigmoid(phi @ self.w), self.exploration * self.confidence.width(phi))

    def update(self, query: str, cases: Sequence[Case], reward: int, phi: Phi | None = None) -> Metrics:
        rows = self.chosen_features(query, cases, phi)
        self.confidence.add(rows)
        self._phi = torch.cat([self._phi, rows])
        self._rewards = self._rewards + [reward] * len(cases)
        if len(set(self._rewards)) == 2:
            self.w = self._fit()
        return {}

    def _fit(self) -> Tensor:
        from sklearn.linear_model import LogisticRegression

        model = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-4, max_iter=1000)
        model.fit(self._phi.cpu().numpy(), self._rewards)
        return torch.from_numpy(model.coef_[0]).to(self.w)

    def state_dict(self) -> dict[str, Any]:
        return {"w": self.w, "inverse": self.confidence.inverse.clone(), "phi": self._phi, "rewards": self._rewards}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.w = state["w"].to(self.device)
        self.confidence.inverse = state["inverse"].to(self.device, copy=True)
        self._phi = state["phi"].to(self.device)
        self._rewards = list(state["rewards"])


@dataclass(frozen=True)
class Relearned:
    """What a training step leads to.

    Attributes:
        encoder: with the new weights.
        loss: the mean before the step.
        seen: how many pairs of the history it knows.
        phi, rewards, weights: features [n, d], rewards [n] and weights [n] of the pairs that were encoded again.
        confidence: A of these.
    """

    encoder: Encoder
    loss: float
    seen: int
    phi: Tensor
    rewards: Tensor
    weights: Tensor
    confidence: Confidence


class NeuralLinear(FeaturePolicy):
    """A linear policy on the features of an encoder that is trained every `batch_size` * k chosen pairs.

    Between two training steps only w and A^-1 move. A training step changes what phi means, so every pair of the
    history is encoded again and the linear part is rebuilt from it.

    Two options depart from that, and make a long stream cheap:

    - `history_limit` M > 0: after a training step only M pairs are encoded again, the latest M // 2 and a uniform
      sample of the rest, each of which stands for as many as make its expectation of A (and b) the exact one.
    - `refresh` "overlap": training and encoding go on in a thread of their own, while the LLM answers, on a twin of the
      encoder. Its weights take effect when the next training step is due, `batch_size` * k pairs later, never sooner,
      so that a run depends on no clock; what was learned in between is learned again under them.
    """

    loss: str
    grows: Collection[str] = ("history",)

    def __init__(
        self,
        encoder: Encoder,
        regularization: float,
        exploration: float,
        learning_rate: float,
        batch_size: int,
        comk: int,
        seed: int = 0,
        history_limit: int = 0,
        refresh: str = "sync",
    ) -> None:
        super().__init__(encoder)
        self.exploration = exploration
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.buffer_size = batch_size * comk
        self.history_limit = history_limit
        self.seed = seed
        self.confidence = Confidence(encoder.dim, regularization, self.device)
        self.w = self.head_weight()
        self.history: list[tuple[Pair, int]] = []
        self._new: list[int] = []  # the pairs of each update that no training step has seen
        self._overlaps = refresh == "overlap"
        self._training: Future[Relearned] | None = None
        self._trains_on = (0, 0)  # of that: pairs of the history, how many of them are new

    @abstractmethod
    def learn(self, phi: Tensor, rewards: Tensor) -> None:
        """Move w for the chosen arms phi [n, d] with rewards [n]; A^-1 already holds them."""

    @abstractmethod
    def rebuild(self, phi: Tensor, rewards: Tensor, weights: Tensor) -> None:
        """Set w after a training step: phi [n, d] and rewards [n] are the history's, which A^-1 already holds.

        `weights` [n] is how many pairs each of them stands for.
        """

    def rows_of(self, encoder: Encoder, numbers: Sequence[int]) -> Tensor:
        """What the linear part learns from, of the history's pairs `numbers`, [n, d]."""
        return self.features_of(encoder, [self.history[i][0] for i in numbers])

    def spread(self, rows: Tensor, w: Tensor) -> Tensor:
        """The vectors [n, d] that A adds up for these rows, under the weights w."""
        return rows

    @property
    def buffered(self) -> int:
        """The newest pairs of the history that no training step has seen."""
        return sum(self._new)

    @property
    def uses_confidence(self) -> bool:
        """Whether anything depends on A: if not, no history is encoded again."""
        return True

    def update(self, query: str, cases: Sequence[Case], reward: int, phi: Phi | None = None) -> Metrics:
        self.history += [(pair, reward) for pair in self.pairs(query, cases)]
        self._new.append(len(cases))
        new = self.buffered
        due = new >= self.buffer_size
        if due and not self._overlaps:
            return self._adopt(self.relearn(self.encoder, self.history, new))
        metrics: Metrics = {}
        if due and self._training is not None:
            metrics = self._adopt(self._training.result())
        else:
            self.learn_online(query, cases, reward, phi)
        if due:
            self._launch(len(self.history), new)
        return metrics

    def prepare(self, step: Step, query: str, cases: Sequence[Case]) -> None:
        """Under the weights that the next query will meet: those of a training step that is due need its result."""
        due = self.buffered + len(step.cases) >= self.buffer_size
        if not due or (self._overlaps and self._training is None):
            super().prepare(step, query, cases)
        elif self._training is not None and self.encoder.keeps:
            learned = self._training.result()
            since, _ = _unzip(self.history[learned.seen :])
            learned.encoder.encode(since + self.pairs(step.task, step.cases) + self.pairs(query, cases))

    def learn_online(self, query: str, cases: Sequence[Case], reward: int, phi: Phi | None) -> None:
        """Take in one step under the weights of the moment."""
        self._take_in(self.chosen_features(query, cases, phi), self._tensor([reward] * len(cases)))

    def _take_in(self, rows: Tensor, rewards: Tensor) -> None:
        if self.uses_confidence:
            self.confidence.add(self.spread(rows, self.w))
        self.learn(rows, rewards)

    # -- training ----------------------------------------------------------------------------------------------------

    def relearn(self, encoder: Encoder, history: list[tuple[Pair, int]], new: int) -> Relearned:
        """Train `encoder` on the last `new` pairs of `history` and encode it again; changes nothing else."""
        buffer, size = history[-new:], self.batch_size
        chunks = [_unzip(buffer[start : start + size]) for start in range(0, new, size)]
        loss = encoder.train_step([(pairs, self._tensor(rewards)) for pairs, rewards in chunks], self.loss)
        if not math.isfinite(loss):
            raise not_finite("its losses")
        confidence = Confidence(encoder.dim, self.confidence.regularization, self.device)
        kept, weights = self._sample(len(history), encoder.version) if self.uses_confidence else ([], [])
        rewards, weight = self._tensor([history[i][1] for i in kept]), self._tensor(weights)
        phi = torch.empty((0, encoder.dim), dtype=torch.float64, device=self.device)
        if kept:
            phi = self.rows_of(encoder, kept)
            confidence.rebuild(self.spread(phi, self.head_of(encoder)), weight)
        return Relearned(encoder, loss, len(history), phi, rewards, weight, confidence)

    def _sample(self, size: int, version: int) -> tuple[Sequence[int], list[float]]:
        """Which pairs of a history of `size` are encoded again, and how many each stands for."""
        limit = self.history_limit
        if not limit or size <= limit:
            return range(size), [1.0] * size
        latest, drawn = limit // 2, limit - limit // 2
        older = size - latest
        chosen = np.random.default_rng((self.seed, version)).choice(older, drawn, replace=False)
        return [*sorted(chosen.tolist()), *range(older, size)], [older / drawn] * drawn + [1.0] * latest

    def _adopt(self, learned: Relearned) -> Metrics:
        """Go on with the new weights: the linear part is theirs, and what came in since is learned under them."""
        self.encoder, self.confidence = learned.encoder, learned.confidence
        self.rebuild(learned.phi, learned.rewards, learned.weights)
        since = range(learned.seen, len(self.history))
        if since:
            sizes, rewards = self._new, self._tensor([self.history[i][1] for i in since])
            steps = zip(self.rows_of(self.encoder, since).split(sizes), rewards.split(sizes))
            for rows, step_rewards in steps:
                self._take_in(rows, step_rewards)
        self._new = []
        return {"train/loss": learned.loss}

    def _launch(self, seen: int, new: int) -> None:
        """Begin to train a twin of the encoder on the first `seen` pairs of the history, in a thread of its own."""
        executor = ThreadPoolExecutor(1, "training")
        self._trains_on, self._new = (seen, new), []
        encoder, history = self.encoder, self.history[:seen]
        self._training = executor.submit(lambda: self.relearn(encoder.twin(), history, new))
        executor.shutdown(wait=False)

    def _tensor(self, rewards: Any) -> Tensor:
        return torch.tensor(rewards, dtype=torch.float64, device=self.device)

    # -- state -------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        return {
            "w": self.w,
            "inverse": self.confidence.inverse.clone(),
            "history": [(query, task, reward) for (query, task), reward in self.history],
            "new": list(self._new),
            "training": list(self._trains_on) if self._training is not None else None,
            "encoder": self.encoder.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.w = state["w"].to(self.device)
        self.confidence.inverse = state["inverse"].to(self.device, copy=True)
        self.history = [((query, task), reward) for query, task, reward in state["history"]]
        self.encoder.load_state_dict(state["encoder"])
        if state["training"] is not None:
            self._launch(*state["training"])
        self._new = list(state["new"])


def _unzip(history: list[tuple[Pair, int]]) -> tuple[list[Pair], list[int]]:
    return [pair for pair, _ in history], [reward for _, reward in history]


class NeuralLinLogUCB(NeuralLinear):
    """The paper's policy: score = sigma(w . phi) + nu * sqrt(phi' A^-1 phi), w from the head and moved online.

    Online, w <- w - (lr / B) * Phi' (sigma(Phi w) - r) / n; after a training step, w is the head's weight.

    Three options depart from it, each alone or together; the encoder is trained as ever. x is what tells a case apart:

    - `centre` "nearest" or "mean": x = phi less that of the query's nearest case, or less the mean of the recalled
      ones, takes phi's place in A, in the bonus and as the direction in which w moves; w . phi goes on predicting. What
      is true of a query whichever case it shows is then neither learned nor explored (Greenewald et al. 2017). A step
      that ranked nothing compares nothing: its x is zero.
    - `w_learning_rate`: the step size of w, as lr / B is far too small to move it. After a training step w starts from
      the head again and goes through the history once, under the new features.
    - `bonus` "posterior": score = sigma(w . phi + nu * s), s = sqrt(x' H^-1 x) the standard deviation of the logit by
      Laplace's approximation, H = lambda I + sum of p (1 - p) x x', p = sigma(w . phi) when the pair was taken in.
    """

    loss = "bce"

    def __init__(
        self,
        encoder: Encoder,
        regularization: float,
        exploration: float,
        learning_rate: float,
        batch_size: int,
        comk: int,
        seed: int = 0,
        history_limit: int = 0,
        refresh: str = "sync",
        centre: str = "off",
        w_learning_rate: float | None = None,
        bonus: str = "paper",
    ) -> None:
        super().__init__(
            encoder, regularization, exploration, learning_rate, batch_size, comk, seed, history_limit, refresh
        )
        self.centre = centre
        self.w_learning_rate = w_learning_rate
        self.bonus = bonus
        self._beside: list[tuple[str, ...]] = []  # where features are centred: for each pair of the history what by
        self.grows = ("history",) if centre == "off" else ("history", "beside")

    @property
    def uses_confidence(self) -> bool:
        return self.exploration > 0 or self.w_learning_rate is not None  # w also goes through the history

    # -- features: a row is phi, and where they are centred x beside it, so [:d] is phi and [-d:] is x ----------------

    def score(self, query: str, cases: Sequence[Case]) -> Scores:
        if self.centre == "off":
            return super().score(query, cases)
        beside = tuple(case.task for case in (cases[:1] if self.centre == "nearest" else cases))
        phi = self.features(self.pairs(query, cases))
        rows = torch.cat([phi, phi - phi[: len(beside)].mean(0)], dim=1)
        return replace(self.score_features(rows), phi=Phi(rows, self.encoder.version, beside))

    def score_features(self, phi: Tensor) -> Scores:
        d = self.encoder.dim
        logits = phi[:, :d] @ self.w
        exploit = torch.sigmoid(logits)
        if not self.exploration:
            return Scores(exploit, torch.zeros_like(exploit))
        width = self.exploration * self.confidence.width(phi[:, -d:])
        return Scores(exploit, width if self.bonus == "paper" else torch.sigmoid(logits + width) - exploit)

    def update(self, query: str, cases: Sequence[Case], reward: int, phi: Phi | None = None) -> Metrics:
        if self.centre != "off":
            self._beside += [phi.beside if phi is not None else (case.task,) for case in cases]
        return super().update(query, cases, reward, phi)

    def chosen_features(self, query: str, cases: Sequence[Case], phi: Phi | None) -> Tensor:
        if self.centre == "off" or (phi is not None and phi.version == self.encoder.version):
            return super().chosen_features(query, cases, phi)
        return self.rows_of(self.encoder, range(len(self.history) - len(cases), len(self.history)))

    def rows_of(self, encoder: Encoder, numbers: Sequence[int]) -> Tensor:
        phi = super().rows_of(encoder, numbers)
        if self.centre == "off":
            return phi
        centres = [
            self.features_of(encoder, [(self.history[i][0][0], task) for task in self._beside[i]]).mean(0)
            for i in numbers
        ]
        return torch.cat([phi, phi - torch.stack(centres)], dim=1)

    # -- learning ----------------------------------------------------------------------------------------------------

    def spread(self, rows: Tensor, w: Tensor) -> Tensor:
        d = self.encoder.dim
        if self.bonus == "paper":
            return rows[:, -d:]
        p = torch.sigmoid(rows[:, :d] @ w)
        return rows[:, -d:] * (p * (1.0 - p)).sqrt()[:, None]

    def learn(self, phi: Tensor, rewards: Tensor) -> None:
        rate = self.learning_rate / self.batch_size if self.w_learning_rate is None else self.w_learning_rate
        self.w = self.w - rate * (self._gradient(phi, rewards, torch.ones_like(rewards)) / len(phi))

    def _gradient(self, rows: Tensor, rewards: Tensor, weights: Tensor) -> Tensor:
        d = self.encoder.dim
        return rows[:, -d:].T @ (weights * (torch.sigmoid(rows[:, :d] @ self.w) - rewards))

    def rebuild(self, phi: Tensor, rewards: Tensor, weights: Tensor) -> None:
        self.w = self.head_weight()
        if self.w_learning_rate is not None:
            comk = self.buffer_size // self.batch_size
            for row, reward, weight in zip(phi.split(1), rewards.split(1), weights.split(1)):
                self.w = self.w - self.w_learning_rate / comk * self._gradient(row, reward, weight)

    # -- state -------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        beside = {} if self.centre == "off" else {"beside": list(self._beside)}
        return super().state_dict() | beside

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._beside = [tuple(tasks) for tasks in state.get("beside", [])]
        super().load_state_dict(state)


class NeuralLinUCB(NeuralLinear):
    """Linear reward: score = w . phi + nu * sqrt(phi' A^-1 phi), w = A^-1 b, b the sum of reward * phi.

    w is uniform in [-1, 1] until the first update. The encoder is trained on the squared error of its logit.
    """

    loss = "mse"

    def __init__(
        self,
        encoder: Encoder,
        regularization: float,
        exploration: float,
        learning_rate: float,
        batch_size: int,
        comk: int,
        seed: int,
        history_limit: int = 0,
        refresh: str = "sync",
    ) -> None:
        super().__init__(
            encoder, regularization, exploration, learning_rate, batch_size, comk, seed, history_limit, refresh
        )
        generator = torch.Generator().manual_seed(seed)
        self.w = (2 * torch.rand(self.encoder.dim, generator=generator, dtype=torch.float64) - 1).to(self.device)
        self.b = torch.zeros_like(self.w)

    def score_features(self, phi: Tensor) -> Scores:
        return Scores(phi @ self.w, self.exploration * self.confidence.width(phi))

    def learn(self, phi: Tensor, rewards: Tensor) -> None:
        self.b = self.b + phi.T @ rewards
        self.w = self.confidence.inverse @ self.b

    def rebuild(self, phi: Tensor, rewards: Tensor, weights: Tensor) -> None:
        self.b = phi.T @ (weights * rewards)
        self.w = self.confidence.inverse @ self.b

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"b": self.b}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.b = state["b"].to(self.device)


class NeuralLogUCB(FeaturePolicy):
    """A small network on frozen features: f is an MLP d-100-1 with ReLU that gives the logit.

    score = f(phi) + sqrt(sum(lambda * nu * g^2 / U)), g the gradient of f in its parameters; the diagonal U starts at
    lambda and adds g^2 of each chosen arm. After each feedback f is fitted by SGD (1e-2, weight decay lambda) on all
    data in random order, one sample a step, until an epoch's mean loss is at most 1e-3 or 1000 steps are done.

    The network lives in NumPy on the CPU: its steps are tiny and many, and there a step's cost is all overhead.
    """

    grows = ("phi", "rewards")
    HIDDEN, STEP_SIZE, MAX_STEPS, GOOD_LOSS = 100, 1e-2, 1000, 1e-3

    def __init__(self, encoder: Encoder, regularization: float, exploration: float, seed: int) -> None:
        super().__init__(encoder)
        self.device = torch.device("cpu")
        self.regularization = regularization
        self.exploration = exploration
        self._rng = np.random.default_rng(seed)
        d, h = encoder.dim, self.HIDDEN
        bound_in, bound_out = d**-0.5, h**-0.5
        self.parameters = {  # W1 [h, d], b1 [h], w2 [h], b2 [1]
            "W1": self._rng.uniform(-bound_in, bound_in, (h, d)),
            "b1": self._rng.uniform(-bound_in, bound_in, h),
            "w2": self._rng.uniform(-bound_out, bound_out, h),
            "b2": self._rng.uniform(-bound_out, bound_out, 1),
        }
        self.U = {name: np.full_like(value, regularization) for name, value in self.parameters.items()}
        self._phi = np.zeros((0, d))
        self._rewards = np.zeros(0)

    @np.errstate(over="ignore", invalid="ignore")  # numbers that run away are found below and told in one line
    def score_features(self, phi: Tensor) -> Scores:
        rows = phi.numpy()
        hidden, logits = self._forward(rows)
        scale = self.regularization * self.exploration
        gate = (hidden > 0) * self.parameters["w2"]  # d f / d (pre-activation), [n, h]
        # The gradient of W1 is gate x phi, so its squares over U factor: no [n, h, d] array is needed.
        total = np.einsum("nh,nh->n", gate**2, rows**2 @ (1.0 / self.U["W1"]).T)
        total += gate**2 @ (1.0 / self.U["b1"]) + hidden**2 @ (1.0 / self.U["w2"]) + 1.0 / self.U["b2"]
        return Scores(torch.from_numpy(logits), torch.from_numpy(np.sqrt(scale * total)))

    @np.errstate(over="ignore", invalid="ignore")
    def update(self, query: str, cases: Sequence[Case], reward: int, phi: Phi | None = None) -> Metrics:
        rows = self.chosen_features(query, cases, phi).numpy()
        hidden, _ = self._forward(rows)
        gate = (hidden > 0) * self.parameters["w2"]
        self.U["W1"] += (gate**2).T @ rows**2
        self.U["b1"] += (gate**2).sum(0)
        self.U["w2"] += (hidden**2).sum(0)
        self.U["b2"] += len(rows)
        self._phi = np.concatenate([self._phi, rows])
        self._rewards = np.concatenate([self._rewards, np.full(len(rows), float(reward))])
        return {"train/loss": self._fit()}

    def _forward(self, phi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Hidden activations [n, h] and logits [n]."""
        hidden = np.maximum(phi @ self.parameters["W1"].T + self.parameters["b1"], 0.0)
        return hidden, hidden @ self.parameters["w2"] + self.parameters["b2"]

    def _fit(self) -> float:
        """Fit f on all data; returns the last epoch's mean loss."""
        steps, mean_loss = 0, np.inf
        while steps < self.MAX_STEPS and mean_loss > self.GOOD_LOSS:
            order = self._rng.permutation(len(self._rewards))[: self.MAX_STEPS - steps]
            mean_loss = sum(self._sgd_step(self._phi[i], self._rewards[i]) for i in order) / len(order)
            steps += len(order)
        if not math.isfinite(mean_loss):
            raise not_finite("its losses")
        return float(mean_loss)

    def _sgd_step(self, phi: np.ndarray, reward: float) -> float:
        """One SGD step on the logistic loss of one sample; returns its loss before the step."""
        p = self.parameters
        hidden = np.maximum(p["W1"] @ phi + p["b1"], 0.0)
        logit = hidden @ p["w2"] + p["b2"][0]
        error = 1.0 / (1.0 + np.exp(-logit)) - reward
        active = np.flatnonzero(hidden)
        gate = self.STEP_SIZE * error * p["w2"][active]
        for value in p.values():
            value *= 1.0 - self.STEP_SIZE * self.regularization
        p["W1"][active] -= np.outer(gate, phi)
        p["b1"][active] -= gate
        p["w2"] -= self.STEP_SIZE * error * hidden
        p["b2"] -= self.STEP_SIZE * error
        return float(np.logaddexp(0.0, logit) - reward * logit)

    def state_dict(self) -> dict[str, Any]:
        arrays = {f"parameters.{name}": value for name, value in self.parameters.items()}
        arrays |= {f"U.{name}": value for name, value in self.U.items()}
        arrays |= {"phi": self._phi, "rewards": self._rewards}
        state = {name: torch.from_numpy(value.copy()) for name, value in arrays.items()}
        return state | {"rng": self._rng.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in self.parameters:
            self.parameters[name] = state[f"parameters.{name}"].numpy().copy()
            self.U[name] = state[f"U.{name}"].numpy().copy()
        self._phi, self._rewards = state["phi"].numpy(), state["rewards"].numpy()
        self._rng.bit_generator.state = state["rng"]
