"""The planted streams: regret is exact, and each world has what it says."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bandit import Policy, Random, Scores
from registry import POLICIES
from scripts import simulate
from scripts.simulators.playing import ZERO_SHOT, PlantedTexts, chance_of, follow, play
from scripts.simulators.table import VARIANTS, rows
from scripts.simulators.worlds import ALONE, WORLDS, Query, World, queries
from step import Case


class Knowing(Policy):
    """Knows every chance and shows the best or the worst k cases, or nothing."""

    may_show_nothing = True

    def __init__(self, world: World, stream: Sequence[Query], sign: int) -> None:
        self.world, self.stream, self.sign = world, stream, sign

    def score(self, query: str, cases: Sequence[Case]) -> Scores:
        at = self.stream[int(query.split()[1]) - 1]
        sizes = (0, min(self.world.k, len(cases)))
        sets = [list(each) for n in sizes for each in itertools.combinations(range(len(cases)), n)]
        worth = [self.sign * chance_of(self.world, at, self.stream, [cases[i] for i in each]) for each in sets]
        best = sets[int(np.argmax(worth))]
        chosen = torch.tensor([float(i in best) for i in range(len(cases))])
        return Scores(chosen, torch.zeros(len(cases)), nothing=0.5)


@pytest.mark.parametrize("name", list(WORLDS))
def test_who_knows_all_has_no_regret_and_nobody_has_less(name: str) -> None:
    world = WORLDS[name]
    stream = queries(world, 30, 1)
    texts = PlantedTexts(stream)
    best, worst = (follow(Knowing(world, stream, sign), world, stream, texts, 6, 1).regret for sign in (1, -1))
    assert best.tolist() == pytest.approx([0.0] * 30)
    random = follow(Random(0), world, stream, texts, 6, 1).regret
    assert (random >= 0).all() and (worst >= 0).all()
    if name == "ignores":
        assert worst.sum() == pytest.approx(0)
    else:
        assert worst.sum() >= random.sum() > 0.5


def test_all_are_measured_against_the_best_of_the_same_recalled_cases() -> None:
    """What two policies' regrets differ by is what their chances of success differ by, of showing nothing too."""
    world = WORLDS["two interact"]
    none, random = (play(world, name, 40, 3) for name in (ZERO_SHOT, "Random"))
    assert none.shown.sum() == 0 < random.shown.sum()
    best = none.regret + ALONE
    assert best.max() == pytest.approx(0.9), "two of the recalled cases, though zero-shot shows none"
    chances = np.round(best - random.regret, 9)
    assert set(chances) <= {0.15, 0.3, 0.6, 0.65, 0.9}


def test_streams_are_their_seeds_and_worlds_have_what_they_say() -> None:
    stream, again, other = (queries(WORLDS["poison"], 200, seed) for seed in (0, 0, 1))
    assert all((a.vector == b.vector).all() and a.label == b.label for a, b in zip(stream, again))
    assert any(a.label != b.label for a, b in zip(stream, other))
    assert 0.1 < np.mean([query.marked for query in stream]) < 0.3
    assert all(np.linalg.norm(query.vector) == pytest.approx(1, abs=1e-6) for query in stream)
    drift = WORLDS["drift"]
    assert [drift.label(query, 200) == str(query.label) for query in stream] == [True] * 100 + [False] * 100
    wrong = np.mean([WORLDS["similarity misleads"].answer(query, 200) != str(query.label) for query in stream])
    assert 0.2 < wrong < 0.45
    two = WORLDS["two interact"]
    query = stream[0]
    right, off = Case("c", str(query.label)), Case("d", "none")
    chances = [two.chance(query, [], cases, 200) for cases in ([right, off], [right, right], [right], [off, off])]
    assert chances == [0.9, 0.65, 0.6, 0.15]


def test_evidence_beats_what_ignores_the_bit_and_the_null_arm_leaves_harm_out() -> None:
    def regret(world: str, bandit: str, **options: str) -> float:
        return float(np.mean([play(WORLDS[world], bandit, 240, seed, **options).regret.sum() for seed in (20, 21)]))

    misled = {name: regret("similarity misleads", name) for name in ("Random", "Pretrained", "EvidenceLogUCB")}
    assert misled["EvidenceLogUCB"] < 0.75 * misled["Pretrained"] < misled["Random"]
    hurt = {null: regret("cases hurt", "EvidenceLogUCB", null_arm=null) for null in ("explore", "on", "off")}
    assert hurt["explore"] < hurt["on"] < 0.3 * hurt["off"]
    assert regret("cases hurt a little", "EvidenceLogUCB", null_arm="explore") < 0.6 * 0.1 * 240
    assert regret("cases hurt", ZERO_SHOT) == 0 < regret("cases hurt in half", ZERO_SHOT)
    played = play(WORLDS["two interact"], "EvidenceLogUCB", 30, 0)
    assert played.shown[-1] == 2 and len(played.regret) == 30


def test_a_half_life_forgets_what_was_right_before() -> None:
    """Late, when what was learned is old, and against a policy that remembers all."""

    def late(world: str, **options: Any) -> float:
        return float(np.mean([play(WORLDS[world], "EvidenceLogUCB", 200, s, **options).regret[-50:] for s in (20, 21)]))

    assert late("drift", half_life=40.0, null_arm="off") < 0.8 * late("drift", null_arm="off")
    assert late("cases come to hurt", half_life=40.0) < 0.8 * late("cases come to hurt")
    same = [play(WORLDS["drift"], "EvidenceLogUCB", 60, 20, half_life=value).regret for value in (None, 1e12)]
    assert same[0].tolist() == same[1].tolist(), "a very long one forgets nothing"


def test_every_policy_plays_and_the_table_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "deep" / "regret.json"
    words = ["--worlds", "copies", "two interact", "--steps", "8", "--seeds", "2", "--out", str(out)]
    assert simulate.main(words) == 0
    printed = capsys.readouterr().out.splitlines()
    names = [ZERO_SHOT, *POLICIES, *VARIANTS]
    assert printed[0] == "| policy | copies | two interact |"
    assert [line.split(" | ")[0].strip("| ") for line in printed[2 : 2 + len(names)]] == names == list(rows())
    found = json.loads(out.read_text())
    assert len(found) == 2 * len(rows()) and all(len(result["regret"]) == 2 for result in found)
    first, second = found[:2]
    assert f"{np.mean(first['regret']):.1f} ± " in printed[2] and first["policy"] == ZERO_SHOT
    assert first["curve"][-1] == pytest.approx(np.mean(first["regret"]), abs=1e-3) and len(first["curve"]) == 8
    points = 100 * np.subtract(first["regret"], second["regret"]) / 8
    above = printed.index("above zero-shot:")
    assert printed[above + 3].startswith(f"| {second['policy']} | {points.mean():.1f} ± ")
    assert (
        f"| {100 * np.subtract(first['last_quarter'], second['last_quarter']).mean() / 2:.1f} ± "
        in printed[-len(names) + 1]
    )


def test_what_was_written_is_read_again_and_drawn(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, picture, above = tmp_path / "regret.json", tmp_path / "deep" / "curves.png", tmp_path / "above.png"
    words = ["--policies", ZERO_SHOT, "Random", "--worlds", "copies", "drift", "--steps", "8", "--seeds", "2"]
    assert simulate.main([*words, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert simulate.main([*words, "--read", str(out), "--plot", str(picture), "--plot_above", str(above)]) == 0
    assert capsys.readouterr().out == printed
    assert all(drawn.read_bytes().startswith(b"\x89PNG") for drawn in (picture, above))
    assert simulate.main(["--read", str(out), "--policies", "Random", "--plot_above", str(above)]) == 2
    assert simulate.main(["--read", str(out), "--policies", "Utility"]) == 2
    assert simulate.main(["--read", str(tmp_path / "none.json")]) == 2
    assert "none.json" in capsys.readouterr().err
