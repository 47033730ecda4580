"""Methods that are shown together can be told apart, whatever cones an eye has."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from helpers.planted_runs import plant_run
from report import plots, statistics
from report.runs import group, read_runs
from report.style import CONTROLS, DARK, DASHES, LIGHT, METHODS, SPARE, UNFINISHED, styles_of

# Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
VISIONS = {
    "all cones": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}
TO_XYZ = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
APART = 10


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(colour: str, vision: str) -> np.ndarray:
    """CIE Lab under D65 of what `colour` looks like with these cones."""
    seen = np.clip(np.array(VISIONS[vision]) @ linear(colour), 0, 1)
    x, y, z = (
        np.cbrt(v) if v > 216 / 24389 else (24389 / 27 * v + 16) / 116
        for v in np.array(TO_XYZ) @ seen / [0.95047, 1, 1.08883]
    )
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_lab_is_cie() -> None:
    assert lab("#ffffff", "all cones") == pytest.approx([100, 0, 0], abs=0.01)
    assert lab("#ff0000", "all cones") == pytest.approx([53.24, 80.09, 67.20], abs=0.02)


@pytest.mark.parametrize("vision", VISIONS)
@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_methods_differ_in_colour_or_dash(palette: tuple[str, ...], vision: str) -> None:
    styles = [*METHODS.values(), *SPARE]
    for one, other in itertools.combinations(styles, 2):
        distance = np.linalg.norm(lab(palette[one.colour], vision) - lab(palette[other.colour], vision))
        assert distance >= APART or one.dash != other.dash, (one, other, distance)


@pytest.mark.parametrize("palette, paper", [(LIGHT, "#ffffff"), (DARK, "#1a1e23")])
def test_lines_stand_out_from_the_paper(palette: tuple[str, ...], paper: str) -> None:
    """WCAG 2.1 asks a contrast of 3 of graphics."""
    light = [0.05 + linear(colour) @ np.array(TO_XYZ)[1] for colour in (*palette, paper)]
    assert all(max(one, light[-1]) / min(one, light[-1]) >= 3 for one in light[:-1])


def test_controls_are_drawn_as_their_method_in_dashes_of_their_own(tmp_path: Path) -> None:
    assert not {*CONTROLS.values(), UNFINISHED} & set(DASHES)
    for control in ((), ("--control", "random"), ("--control", "empty")):
        plant_run(tmp_path, [1, 0], "--agent", "exp-rag", *control)
    for nu in (0.1, 0.2, 0.3):
        plant_run(tmp_path, [1, 0], "--agent", "cbr", "--nu", nu)
    (stream,) = group(read_runs(tmp_path))
    styles = styles_of(stream.settings)
    assert len({(style.colour, style.dash) for style in styles.values()}) == len(styles) == 6
    assert len({styles[s].colour for s in stream.settings if s.plain_method == "exp-rag"}) == 1


def test_equal_curves_can_both_be_seen(tmp_path: Path) -> None:
    for agent in ("zero-shot", "cbr", "icrl"):
        plant_run(tmp_path, [1, 0, 1, 1] * 10, "--agent", agent)
    (stream,) = group(read_runs(tmp_path))
    figure = plots.stream_curves(stream, "m")
    assert figure is not None
    widths = [line.get_linewidth() for line in figure.axes[0].get_lines()[:3]]
    assert widths == sorted(widths, reverse=True) and len(set(widths)) == 3


def test_the_window_and_the_difference_along_the_stream(tmp_path: Path) -> None:
    """The last point of both is what the last window says, and no band leaves 0 to 100."""
    generator = np.random.default_rng(0)
    for seed in range(3):
        plant_run(tmp_path, [int(x) for x in generator.random(60) < 0.5], "--agent", "zero-shot", "--seed", seed)
        plant_run(tmp_path, [int(i > 30 or x < 0.5) for i, x in enumerate(generator.random(60))], "--seed", seed)
    (stream,) = group(read_runs(tmp_path))
    zero, cascade = stream.settings
    figure = plots.stream_windows(stream, "m")
    assert figure is not None and plots.window_of(stream) == 20
    left, right = figure.axes
    rates = [statistics.rewards(setting.finished)[:, -20:].mean() for setting in (zero, cascade)]
    assert [line.get_ydata()[-1] for line in left.get_lines()[:2]] == pytest.approx([100 * rate for rate in rates])
    assert right.get_lines()[0].get_ydata()[-1] == pytest.approx(100 * (rates[1] - rates[0]))
    assert all(axes.get_xlabel() == "step" and "last 20 steps" in axes.get_ylabel() for axes in (left, right))
    bands = [path.vertices[:, 1] for shape in left.collections for path in shape.get_paths()]
    assert len(bands) == 2 and all(0 <= np.nanmin(band) and np.nanmax(band) <= 100 for band in bands)
    low, high = left.get_ylim()
    assert 0 <= low < high <= 100
    (band,) = right.collections
    assert band.get_paths()[0].vertices[:, 1].max() > 100 * (rates[1] - rates[0])
