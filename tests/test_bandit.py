"""The policies against their formulas, on planted features."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from agents.case_values import MementoQ, Utility, plan_of
from agents.evidence import EvidenceLogUCB
from agents.neural_evidence import NeuralEvidenceLogUCB
from bandit import (
    Confidence,
    LinLogUCB,
    NeuralLinear,
    NeuralLinLogUCB,
    NeuralLinUCB,
    NeuralLogUCB,
    Policy,
    Pretrained,
    Random,
    Scores,
)
from helpers.planted import DIM, PlantedEncoder, PlantedTexts, cases, planted_phi, planted_reward
from step import Case, Step

LAMBDA, NU = 0.1, 0.4
RIDGE = {"regularization": LAMBDA, "exploration": NU}


def neural(kind: type[NeuralLinear], batch_size: int = 8, k: int = 1, **options: Any) -> NeuralLinear:
    return kind(PlantedEncoder(), **RIDGE, learning_rate=0.3, batch_size=batch_size, comk=k, **options)


def memento_q(exploration: float = 0.0) -> MementoQ:
    learning = {"learning_rate": 0.3, "batch_size": 8, "comk": 1}
    return MementoQ(PlantedEncoder(), regularization=LAMBDA, exploration=exploration, **learning)


def neural_log() -> NeuralLogUCB:
    policy = NeuralLogUCB(PlantedEncoder(), **RIDGE, seed=5)
    policy.MAX_STEPS = 150
    return policy


def evidence(null_arm: str) -> EvidenceLogUCB:
    return EvidenceLogUCB(PlantedTexts(), NU, prior_strength=1.0, evidence_width=0.3, null_arm=null_arm)


def neural_evidence() -> NeuralEvidenceLogUCB:
    settings = {"prior_strength": 1.0, "evidence_width": 0.3, "null_arm": "off"}
    learning = {"learning_rate": 0.3, "batch_size": 8, "comk": 1}
    return NeuralEvidenceLogUCB(PlantedTexts(), PlantedEncoder(), NU, **settings, **learning)


MAKERS: dict[str, Callable[[], Policy]] = {
    "NeuralLinLogUCB": lambda: neural(NeuralLinLogUCB),
    "NeuralLinLogUCB, centred": lambda: neural(NeuralLinLogUCB, centre="mean", bonus="posterior", w_learning_rate=0.2),
    "LinLogUCB": lambda: LinLogUCB(PlantedEncoder(), **RIDGE),
    "NeuralLinUCB": lambda: neural(NeuralLinUCB, seed=5),
    "NeuralLogUCB": neural_log,
    "MementoQ": memento_q,
    "MementoQ, exploring": lambda: memento_q(NU),
    "Utility": Utility,
    "EvidenceLogUCB": lambda: evidence("off"),
    "EvidenceLogUCB, null arm": lambda: evidence("on"),
    "NeuralEvidenceLogUCB": lambda: neural_evidence(),
    "Pretrained": lambda: Pretrained(PlantedEncoder()),
    "Random": lambda: Random(seed=5),
}


def arms(step: int, n: int = 8) -> tuple[str, list[str]]:
    """The step's query and the tasks of its recalled cases."""
    return f"query {step}", [f"case {step}.{i}" for i in range(n)]


def play(policy: Policy, steps: range, k: int = 1) -> list[tuple[list[int], int]]:
    """Let the policy choose and learn; for each step the chosen arms and the reward, 1 where any of them is good."""
    played = []
    for step in steps:
        query, tasks = arms(step)
        scores = policy.score(query, cases(tasks))
        chosen = scores.top(k)
        reward = max((planted_reward(query, tasks[i]) for i in chosen), default=step % 2)
        shown = cases([tasks[i] for i in chosen])
        policy.update(query, shown, reward, scores.chosen(chosen))
        policy.observe(Step(step + 1, query, shown, answer=step % 3, reward=reward))
        played.append((chosen, reward))
    return played


def success_rate(played: list[tuple[list[int], int]]) -> float:
    return sum(reward for _, reward in played) / len(played)


def inverse_from_scratch(phi: np.ndarray) -> np.ndarray:
    return np.linalg.inv(LAMBDA * np.eye(phi.shape[1]) + sum(np.outer(row, row) for row in phi))


def relative_error(value: Any, reference: np.ndarray) -> float:
    return float(np.linalg.norm(np.asarray(value) - reference) / np.linalg.norm(reference))


# -- A, scores and metrics --------------------------------------------------------------------------------------------


def test_inverse_is_exact_after_many_updates_and_after_a_rebuild() -> None:
    phi = torch.randn((500, DIM), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    confidence = Confidence(DIM, LAMBDA, torch.device("cpu"))
    for start in range(0, 400, 4):
        confidence.add(phi[start : start + 4])
    assert relative_error(confidence.inverse, inverse_from_scratch(phi[:400].numpy())) < 1e-8

    confidence.rebuild(2 * phi[:300])
    assert relative_error(confidence.inverse, inverse_from_scratch(2 * phi[:300].numpy())) < 1e-8
    confidence.add(phi[400:])
    expected = inverse_from_scratch(np.concatenate([2 * phi[:300].numpy(), phi[400:].numpy()]))
    assert relative_error(confidence.inverse, expected) < 1e-8

    width = [np.sqrt(row @ expected @ row) for row in phi[:5].numpy()]
    assert confidence.width(phi[:5]).numpy() == pytest.approx(width, rel=1e-9)
    assert confidence.inverse.dtype == torch.float64


def test_ties_go_to_the_better_recall_rank() -> None:
    exploit = torch.tensor([0.1, 0.5, 0.2, 0.5, 0.5, 0.2], dtype=torch.float64)
    scores = Scores(exploit, torch.zeros(6, dtype=torch.float64))
    assert scores.top(1) == [1]
    assert scores.top(5) == [1, 3, 4, 2, 5]
    assert Scores(torch.ones(32), torch.ones(32)).top(32) == list(range(32))
    assert Scores(torch.tensor([1.0, 0.0]), torch.tensor([0.0, 2.0])).top(1) == [1], "it is the sum that ranks"
    assert scores.top(9) == [1, 3, 4, 2, 5, 0]


def test_metrics_of_both_terms_over_all_and_chosen_arms() -> None:
    scores = Scores(torch.tensor([1.0, 2.0, 6.0]), torch.tensor([0.5, 0.25, 0.0]))
    metrics = scores.metrics([0, 1])
    assert [metrics[f"UCB/exploit_{name}"] for name in ("max", "min", "mean")] == [6.0, 1.0, 3.0]
    assert [metrics[f"UCB/explore_{name}"] for name in ("max", "min", "mean")] == [0.5, 0.0, 0.25]
    assert [metrics[f"UCB/exploit_chosen_{name}"] for name in ("max", "min", "mean")] == [2.0, 1.0, 1.5]
    assert [metrics[f"UCB/explore_chosen_{name}"] for name in ("max", "min", "mean")] == [0.5, 0.25, 0.375]
    assert [metrics[f"UCB/score_{name}"] for name in ("max", "min")] == [6.0, 1.5]
    assert len(metrics) == 18


# -- the policies with an encoder that learns -------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 3])
def test_neural_lin_log_moves_online_by_the_formula(n: int) -> None:
    policy = neural(NeuralLinLogUCB, batch_size=20, k=n)
    w = np.linspace(-0.5, 0.5, DIM, dtype=np.float32).astype(np.float64)
    assert policy.w.numpy() == pytest.approx(w, abs=1e-7)
    seen = np.zeros((0, DIM))
    for step in range(15):
        query, tasks = arms(step, n)
        reward = step % 2
        phi = policy.encoder.encode([(query, task) for task in tasks]).double().numpy()
        scores = policy.score(query, cases(tasks))
        inverse = inverse_from_scratch(seen)
        for i in range(n):
            assert scores.exploit[i].item() == pytest.approx(1 / (1 + np.exp(-phi[i] @ w)), rel=1e-6)
            assert scores.explore[i].item() == pytest.approx(NU * np.sqrt(phi[i] @ inverse @ phi[i]), rel=1e-9)
        assert policy.update(query, cases(tasks), reward) == {}
        gradient = sum((1 / (1 + np.exp(-row @ w)) - reward) * row for row in phi) / n
        w = w - 0.3 / 20 * gradient
        seen = np.concatenate([seen, phi])
        assert policy.w.numpy() == pytest.approx(w, abs=1e-7)
        assert relative_error(policy.confidence.inverse, inverse_from_scratch(seen)) < 1e-8
    assert not policy.encoder.trained


@pytest.mark.parametrize("kind", [NeuralLinLogUCB, NeuralLinUCB])
@pytest.mark.parametrize(("k", "group_sizes"), [(1, [1] * 4), (2, [2] * 4), (2, [1, 2, 2, 2, 2]), (3, [1] + [3] * 4)])
def test_training_uses_each_buffered_pair_once_and_rebuilds_the_linear_part(
    kind: type[NeuralLinear], k: int, group_sizes: list[int]
) -> None:
    policy = neural(kind, batch_size=4, k=k, **({"seed": 1} if kind is NeuralLinUCB else {}))
    history = []
    for training in range(3):
        buffer = []
        for group, size in enumerate(group_sizes):
            query, tasks = arms(100 * training + group, size)
            reward = (training + group) % 2
            assert len(policy.encoder.trained) == training
            metrics = policy.update(query, cases(tasks), reward)
            buffer += [((query, task), float(reward)) for task in tasks]
            history += buffer[-size:]
        assert "train/loss" in metrics
        assert policy.buffered == 0

        loss, chunks = policy.encoder.trained[-1]
        assert loss == {NeuralLinLogUCB: "bce", NeuralLinUCB: "mse"}[kind]
        assert [pair for pairs, rewards in chunks for pair in zip(pairs, rewards)] == buffer
        assert [len(pairs) for pairs, _ in chunks] == [4] * k + ([len(buffer) - 4 * k] if len(buffer) > 4 * k else [])

        phi = np.array([planted_phi(pair) for pair, _ in history]) * policy.encoder.stretch().numpy()
        inverse = inverse_from_scratch(phi)
        assert relative_error(policy.confidence.inverse, inverse) < 1e-6, "float32 features"
        if kind is NeuralLinLogUCB:
            assert policy.w.tolist() == policy.encoder.head_weight().tolist()
        else:
            expected = inverse @ sum(reward * row for row, (_, reward) in zip(phi, history))
            assert relative_error(policy.w, expected) < 1e-5
    assert len(policy.encoder.trained) == 3


def test_features_of_before_a_training_step_are_not_used_after_it() -> None:
    policy = neural(NeuralLinLogUCB, batch_size=2)
    query, tasks = arms(0)
    before = policy.score(query, cases(tasks))
    policy.update(query, cases(tasks[:1]), 1, before.chosen([0]))
    policy.update(query, cases(tasks[1:2]), 0, before.chosen([1]))
    assert len(policy.encoder.trained) == 1
    policy.update(query, cases(tasks[:1]), 1, before.chosen([0]))  # scored before the training, learned from after it
    phi = np.array([planted_phi((query, task)) for task in tasks]) * policy.encoder.stretch().numpy()
    assert relative_error(policy.confidence.inverse, inverse_from_scratch(phi[[0, 1, 0]])) < 1e-6
    after = policy.score(query, cases(tasks))
    assert after.exploit.tolist() == pytest.approx(torch.sigmoid(torch.from_numpy(phi) @ policy.w).tolist(), rel=1e-6)
    assert not torch.allclose(before.exploit, after.exploit)


def test_neural_lin_ucb_is_ridge_regression_between_trainings() -> None:
    policy = neural(NeuralLinUCB, batch_size=50, seed=3)
    start = policy.w.clone()
    assert start.abs().max() <= 1
    assert start.min() < 0 < start.max()
    assert not torch.equal(start, neural(NeuralLinUCB, seed=4).w), "another seed, another start"
    query, tasks = arms(0)
    phi = policy.encoder.encode([(query, task) for task in tasks]).double()
    assert policy.score(query, cases(tasks)).exploit.tolist() == pytest.approx((phi @ start).tolist())

    rows, rewards = [], []
    for step in range(40):
        query, tasks = arms(step, n=1)
        rows.append(policy.encoder.encode([(query, tasks[0])])[0].double().numpy())
        rewards.append(planted_reward(query, tasks[0]))
        policy.update(query, cases(tasks), rewards[-1])
        b = sum(reward * row for reward, row in zip(rewards, rows))
        assert policy.w.numpy() == pytest.approx(inverse_from_scratch(np.array(rows)) @ b, abs=1e-9)
    assert 0 < sum(rewards) < 40


# -- LinLogUCB --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [0, 1])
def test_lin_log_waits_for_both_rewards_then_fits_all_data(first: int) -> None:
    policy = LinLogUCB(PlantedEncoder(), **RIDGE)
    rng = np.random.default_rng(0)
    phi, rewards = [], []
    for step in range(120):
        query, tasks = arms(step, n=2)
        reward = first if step < 5 else int(rng.random() < 0.5)  # noise: the data cannot be separated
        phi += [planted_phi((query, task)) for task in tasks]
        rewards += [reward, reward]
        policy.update(query, cases(tasks), reward)
        if step < 5:
            assert policy.w.tolist() == [1 / DIM] * DIM
    x, sign = np.array(phi), 2.0 * np.array(rewards) - 1.0
    reference = minimize(lambda w: np.logaddexp(0, -sign * (x @ w)).sum(), np.zeros(DIM), tol=1e-10)
    assert policy.w.numpy() == pytest.approx(reference.x, abs=2e-3)
    assert np.abs(reference.x).max() > 0.05
    assert relative_error(policy.confidence.inverse, inverse_from_scratch(x)) < 1e-6

    query, tasks = arms(999)
    rows = policy.encoder.encode([(query, task) for task in tasks]).double()
    scores = policy.score(query, cases(tasks))
    assert scores.exploit.tolist() == pytest.approx(torch.sigmoid(rows @ policy.w).tolist())
    width = [NU * np.sqrt(row @ inverse_from_scratch(x) @ row) for row in rows.numpy()]
    assert scores.explore.tolist() == pytest.approx(width, rel=1e-6)


# -- NeuralLogUCB -----------------------------------------------------------------------------------------------------


def torch_network(policy: NeuralLogUCB) -> torch.nn.Sequential:
    """The policy's network as torch layers."""
    network = torch.nn.Sequential(torch.nn.Linear(DIM, 100), torch.nn.ReLU(), torch.nn.Linear(100, 1)).double()
    with torch.no_grad():
        for parameter, name in zip(network.parameters(), ("W1", "b1", "w2", "b2"), strict=True):
            parameter.copy_(torch.from_numpy(policy.parameters[name]).reshape(parameter.shape))
    return network


def flat_gradient(network: torch.nn.Sequential, phi: torch.Tensor) -> torch.Tensor:
    return torch.cat([g.flatten() for g in torch.autograd.grad(network(phi)[0], list(network.parameters()))])


def test_neural_log_explores_by_its_gradient() -> None:
    policy = neural_log()
    U = torch.full((100 * DIM + 100 + 100 + 1,), LAMBDA, dtype=torch.float64)
    for step in range(4):
        query, tasks = arms(step)
        network = torch_network(policy)
        phi = policy.encoder.encode([(query, task) for task in tasks]).double()
        gradients = torch.stack([flat_gradient(network, row) for row in phi])
        scores = policy.score(query, cases(tasks))
        assert scores.exploit.tolist() == pytest.approx(network(phi)[:, 0].tolist(), rel=1e-9)
        expected = (LAMBDA * NU * gradients**2 / U).sum(1).sqrt()
        assert scores.explore.tolist() == pytest.approx(expected.tolist(), rel=1e-9)
        policy.update(query, cases([tasks[0], tasks[3]]), step % 2)
        U = U + gradients[0] ** 2 + gradients[3] ** 2


def fit_with_torch(
    network: torch.nn.Sequential, rows: torch.Tensor, rewards: torch.Tensor, state: dict[str, Any], policy: NeuralLogUCB
) -> tuple[int, float]:
    """Fit `network` by torch's own SGD in the order that the generator `state` gives; returns steps and last loss."""
    rng = np.random.default_rng()
    rng.bit_generator.state = state
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-2, weight_decay=LAMBDA)
    steps, mean_loss = 0, np.inf
    while steps < policy.MAX_STEPS and mean_loss > policy.GOOD_LOSS:
        losses = []
        for i in rng.permutation(len(rows)):
            if steps == policy.MAX_STEPS:
                break
            optimizer.zero_grad()
            loss = torch.nn.functional.binary_cross_entropy_with_logits(network(rows[i])[0], rewards[i])
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            steps += 1
        mean_loss = float(np.mean(losses))
    return steps, mean_loss


@pytest.mark.parametrize(
    ("max_steps", "good_loss", "expected_steps"), [(150, 1e-3, 150), (60, 1e-3, 60), (4, 1e-3, 4), (150, 0.75, 7)]
)
def test_neural_log_fits_like_torch_sgd_and_stops_in_time(
    max_steps: int, good_loss: float, expected_steps: int
) -> None:
    assert (NeuralLogUCB.MAX_STEPS, NeuralLogUCB.GOOD_LOSS, NeuralLogUCB.HIDDEN) == (1000, 1e-3, 100)
    policy = neural_log()
    played = play(policy, range(6))
    policy.MAX_STEPS, policy.GOOD_LOSS = max_steps, good_loss
    pairs = [(arms(step)[0], arms(step)[1][chosen[0]]) for step, (chosen, _) in enumerate(played)] + [("q", "c")]
    rows = policy.encoder.encode(pairs).double()
    rewards = torch.tensor([reward for _, reward in played] + [1], dtype=torch.float64)
    network, state = torch_network(policy), policy.state_dict()["rng"]

    metrics = policy.update("q", cases(["c"]), 1)
    steps, mean_loss = fit_with_torch(network, rows, rewards, state, policy)
    assert steps == expected_steps
    assert metrics["train/loss"] == pytest.approx(mean_loss, rel=1e-8)
    for parameter, name in zip(network.parameters(), ("W1", "b1", "w2", "b2"), strict=True):
        assert parameter.detach().numpy().ravel() == pytest.approx(policy.parameters[name].ravel(), abs=1e-10)


@pytest.mark.parametrize(("regularization", "lives"), [(0.1, False), (1e-4, True)])
def test_a_weight_decay_above_what_the_features_say_leaves_no_network(regularization: float, lives: bool) -> None:
    """Then every arm scores the same, and the nearest case is shown: what NeuralLogUCB comes to on Banking77."""

    class Faint(PlantedEncoder):
        def encode(self, pairs: list[tuple[str, str]]) -> torch.Tensor:
            return 0.1 * super().encode(pairs)

    policy = NeuralLogUCB(Faint(), regularization, NU, seed=5)
    play(policy, range(25))
    query, tasks = arms(99)
    scores = policy.score(query, cases(tasks))
    assert (np.abs(policy.parameters["W1"]).max() > 0.05) == lives
    assert (np.ptp(scores.exploit.numpy()) > 1e-3) == lives
    assert lives or np.ptp(scores.total.numpy()) < 1e-3


# -- Random and Pretrained --------------------------------------------------------------------------------------------


def test_random_is_uniform_and_seeded() -> None:
    policy, twin, other = Random(3), Random(3), Random(4)
    firsts = [policy.score("q", cases(["c"] * 8)).top(1)[0] for _ in range(4000)]
    counts = np.bincount(firsts, minlength=8)
    assert ((counts - 500) ** 2 / 500).sum() < 24.3, "chi-square of 7 degrees of freedom, p = 0.001"
    assert [twin.score("q", cases(["c"] * 8)).top(1)[0] for _ in range(4000)] == firsts
    assert [other.score("q", cases(["c"] * 8)).top(1)[0] for _ in range(4000)] != firsts
    assert policy.score("q", cases(["c"] * 5)).explore.tolist() == [0.0] * 5

    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    Random(9).score("q", cases(["c"] * 8))
    assert torch.equal(torch.rand(3), expected), "the process's random state is not touched"


def test_pretrained_scores_by_the_logit_and_never_changes() -> None:
    policy = Pretrained(PlantedEncoder())
    query, tasks = arms(7)
    before = policy.score(query, cases(tasks))
    w = torch.linspace(-0.5, 0.5, DIM).double()
    logits = policy.encoder.encode([(query, task) for task in tasks]).double() @ w
    assert before.exploit.tolist() == logits.tolist()
    assert before.explore.tolist() == [0.0] * 8
    play(policy, range(60))
    assert policy.score(query, cases(tasks)).exploit.tolist() == before.exploit.tolist()
    assert not policy.encoder.trained


# -- what a case is worth ---------------------------------------------------------------------------------------------


def test_memento_q_reads_the_plan_and_explores_only_where_asked() -> None:
    plans = [
        Case("task", answer={"b": 1, "a": 2}),
        Case("task", "no", output="All that was written"),
        Case("task", "x"),
    ]
    assert [plan_of(case) for case in plans] == ['{"a": 2, "b": 1}', "All that was written", "x"]
    for exploration in (0.0, NU):
        policy = memento_q(exploration)
        phi = policy.encoder.encode([("q", f"task\n{plan_of(case)}") for case in plans]).double()
        scores = policy.score("q", plans)
        assert scores.exploit.tolist() == torch.sigmoid(phi @ policy.head_weight()).tolist()
        policy.update("q", plans[:2], 1)
        width = [NU * np.sqrt(row @ inverse_from_scratch(phi[:2].numpy()) @ row) for row in phi.numpy()]
        expected = width if exploration else [0.0] * 3
        assert policy.score("q", plans).explore.tolist() == pytest.approx(expected, rel=1e-9)
        assert policy.score("q", plans).exploit.tolist() == scores.exploit.tolist(), "nothing moves between trainings"


def test_memento_q_with_a_bonus_trains_as_neural_lin_log_does() -> None:
    """Where cases have no plan but their task, the two see the same pairs; w between trainings is all that differs."""
    q, bandit = memento_q(NU), neural(NeuralLinLogUCB)
    q.pairs = bandit.pairs
    for step in range(40):
        query, tasks = arms(step)
        arm = cases([tasks[step % 8]])
        for policy in (q, bandit):
            policy.update(query, arm, planted_reward(query, arm[0].task))
        assert q.encoder.trained == bandit.encoder.trained
        assert q.confidence.inverse.tolist() == bandit.confidence.inverse.tolist()
    assert len(q.encoder.trained) == 5


def test_memento_q_learns_nothing_where_the_bit_says_nothing_of_the_case() -> None:
    """The flaw of the published training pairs: every case of a query has the query's outcome, whichever was shown."""

    def separates(depends: bool, seed: int) -> float:
        """How much higher Q ranks good arms than others, of queries that it has not seen."""
        policy, rng = memento_q(), np.random.default_rng(seed)
        for step in range(1000 * seed, 1000 * seed + 160):
            query, tasks = arms(step)
            arm = tasks[int(rng.integers(8))]
            reward = good(query, arm) if depends else int(rng.random() < 0.25)
            policy.update(query, cases([arm]), reward)
        good_q, other_q = [], []
        for step in range(50_000, 50_060):
            query, tasks = arms(step)
            for task, value in zip(tasks, policy.score(query, cases(tasks)).exploit.tolist()):
                (good_q if good(query, task) else other_q).append(value)
        return float(np.mean(good_q) - np.mean(other_q))

    def good(query: str, task: str) -> int:
        return planted_reward(query, f"{task}\nnull")

    told, untold = ([separates(depends, seed) for seed in range(10)] for depends in (True, False))
    error = [1.96 * np.std(values, ddof=1) / np.sqrt(10) for values in (told, untold)]
    assert np.mean(told) - error[0] > 0.3
    assert abs(np.mean(untold)) < error[1] + 0.05 and np.mean(untold) + error[1] < 0.2


class NaiveUtility:
    """The share of successes as one would count it by hand, from the whole list of what was shown when."""

    def __init__(self) -> None:
        self.log: list[tuple[int, int]] = []

    def value(self, case: int) -> float:
        rewards = [reward for shown, reward in self.log if shown == case]
        return (1 + sum(rewards)) / (2 + len(rewards))


def test_utility_is_the_share_of_successes_after_a_case_was_shown() -> None:
    policy, naive, rng = Utility(), NaiveUtility(), np.random.default_rng(0)
    worth = rng.random(40)
    bank = [Case(f"task {i % 7}", step=i + 1) for i in range(40)]  # equal texts are different cases
    ranks = []
    for step in range(600):
        recalled = [bank[i] for i in rng.permutation(40)[:12]]
        values = [naive.value(case.step) for case in recalled]
        scores = policy.score(f"query {step}", recalled)
        assert scores.total.tolist() == values
        chosen = sorted(range(12), key=lambda i: (-values[i], i))[:3]
        assert scores.top(3) == chosen
        ranks += chosen
        shown = [recalled[i] for i in chosen]
        reward = int(rng.random() < np.mean([worth[case.step - 1] for case in shown]))
        policy.update(f"query {step}", shown, reward)
        naive.log += [(case.step, reward) for case in shown]
    assert len(set(ranks)) == 12
    learned = [naive.value(case.step) for case in bank]
    assert np.corrcoef(learned, worth)[0, 1] > 0.3


# -- learning, saving -------------------------------------------------------------------------------------------------

CHANCE = 0.3  # the share of good arms is about a quarter


@pytest.mark.parametrize("name", ["NeuralLinLogUCB", "LinLogUCB", "NeuralLinUCB", "NeuralLogUCB"])
def test_learns_a_planted_preference(name: str) -> None:
    policy = MAKERS[name]()
    played = play(policy, range(120))
    first, last = success_rate(played[:12]), success_rate(played[-60:])
    assert last > 2 * CHANCE
    assert last > first + 0.1


def test_random_does_not_learn() -> None:
    played = play(Random(seed=5), range(1200))
    share = np.mean([planted_reward(arms(step)[0], task) for step in range(150) for task in arms(step)[1]])
    assert 0.2 < share < CHANCE
    assert success_rate(played[600:]) == pytest.approx(share, abs=0.06)
    assert success_rate(played[:600]) == pytest.approx(share, abs=0.06)


@pytest.mark.parametrize("name", list(MAKERS))
@pytest.mark.parametrize("steps", [0, 3, 21])
def test_a_saved_policy_continues_bit_for_bit(name: str, steps: int, tmp_path: Path) -> None:
    policy = MAKERS[name]()
    play(policy, range(steps), k=2)
    snapshot = policy.state_dict()
    torch.save(snapshot, tmp_path / "policy.pt")
    expected = play(policy, range(steps, steps + 12), k=2)
    query, tasks = arms(1000)
    last = policy.score(query, cases(tasks))

    from_file, from_memory = MAKERS[name](), MAKERS[name]()
    from_file.load_state_dict(torch.load(tmp_path / "policy.pt", weights_only=True))
    from_memory.load_state_dict(snapshot)
    for restored in (from_file, from_memory):
        assert play(restored, range(steps, steps + 12), k=2) == expected
        scores = restored.score(query, cases(tasks))
        assert scores.exploit.tolist() == last.exploit.tolist()
        assert scores.explore.tolist() == last.explore.tolist()


def test_every_policy_leaves_the_process_random_state_alone() -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    expected = torch.rand(3).tolist(), np.random.rand(3).tolist()
    for make in MAKERS.values():
        torch.manual_seed(0)
        np.random.seed(0)
        play(make(), range(10))
        assert (torch.rand(3).tolist(), np.random.rand(3).tolist()) == expected
