"""Who answers of several LLMs: in turn, by Thompson sampling, by chance, or as a policy's choice of case and LLM."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from agents.choosing import DynamicThompson, RandomLLM, RoundRobin, Thompson
from agents.pairs import LinearModels, projection
from config import Config
from errors import UsageError, UserError
from helpers.prompts import play
from registry import CHOOSERS
from runs.checkpoint import Checkpoint
from step import Step

if TYPE_CHECKING:
    from memory.encoders import TextEncoder

CHANCES = (0.3, 0.7, 0.5)


def choices(rule: Any, chances: tuple[float, ...], size: int = 600, first: int = 1) -> list[int]:
    """Whom a rule chooses, where LLM number m is right with `chances[m]`."""
    chosen = []
    for number in range(first, first + size):
        step = Step(number)
        rule.choose(step)
        chosen.append(step.member)
        rule.update(step, int(np.random.default_rng([7, number]).random() < chances[step.member]))
    return chosen


def test_round_robin_and_chance() -> None:
    assert choices(RoundRobin(3, 0), CHANCES, 7) == [0, 1, 2, 0, 1, 2, 0]
    drawn = choices(RandomLLM(3, 0), CHANCES)
    assert choices(RandomLLM(3, 0), CHANCES) == drawn != choices(RandomLLM(3, 1), CHANCES)
    assert all(150 < drawn.count(member) < 250 for member in range(3))


@pytest.mark.parametrize("rule", [Thompson, DynamicThompson])
def test_thompson_finds_the_best_and_goes_on_from_a_checkpoint(rule: type[Thompson], tmp_path: Path) -> None:
    chosen = choices(rule(3, 0), CHANCES)
    assert chosen[-200:].count(1) > 140 and len(set(chosen[:20])) == 3
    begun = rule(3, 0)
    assert choices(begun, CHANCES, 250) == chosen[:250]
    checkpoint = Checkpoint.begin(tmp_path / "checkpoint", 250, None)
    begun.save(checkpoint)
    checkpoint.finish()
    saved = Checkpoint.open(tmp_path / "checkpoint")
    assert saved is not None
    continued = rule(3, 0)
    continued.load(saved)
    assert choices(continued, CHANCES, 350, first=251) == chosen[250:]


def test_thompson_counts_and_dynamic_thompson_forgets() -> None:
    plain, dynamic = Thompson(2, 0), DynamicThompson(2, 0)
    for number in range(300):
        for rule in (plain, dynamic):
            rule.update(Step(number, member=1), int(number < 150))
    assert plain.counts.tolist() == [[1, 1], [151, 151]]
    a, b = dynamic.counts[1]
    assert dynamic.counts[0].tolist() == [1, 1] and a + b == pytest.approx(100)
    # 98 counts fill up to C; then each count replaces a share 1 / (C + 1) of both
    a_then, b_then = 99.0, 1.0
    for number in range(98, 300):
        a_then, b_then = ((a_then + (number < 150)) * 100 / 101, (b_then + (number >= 150)) * 100 / 101)
    assert (a, b) == pytest.approx((a_then, b_then)) and a / (a + b) < 0.25


def test_the_dynamic_variant_follows_a_change_sooner() -> None:
    late = {}
    for rule in (Thompson, DynamicThompson):
        changed = rule(2, 0)
        choices(changed, (0.8, 0.4), 600)
        late[rule] = choices(changed, (0.2, 0.6), 300, first=601).count(1)
    assert late[DynamicThompson] > late[Thompson] + 50


# -- pairs -------------------------------------------------------------------------------------------------------------


def test_the_linear_models_are_ridge_regressions_of_their_own() -> None:
    rng = np.random.default_rng(0)
    models, seen = LinearModels(2, 4), {0: [], 1: []}
    for _ in range(60):
        x, member, reward = rng.standard_normal(4), int(rng.integers(2)), int(rng.integers(2))
        models.update(member, x, reward)
        seen[member].append((x, reward))
    x = rng.standard_normal((5, 4))
    exploit, explore = models.score(x)
    for member, rows in seen.items():
        X, r = np.array([row for row, _ in rows]), np.array([reward for _, reward in rows])
        A = np.eye(4) + X.T @ X
        assert exploit[:, member] == pytest.approx(x @ np.linalg.solve(A, X.T @ r))
        width = np.sqrt(np.einsum("nd,nd->n", x @ np.linalg.inv(A), x))
        assert explore[:, member] == pytest.approx(LinearModels.ALPHA * width)


def test_the_projection_keeps_lengths_on_average() -> None:
    basis = projection(64, 3)
    assert basis.shape == (64, 16) and np.allclose(basis.T @ basis, 4 * np.eye(16))
    assert np.array_equal(basis, projection(64, 3)) and not np.allclose(basis, projection(64, 4))
    assert projection(3, 0).shape == (3, 3)


@pytest.mark.parametrize("k", [1, 3])
def test_a_pair_is_a_case_and_who_answers(k: int, tmp_path: Path, text_encoder: TextEncoder) -> None:
    played = play(tmp_path, text_encoder, agent="mam-cbr", llms="a,b,c", comk=k, bandit="LinLogUCB")
    names = [step["llm"] for step in played.steps]
    assert set(names) == {"a", "b", "c"}
    models = played.agent.retrieval.llms
    counted = [round(np.linalg.inv(models.inverse[member])[0, 0]) - 1 for member in range(3)]
    assert counted == [names.count(name) for name in "abc"], "each step is learned from by who answered it, once"
    for number, step in enumerate(played.steps):
        right = sum(one["reward"] for one in played.steps[:number])
        assert len(step["cases"]) == min(k, right)
        scores = [case["score"] for case in step["cases"]]
        assert scores == sorted(scores, reverse=True) and {"llm/exploit", "llm/explore"} <= step["metrics"].keys()
    ranked = [step for step in played.steps if "UCB/score_max" in step["metrics"]]
    assert len(ranked) > 10


def test_with_another_rule_mam_cbr_is_cbr(tmp_path: Path, text_encoder: TextEncoder) -> None:
    several = play(tmp_path, text_encoder, agent="mam-cbr", llms="a,b", bandit="LinLogUCB", who="thompson")
    one = play(tmp_path, text_encoder, agent="cbr", bandit="LinLogUCB")
    assert several.shown == one.shown and several.prompts == one.prompts
    assert [step["cases"] for step in several.steps] == [step["cases"] for step in one.steps]
    assert {step["llm"] for step in several.steps} == {"a", "b"}


def test_controls_of_mam_cbr(tmp_path: Path, text_encoder: TextEncoder) -> None:
    empty = play(tmp_path, text_encoder, agent="mam-cbr", llms="a,b", control="empty")
    assert not any(empty.shown) and len({step["llm"] for step in empty.steps}) == 2
    chance = play(tmp_path, text_encoder, agent="mam-cbr", llms="a,b", control="random")
    drawn = [step["llm"] for step in chance.steps]
    assert 10 < drawn.count("a") < 30 and sum(map(len, chance.shown)) > 30


def test_a_log_of_another_who_cannot_be_continued(tmp_path: Path) -> None:
    step = Step(2, "t", record={"cases": [], "llm": "a"}, llm="b")
    with pytest.raises(UserError, match="step 2 of the log cannot be repeated: it saw another task, other cases or an"):
        step.check_shown()


def test_names_and_mistakes() -> None:
    def config(**more: Any) -> Config:
        return Config(env="lfd", llms="a,b", **more)

    plain = config(agent="mam-stream-icl")
    assert config(agent="mam-stream-icl", who="round_robin").identity() == plain.identity()
    assert "who" not in plain.run_name() and "who" not in plain.identity()
    assert config(agent="mam-stream-icl", who="round_robin").without_effect(["who"]) == []
    for who in CHOOSERS.keys() - {"policy"}:
        assert f"who={who}" in config(agent="mam-cbr", who=who).run_name()
    with pytest.raises(UsageError, match="--who policy: --agent mam-stream-icl has no policy, --agent mam-cbr has one"):
        config(agent="mam-stream-icl", who="policy")
    with pytest.raises(UsageError, match="--agent mam-cbr needs --llms NAME,NAME,..., the LLMs that answer"):
        Config(env="lfd", agent="mam-cbr")
    assert Config(env="lfd", agent="cbr", who="thompson").without_effect(["who"]) == [
        "--who has no effect with --agent cbr"
    ]
