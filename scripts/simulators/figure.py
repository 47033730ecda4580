"""What the planted streams have shown, as pictures: `simulate.py --plot FILE.png --plot_above FILE.png`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from runs.intervals import t_interval

COLOURS = ("#888888", "#e69f00", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#000000")  # Okabe and Ito's


def draw(results: list[dict[str, Any]], path: Path) -> None:
    """A panel for each world, a line for each policy: the mean over the seeds. Colours are the policies' order."""
    from matplotlib.figure import Figure

    worlds, policies = (list(dict.fromkeys(result[key] for result in results)) for key in ("world", "policy"))
    figure = Figure(figsize=(4.2 * len(worlds), 3.4), layout="constrained")
    axes = figure.subplots(1, len(worlds), squeeze=False)
    for axis, world in zip(axes[0], worlds):
        axis.set(title=world, xlabel="step")
        axis.spines[["top", "right"]].set_visible(False)
        for result in results:
            if result["world"] == world:
                number = policies.index(result["policy"])
                steps = np.arange(1, len(result["curve"]) + 1)
                style = {"color": COLOURS[number % len(COLOURS)], "linestyle": "--" if number == 0 else "-"}
                axis.plot(steps, result["curve"], label=result["policy"], **style)
    axes[0][0].set_ylabel("cumulative regret")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    _save(figure, path)


def draw_above(points: list[dict[str, Any]], path: Path) -> None:
    """Success in points above zero-shot's for each world and policy, with its interval: what is left of 0 loses."""
    from matplotlib.figure import Figure

    worlds, policies = (list(dict.fromkeys(point[key] for point in points)) for key in ("world", "policy"))
    figure = Figure(figsize=(8, 0.5 * len(worlds) + 1.2), layout="constrained")
    axis = figure.subplots()
    for point in points:
        number = policies.index(point["policy"])
        interval = t_interval(np.array(point["points"]))
        axis.errorbar(
            *(interval.mean, worlds.index(point["world"]) + 0.16 * (number - (len(policies) - 1) / 2)),
            xerr=np.nan_to_num(interval.half_width),
            color=COLOURS[(number + 1) % len(COLOURS)],  # the first is zero-shot's
            fmt="o",
            markersize=4,
            label=point["policy"] if point["world"] == worlds[0] else None,
        )
    axis.set(yticks=range(len(worlds)), yticklabels=worlds, xlabel="success in points above zero-shot")
    axis.invert_yaxis()
    axis.axvline(0, color="#888888", linestyle="--", linewidth=1)
    axis.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)
