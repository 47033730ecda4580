"""EvidenceLogUCB against its formulas and against a slow second reading of them; showing nothing as an arm."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

import main
from agent import make_agent
from agents.discovery import ASKED, FailingPlaces, comparable
from agents.evidence import PRIOR, EvidenceLogUCB, LaplaceLogistic
from bandit import Scores
from clients.scripted import ScriptedClient
from config import Config
from env import make_env
from env.labels import load_labels
from errors import UserError
from helpers.planted import DIM, PlantedTexts
from helpers.runs import lfd_stream, steps
from llm import LLM
from memory.past import PastAnswers
from report.single import nothing_shown
from runs.folder import RunLog
from runs.track import Tracker
from step import SHOWS_NOTHING, Case, Step

WIDTH, STRENGTH, NU = 0.3, 2.0, 0.7


def make(null_arm: str = "off", texts: PlantedTexts | None = None, **options: Any) -> EvidenceLogUCB:
    settings = {"exploration": NU, "prior_strength": STRENGTH, "evidence_width": WIDTH} | options
    return EvidenceLogUCB(texts or PlantedTexts(), null_arm=null_arm, **settings)


class Naive:
    """The policy as one would write it down, from nothing but the list of what happened."""

    def __init__(self, null_arm: str, half_life: float = math.inf) -> None:
        self.null_arm = null_arm
        self.half_life = half_life
        self.texts = PlantedTexts()
        self.past: list[tuple[str, Any, int, bool]] = []  # query, answer, reward, whether a case was shown
        self.shown: list[tuple[Case, int, int]] = []  # case, reward, step
        self.data: list[tuple[list[float], int, float, int]] = []  # row, reward, weight, step

    def cosine(self, a: str, b: str) -> float:
        return float(self.texts.encode([a])[0].astype(float) @ self.texts.encode([b])[0].astype(float))

    def left(self, step: int) -> float:
        """What a step, from 0, counts once those after it are over."""
        return float(0.5 ** ((len(self.past) - 1 - step) / self.half_life))

    def rows(self, query: str, cases: list[Case]) -> list[list[float]]:
        first = self.cosine(query, cases[0].task)
        near = sorted(self.past, key=lambda step: -self.cosine(query, step[0]))[:128]
        weight = {
            step[0]: math.exp((self.cosine(query, step[0]) - first) / WIDTH) * self.left(self.past.index(step))
            for step in near
        }

        def odds(kept: Any) -> float:
            won = sum(weight[step[0]] for step in near if kept(step) and step[2])
            lost = sum(weight[step[0]] for step in near if kept(step) and not step[2])
            return math.log((won + 0.5) / (lost + 0.5))

        def evidence(case: Case) -> float:
            return odds(lambda step: step[1] == case.answer)

        def record(case: Case) -> float:
            won = sum(reward * self.left(step) for other, reward, step in self.shown if other == case)
            lost = sum((1 - reward) * self.left(step) for other, reward, step in self.shown if other == case)
            return math.log((1 + won) / (1 + lost))

        of_query = [10 * (first - 0.8), evidence(cases[0])]
        rows = [
            [
                10 * (self.cosine(query, case.task) - first),
                evidence(case) - evidence(cases[0]),
                record(case) - record(cases[0]),
                *of_query,
                *(1.0, *of_query),
                *(0.0, 0.0),
            ]
            for case in cases
        ]
        if self.null_arm != "off":
            of_nothing = [1.0, odds(lambda step: not step[3]) - odds(lambda step: step[3])]
            rows.append([0, 0, 0, *of_query, 0, 0, 0, *of_nothing])
        return rows

    def scores(self, query: str, cases: list[Case]) -> list[float]:
        mean = np.array(list(PRIOR.values()))
        x = np.array([entry[0] for entry in self.data]).reshape(-1, len(mean))
        r = np.array([entry[1] for entry in self.data], float)
        weight = np.array([entry[2] * self.left(entry[3]) for entry in self.data])

        def loss(w: np.ndarray) -> float:
            z = x @ w
            return float(weight @ (np.logaddexp(0, z) - r * z) + STRENGTH / 2 * ((w - mean) ** 2).sum())

        bounds = [(0, None) if i in (0, 1, 6, 7) else (None, None) for i in range(len(mean))]
        w = minimize(loss, mean, method="L-BFGS-B", bounds=bounds, options={"gtol": 1e-9, "ftol": 1e-16}).x
        precision = STRENGTH * np.eye(len(mean))
        for row, each in zip(x, weight):
            p = 1 / (1 + math.exp(-row @ w))
            precision += each * p * (1 - p) * np.outer(row, row)
        covariance = np.linalg.inv(precision)
        rows = np.array(self.rows(query, cases))
        bonus = [NU * math.sqrt(row @ covariance @ row) for row in rows]
        if self.null_arm != "off":
            bonus[-1] *= {"on": 0.0, "explore": math.sqrt(math.log(1 + len(self.past)))}[self.null_arm]
        return [1 / (1 + math.exp(-(row @ w) - more)) for row, more in zip(rows, bonus)]


@pytest.mark.parametrize(
    ("k", "null_arm", "half_life"),
    [(1, "off", None), (2, "off", 7.0), (1, "on", 9.0), (3, "on", None), (1, "explore", None)],
)
def test_the_naive_reference_chooses_the_same_cases(k: int, null_arm: str, half_life: float | None) -> None:
    policy, rng = make(null_arm, half_life=half_life), np.random.default_rng(k)
    naive = Naive(null_arm, half_life or math.inf)
    bank = [Case(f"case {i}", {"label": i % 5}, step=i + 1) for i in range(30)]
    ranks, sizes = set(), []
    for number in range(1, 46):
        query = f"query {number}"
        recalled = sorted((bank[i] for i in rng.permutation(30)[:8]), key=lambda case: -naive.cosine(query, case.task))
        expected = naive.scores(query, recalled)
        scores = policy.score(query, recalled)
        assert scores.total.tolist() == pytest.approx(expected[:8], abs=1e-5)
        floor = expected[8] if null_arm != "off" else -1.0
        assert scores.nothing == (pytest.approx(floor, abs=1e-5) if null_arm != "off" else None)
        best = sorted(range(8), key=lambda i: -expected[i])[:k]
        chosen = scores.top(k)
        assert chosen == (best if expected[best[0]] > floor else [])
        shown = [recalled[i] for i in chosen]
        answer, reward = {"label": int(rng.integers(5))}, int(rng.random() < (0.4 if shown else 0.5))
        rows = naive.rows(query, recalled)
        learned = [rows[i] for i in chosen] or [rows[-1]]
        naive.data += [(row, reward, 1 / len(learned), number - 1) for row in learned]
        naive.shown += [(case, reward, number - 1) for case in shown]
        naive.past.append((query, answer, reward, bool(shown)))
        policy.update(query, shown, reward, scores.chosen(chosen))
        policy.observe(Step(number, query, shown, answer=answer, reward=reward))
        ranks |= set(chosen)
        sizes.append(len(shown))
    assert len(ranks) > k, "the choice depended on the scores, not on the recall rank"
    assert (0 in sizes) == (null_arm != "off") and max(sizes) == k
    assert np.abs(policy.model.w - policy.model.mean).max() > 0.1


def test_showing_nothing_is_an_arm_wherever_a_case_may_be_left_out() -> None:
    usual = Config(env="lfd", agent="cbr", bandit="EvidenceLogUCB")
    assert usual.null_arm == "on" and "null_arm" not in usual.run_name()
    assert "null_arm=off" in Config(env="lfd", agent="cbr", bandit="EvidenceLogUCB", null_arm="off").run_name()
    pairs = Config(env="lfd", agent="mam-cbr", llms="a,b", bandit="EvidenceLogUCB")
    assert pairs.null_arm == "off" and "null_arm" not in pairs.run_name()


def test_what_another_version_has_learned_is_refused() -> None:
    policy = make("on")
    state = policy.state_dict() | {"w": torch.zeros(8)}
    with pytest.raises(UserError, match="weighs 8 features, EvidenceLogUCB has 10; start anew"):
        policy.load_state_dict(state)


def test_no_weight_that_may_not_be_negative_ever_is_and_the_mode_is_the_best_of_the_rest() -> None:
    rng = np.random.default_rng(3)
    mean, truth = np.array([1.0, 1.0, 0.5, 0.0]), np.array([-2.0, 0.8, -1.0, 0.7])
    model = LaplaceLogistic(mean, 2.0, not_negative=np.array([True, True, False, False]))
    x = rng.standard_normal((120, 4)) @ np.array([[1, 0.6, 0, 0], [0, 1, 0, 0], [0, 0.4, 1, 0], [0, 0, 0, 1]])
    r = (rng.random(120) < 1 / (1 + np.exp(-x @ truth))).astype(int)

    def loss(w: np.ndarray, n: int) -> float:
        return float((np.logaddexp(0, x[:n] @ w) - r[:n] * (x[:n] @ w)).sum() + ((w - mean) ** 2).sum())

    bounds, at_zero = [(0, None), (0, None), (None, None), (None, None)], 0
    for n in range(1, 121):
        model.add(x[n - 1 : n], int(r[n - 1]), 1.0)
        if n % 20 == 0:
            best = minimize(loss, mean, args=(n,), method="L-BFGS-B", bounds=bounds, options={"gtol": 1e-9}).x
            assert model.w == pytest.approx(best, abs=1e-4)
            at_zero += int(model.w[0] == 0.0)
    assert at_zero >= 3 and model.w[1] > 0.0 > -0.3 > model.w[2]


def test_laplace_finds_the_mode_from_far_and_its_width_shrinks() -> None:
    rng = np.random.default_rng(0)
    mean, x = np.array([30.0, -30.0]), rng.standard_normal((400, 2)) * 3
    r = (rng.random(400) < 1 / (1 + np.exp(-x @ [0.5, 0.2]))).astype(int)
    model = LaplaceLogistic(mean, 0.1)
    before = model.width(x[:1])
    assert before == pytest.approx([np.linalg.norm(x[0]) / math.sqrt(0.1)])
    for row, reward in zip(x, r):
        model.add(row[None], int(reward), 1.0)
    p = 1 / (1 + np.exp(-x @ model.w))
    assert x.T @ (p - r) + 0.1 * (model.w - mean) == pytest.approx([0, 0], abs=1e-6)
    assert model.w == pytest.approx([0.5, 0.2], abs=0.2)
    assert model.width(x[:1]) < 0.1 * before


def test_the_bit_judges_the_answer_that_was_given_not_the_case_that_was_shown() -> None:
    near = {f"old {i}": np.eye(DIM)[0] + 0.1 * np.eye(DIM)[1 + i % 3] for i in range(6)}
    texts = PlantedTexts({"new": np.eye(DIM)[0], "good": [1, 0.3, 0, 0, 0, 0], "bad": [1, 0.1, 0, 0, 0, 0]} | near)
    good, bad = Case("good", "a", step=1), Case("bad", "b", step=2)
    policy = make(texts=texts, exploration=0.0)
    assert policy.score("new", [bad, good]).top(1) == [0], "the nearest, while nothing is known"
    for number, query in enumerate(near):  # the case that answers a was shown, what was answered was b, and wrong
        policy.observe(Step(number, query, [good], answer="b", reward=0))
    scores = policy.score("new", [bad, good])
    assert scores.top(1) == [1]
    assert scores.phi is not None and scores.phi.rows[1, 1] > 1


def test_steps_that_are_far_away_or_say_other_answers_are_no_evidence() -> None:
    here, there = np.eye(DIM)[0], np.eye(DIM)[1]
    texts = PlantedTexts({"new": here, "one": here, "two": here + 0.01 * there, "far": there})
    policy = make(texts=texts, evidence_width=0.05)
    recalled = [Case("one", "a"), Case("two", "b")]
    for number in range(5):
        policy.observe(Step(number, "far", answer="a", reward=0))
        policy.observe(Step(number, "new", answer="c", reward=0))
    assert policy.features("new", recalled)[:, 1].tolist() == pytest.approx([0, 0], abs=1e-6)
    policy.observe(Step(9, "new", answer="b", reward=1))
    assert policy.features("new", recalled)[1, 1] == pytest.approx(math.log(1.5 / 0.5), abs=1e-5)


def test_what_was_shown_unranked_moves_no_weight() -> None:
    policy = make()
    policy.update("q", [Case("c", "a")], 1)
    assert policy.model.w.tolist() == list(PRIOR.values()) and len(policy.model.rows) == 0
    assert policy.features("q", [Case("d", "a"), Case("c", "a")])[1, 2] == pytest.approx(math.log(2)), "its record"


def test_past_answers_give_the_nearest_and_come_back() -> None:
    texts, past = PlantedTexts(), PastAnswers(DIM)
    vectors = texts.encode([f"text {i}" for i in range(300)])
    for i, vector in enumerate(vectors):
        past.add(vector, {"b": i % 3, "a": [1]}, i % 2, shown=i % 5 > 0)
    near = past.near(vectors[7], 4)
    order = np.argsort(-(vectors @ vectors[7]))[:4]
    assert order[0] == 7 and near.cosines[0] == pytest.approx(1)
    assert near.rewards.tolist() == [i % 2 for i in order] and near.shown.tolist() == [float(i % 5 > 0) for i in order]
    assert near.answers == [json.dumps({"a": [1], "b": int(i % 3)}) for i in order]
    assert near.weights(0.5, near.cosines[1])[1] == 1 and near.weights(0.5, 0)[0] == pytest.approx(math.exp(2))
    other = PastAnswers(DIM)
    other.load_state_dict(past.state_dict())
    assert other.near(vectors[9], 300).answers == past.near(vectors[9], 300).answers and len(other) == 300


# -- showing nothing ---------------------------------------------------------------------------------------------------


def test_nothing_is_an_arm_only_where_it_has_a_score() -> None:
    terms = torch.tensor([0.2, 0.6, 0.4], dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    assert Scores(*terms).top(2) == [1, 2]
    assert Scores(*terms, nothing=0.4).top(2) == [1, 2], "the best is above it, so all k are shown"
    assert Scores(*terms, nothing=0.6).top(2) == [], "of equals nothing"
    above = Scores(*terms, nothing=0.7)
    assert above.top(2) == []
    assert above.metrics([])[SHOWS_NOTHING] == 1 and "UCB/score_chosen_max" not in above.metrics([])
    assert SHOWS_NOTHING not in Scores(*terms).metrics([1])


@pytest.mark.parametrize("k", [1, 3])
def test_where_every_case_hurts_nothing_is_shown_and_logged(k: int, tmp_path: Path) -> None:
    rates, data = {}, str(lfd_stream(tmp_path, 80))
    for null_arm in ("on", "off"):
        config = Config(env="lfd", data=data, agent="cbr", bandit="EvidenceLogUCB", null_arm=null_arm, comk=k)
        env = make_env("lfd", data)

        def answer(prompt: str) -> str:
            spoiled = "<case>" in prompt or env.index % 4 == 0  # noqa: B023
            return "" if spoiled else env.format_answer(env.get_ground_truth())  # noqa: B023

        agent = make_agent(config, env, LLM(ScriptedClient(answer)), PlantedTexts)  # type: ignore[arg-type]
        log = RunLog(tmp_path / null_arm, config.identity(), overwrite=False, checkpoint_seconds=600)
        log.begin({}, {})
        main.run(env, agent, log, Tracker(config))
        log.close()
        logged = steps(tmp_path / null_arm)
        rates[null_arm] = np.mean([step["reward"] for step in logged])
        bare = [step for step in logged if step["metrics"].get(SHOWS_NOTHING)]
        assert len(bare) > 50 if null_arm == "on" else not bare
        assert all(step["cases"] == [] for step in bare)
        said = f"{len(bare)} of 80 steps showed no case by choice" if bare else ""
        assert nothing_shown(logged) == said
    assert rates["off"] < 0.1 and rates["on"] > 0.5


# -- asking where much has failed --------------------------------------------------------------------------------------


def test_failed_queries_near_by_add_up_and_asking_takes_them_off() -> None:
    here, there = np.eye(DIM)[0], np.eye(DIM)[1]
    places = FailingPlaces(PlantedTexts({"new": here, "old": here, "other": here, "far": there}))  # type: ignore[arg-type]
    assert places.mass("new") == 0
    for task, reward in (("old", 0), ("other", 1), ("far", 0), ("old", 0)):
        places.add(Step(1, task, reward=reward))
    assert places.mass("new") == pytest.approx(2, abs=1e-4)
    assert places.mass("far") == pytest.approx(1, abs=1e-4)


def test_scores_and_failures_are_compared_by_their_ranks() -> None:
    assert comparable([(0.5,), (-2.0,), (0.5,)]) == [0.5, -2.0, 0.5], "one value stands for itself"
    assert comparable([(0.1, 30.0), (0.2, 10.0), (0.3, 20.0)]) == [0.5 + 2.5, 1.5 + 0.5, 2.5 + 1.5]
    assert comparable([(1.0, 5.0), (1.0, 5.0)]) == [2.0, 2.0], "equal ones count half of each other"


@pytest.mark.parametrize(("strategy", "bandit"), [("failing", "Random"), ("ucb_failing", "EvidenceLogUCB")])
def test_failing_asks_in_the_place_that_fails(strategy: str, bandit: str, tmp_path: Path) -> None:
    rows = [{"task": f"line {i}", "label": load_labels("lfd")[0]} for i in range(120)]
    path = tmp_path / "stream.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    rng = np.random.default_rng(0)
    texts = PlantedTexts({f"line {i}": np.eye(DIM)[i % 4] + 0.05 * rng.standard_normal(DIM) for i in range(120)})
    config = Config(
        env="lfd", data=str(path), agent="cbrdiscover", bandit=bandit, discover_strategy=strategy, budget_ratio=0.2
    )
    env = make_env("lfd", str(path))

    def answer(prompt: str) -> str:  # only what lies in the last of the four places fails
        return "no idea" if env.index % 4 == 3 else env.format_answer(env.get_ground_truth())

    agent = make_agent(config, env, LLM(ScriptedClient(answer)), lambda: texts)  # type: ignore[arg-type, return-value]
    log = RunLog(tmp_path / "run", config.identity(), overwrite=False, checkpoint_seconds=600)
    log.begin({}, {})
    main.run(env, agent, log, Tracker(config))
    log.close()
    asked = [step["step"] - 1 for step in steps(tmp_path / "run") if step["metrics"][ASKED]]
    assert len(asked) >= 10 and min(asked) >= 16
    assert np.mean([index % 4 == 3 for index in asked]) > 0.7
