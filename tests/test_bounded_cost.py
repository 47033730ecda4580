"""--history_limit and --refresh overlap: what they change of the exact path; a kill changes nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_resume import DEATHS, SIZE, live

from agents.case_values import MementoQ
from bandit import Confidence, NeuralLinear, NeuralLinLogUCB, NeuralLinUCB
from config import Config
from helpers.planted import PlantedEncoder, cases, planted_phi, planted_reward
from helpers.runs import lfd_stream, steps
from helpers.tiny_models import save_bert_of_letters

LAMBDA, NU = 0.1, 0.4
KINDS = [NeuralLinLogUCB, NeuralLinUCB]


def make(kind: type[NeuralLinear] = NeuralLinLogUCB, batch_size: int = 4, k: int = 1, **options: Any) -> NeuralLinear:
    learning = {"learning_rate": 0.3, "batch_size": batch_size, "comk": k}
    return kind(PlantedEncoder(), regularization=LAMBDA, **{"exploration": NU, "seed": 0} | learning | options)


def feed(policy: NeuralLinear, numbers: range, k: int = 1) -> list[dict[str, float]]:
    """Updates with planted pairs, one query and k cases each; what each has told."""
    told = []
    for number in numbers:
        tasks = [f"case {number}.{i}" for i in range(k)]
        reward = max(planted_reward(f"query {number}", task) for task in tasks)
        told.append(policy.update(f"query {number}", cases(tasks), reward))
    return told


def matrix(policy: NeuralLinear) -> np.ndarray:
    return np.linalg.inv(policy.confidence.inverse.numpy())


# -- A -----------------------------------------------------------------------------------------------------------------


def test_rows_taken_in_together_are_rows_taken_in_one_by_one() -> None:
    phi = torch.randn((7, 5), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    together, one_by_one = (Confidence(5, LAMBDA, torch.device("cpu")) for _ in range(2))
    together.add(phi)
    for row in phi:
        one_by_one.add(row[None])
    expected = np.linalg.inv(LAMBDA * np.eye(5) + phi.numpy().T @ phi.numpy())
    assert together.inverse.numpy() == pytest.approx(expected, rel=1e-9)
    assert one_by_one.inverse.numpy() == pytest.approx(expected, rel=1e-9)
    weights = torch.arange(7, dtype=torch.float64)
    together.rebuild(phi, weights)
    expected = np.linalg.inv(LAMBDA * np.eye(5) + (phi.numpy().T * weights.numpy()) @ phi.numpy())
    assert together.inverse.numpy() == pytest.approx(expected, rel=1e-9)


def test_where_nothing_depends_on_a_no_history_is_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    real = PlantedEncoder.encode
    monkeypatch.setattr(PlantedEncoder, "encode", lambda self, pairs: asked.append(len(pairs)) or real(self, pairs))
    for kind, exploration, most in (
        (NeuralLinLogUCB, NU, 40),
        (NeuralLinLogUCB, 0.0, 4),
        (MementoQ, 0.0, 4),
        (NeuralLinUCB, 0.0, 40),
    ):
        asked.clear()
        policy = make(kind, exploration=exploration)
        feed(policy, range(40))
        assert max(asked) == most, "no more than a training step takes"
        if not exploration:
            assert policy.score("query", cases(["a", "b"])).explore.tolist() == [0.0, 0.0]


# -- --history_limit ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_limit_encodes_the_latest_and_a_sample_that_keeps_the_expectation_of_a(
    kind: type[NeuralLinear], monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = make(kind)
    feed(exact, range(60))
    asked: list[list[Any]] = []
    real = PlantedEncoder.encode
    monkeypatch.setattr(PlantedEncoder, "encode", lambda self, pairs: asked.append(pairs) or real(self, pairs))
    matrices, bs = [], []
    for seed in range(150):
        limited = make(kind, history_limit=12, seed=seed)
        limited.history, limited._new = exact.history[:56], []
        asked.clear()
        feed(limited, range(56, 60))
        again = asked[-1]
        assert len(again) == 12 and len(set(again)) == 12
        assert again[-6:] == [pair for pair, _ in exact.history[-6:]], "the latest"
        assert set(again[:6]) <= {pair for pair, _ in exact.history[:-6]}
        limited_scale = limited.encoder.stretch().numpy()
        matrices.append(matrix(limited))
        bs.append(getattr(limited, "b", torch.zeros(1)).numpy() / limited_scale[0])
    phi = np.array([planted_phi(pair) for pair, _ in exact.history]) * limited_scale
    expected = LAMBDA * np.eye(phi.shape[1]) + phi.T @ phi
    mean, error = np.mean(matrices, 0), np.std(matrices, 0) / np.sqrt(len(matrices))
    assert np.all(np.abs(mean - expected) < 5 * error + 1e-4)
    assert np.std(matrices, 0).max() > 1, "samples differ from seed to seed"
    if kind is NeuralLinUCB:
        b = phi.T @ np.array([reward for _, reward in exact.history]) / limited_scale[0]
        assert np.all(np.abs(np.mean(bs, 0) - b) < 5 * np.std(bs, 0) / np.sqrt(len(bs)) + 1e-4)


@pytest.mark.parametrize("limit", [1, 2, 7, 100])
def test_a_limit_that_nothing_exceeds_changes_nothing(limit: int) -> None:
    limited, exact = make(history_limit=limit), make()
    for policy in (limited, exact):
        feed(policy, range(24))
    assert (matrix(limited) == matrix(exact)).all() == (limit >= 24)
    assert np.isfinite(matrix(limited)).all()
    again = make(history_limit=limit)
    feed(again, range(24))
    assert (matrix(again) == matrix(limited)).all(), "the sample depends on seed and training step alone"


# -- --refresh overlap -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 2])
def test_overlapped_training_takes_effect_one_training_step_late(k: int) -> None:
    overlapped, at_once = make(k=k, refresh="overlap"), make(k=k)
    told, told_at_once = (feed(policy, range(4), k) for policy in (overlapped, at_once))
    assert "train/loss" in told_at_once[3] and told == [{}] * 4
    assert overlapped.encoder.version == 0 and at_once.encoder.version == 1
    untrained = make(k=k)
    untrained.buffer_size = 10**6
    feed(untrained, range(4), k)
    assert overlapped.w.tolist() == untrained.w.tolist(), "until then all goes on under the old weights"

    more = feed(overlapped, range(4, 8), k)
    feed(at_once, range(4, 7), k)
    assert more == [{}] * 3 + [{"train/loss": told_at_once[3]["train/loss"]}]
    assert overlapped.encoder.version == 1
    scale = overlapped.encoder.stretch().numpy()
    phi = np.array([planted_phi(pair) for pair, _ in overlapped.history]) * scale
    assert matrix(overlapped) == pytest.approx(LAMBDA * np.eye(phi.shape[1]) + phi.T @ phi, rel=1e-5)
    w = at_once.w.clone()  # has learned from steps 4 to 6 under the new weights; one is left
    feed_last = at_once.features([pair for pair, _ in overlapped.history[-k:]])
    rewards = torch.tensor([float(reward) for _, reward in overlapped.history[-k:]], dtype=torch.float64)
    at_once.learn(feed_last, rewards)
    assert not torch.equal(at_once.w, w)
    assert overlapped.w.tolist() == pytest.approx(at_once.w.tolist(), rel=1e-9)


@pytest.mark.parametrize("kind", [*KINDS, MementoQ])
@pytest.mark.parametrize("at", [3, 4, 6, 8, 11])
def test_a_saved_policy_with_training_under_way_continues_bit_for_bit(kind: type[NeuralLinear], at: int) -> None:
    options = {"refresh": "overlap", "history_limit": 6}
    policy, restored = make(kind, **options), make(kind, **options)
    feed(policy, range(at))
    restored.load_state_dict(policy.state_dict())
    told = [feed(each, range(at, 20)) for each in (policy, restored)]
    assert told[0] == told[1] and any(told[0])
    assert restored.w.tolist() == policy.w.tolist()
    assert (matrix(restored) == matrix(policy)).all()


@pytest.mark.parametrize("bandit", ["NeuralLinLogUCB", "NeuralLinUCB"])
def test_a_bounded_run_that_is_killed_is_the_run_that_was_not(bandit: str, tmp_path: Path) -> None:
    model = Path(save_bert_of_letters(tmp_path / "model"))
    bounded = {"refresh": "overlap", "history_limit": 6, "batch_size": 4, "bandit": bandit}
    config = Config(env="lfd", agent="cbr", data=str(lfd_stream(tmp_path, SIZE)), **bounded)
    live(config, tmp_path / "unharmed", model)
    for death in (*DEATHS, None):
        live(config, tmp_path / "killed", model, death)
    assert len(steps(tmp_path / "unharmed")) == SIZE
    assert steps(tmp_path / "killed") == steps(tmp_path / "unharmed")
    told = [number for number, step in enumerate(steps(tmp_path / "unharmed"), 1) if "train/loss" in step["metrics"]]
    live(Config(**{**json.loads(json.dumps(vars(config))), "refresh": "sync"}), tmp_path / "sync", model)
    told_at_once = [
        number for number, step in enumerate(steps(tmp_path / "sync"), 1) if "train/loss" in step["metrics"]
    ]
    assert told and told[0] > told_at_once[0]


# -- identity ----------------------------------------------------------------------------------------------------------


def test_the_defaults_are_no_part_of_a_runs_identity() -> None:
    default = Config(env="lfd", agent="cbr")
    assert not {"history_limit", "refresh", "threads", "precision"} & default.identity().keys()
    assert default.run_name() == Config(env="lfd", agent="cbr", history_limit=0, refresh="sync", threads=3).run_name()
    off = {"precision": "bfloat16", "history_limit": 64, "refresh": "overlap"}
    bounded = Config(env="lfd", agent="cbr", **off)
    assert bounded.identity() == default.identity() | off
    assert "precision=bfloat16,history_limit=64,refresh=overlap" in bounded.run_name()
    assert default.without_effect(["history_limit", "refresh", "threads"]) == []
    told = Config(env="lfd", agent="cbr", bandit="LinLogUCB").without_effect(["history_limit", "refresh"])
    assert told == [f"--{name} has no effect with --bandit LinLogUCB" for name in ("history_limit", "refresh")]
