"""A policy whose numbers have run away ranks nothing: the run stops in one line, before the step is logged."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import main
from bandit import Confidence, LinLogUCB, NeuralLogUCB, Scores
from errors import UserError
from helpers.runs import argv, lfd_stream, run_folder, steps
from step import Case

DIVERGED = "the policy has diverged: {} are no longer finite numbers; --learning_rate, --lambda and --nu nearer to"
CASES = {
    "features": (("--learning_rate", 1e6, "--batch_size", 2), DIVERGED.format("the features of its encoder")),
    "losses": (("--bandit", "NeuralLogUCB", "--lambda", 1e6), DIVERGED.format("its losses")),
    "scores": (("--bandit", "LinLogUCB", "--lambda", 1e-320), DIVERGED.format("its scores")),
    "rounding": (("--lambda", 1e-30, "--batch_size", 2), "A has no inverse in float64: a larger --lambda gives it one"),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_one_line_says_what_to_change(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lfd_stream(tmp_path, 6)
    more, expected = CASES[case]
    command = argv(None, tmp_path / "out", "--agent", "cbrgt", *more)
    logged = []
    for _ in range(2):  # a second start says the same and logs as little
        assert main.main(command) == 1
        line = capsys.readouterr().err.splitlines()[-1]
        assert line.startswith("error: ") and expected in line
        logged.append(steps(run_folder(tmp_path / "out")))
    assert logged[0] == logged[1] and 0 < len(logged[0]) < 6
    assert "NaN" not in (run_folder(tmp_path / "out") / "steps.jsonl").read_text()


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_no_score_that_is_not_finite_is_ranked(bad: float) -> None:
    for exploit, explore in (([0.1, bad, 0.3], [0.0] * 3), ([0.0] * 3, [bad, 0.2, 0.1])):
        with pytest.raises(UserError, match="its scores are no longer finite"):
            Scores(torch.tensor(exploit), torch.tensor(explore)).top(2)
    assert Scores(torch.tensor([0.1, 0.5]), torch.tensor([0.0, 0.0])).top(1) == [1]


class BrokenEncoder:
    """An encoder whose weights are no numbers."""

    dim, device, version, grows = 3, torch.device("cpu"), 0, ()

    def encode(self, pairs: list[tuple[str, str]]) -> torch.Tensor:
        return torch.full((len(pairs), self.dim), float("nan"))


@pytest.mark.parametrize("policy", [LinLogUCB, NeuralLogUCB])
def test_a_broken_encoder_teaches_nothing(policy: type) -> None:
    """Also where a case is shown without having been ranked."""
    seed = {"seed": 0} if policy is NeuralLogUCB else {}
    made = policy(BrokenEncoder(), regularization=0.1, exploration=0.1, **seed)
    for action in (lambda: made.score("q", [Case("a")]), lambda: made.update("q", [Case("a")], 1)):
        with pytest.raises(UserError, match="the features of its encoder are no longer finite"):
            action()


def test_confidence_is_rebuilt_where_it_can_be() -> None:
    confidence = Confidence(2, 0.5, torch.device("cpu"))
    phi = torch.tensor([[1.0, 2.0], [0.0, 1.0]], dtype=torch.float64)
    confidence.rebuild(phi)
    expected = torch.linalg.inv(phi.T @ phi + 0.5 * torch.eye(2, dtype=torch.float64))
    assert torch.allclose(confidence.inverse, expected)
