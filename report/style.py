"""How each method is drawn, on the page and in the plots: one table of colours, dashes and markers.

Nine colours are as many as stay apart for eyes without the red, green or blue cones, so a style is a colour with a
dash: two methods that are shown together differ in one of them at least. A method of the table has one style
everywhere; others get what the table leaves. A control is drawn as its method, in a dash that no method has.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from .folders import setting_key
from .runs import Setting

LIGHT = ("#6e6e6e", "#c24a00", "#0067b0", "#a500ff", "#691e0f", "#5a1e5a", "#3c0fa5", "#b4694b", "#8769f0")
DARK = ("#a7b0bb", "#f59e62", "#6cb2f0", "#ffe100", "#5affb4", "#ff780f", "#c39678", "#d2f069", "#a5f0e1")
DASHES = ((), (6, 2), (4, 1.5, 1, 1.5), (9, 2, 2, 2))  # lengths of strokes and gaps, in widths of the line
CONTROLS = {"random": (2.5, 1.2), "empty": (2.5, 1.2, 0.8, 1.2, 0.8, 1.2)}
UNFINISHED = (1, 1.6)
MARKERS = "osD^vP*Xph<>d8H"
HATCHES = {"random": "///", "empty": "..."}
DASH_HATCHES = dict(zip(DASHES, (None, "\\\\\\", "xxx", "---")))  # a bar has no dash
FILLINGS = {"": "full", "empty": "none", "random": "bottom"}  # of a marker


@dataclass(frozen=True)
class Style:
    """`colour` is a place in LIGHT and DARK; `control` is "" for a method itself."""

    colour: int
    dash: tuple[float, ...]
    marker: str
    control: str = ""

    @property
    def light(self) -> str:
        """The colour on white."""
        return LIGHT[self.colour]

    @property
    def line(self) -> tuple[int, tuple[float, ...] | None]:
        """The dash as matplotlib takes it."""
        return (0, self.dash or None)

    @property
    def hatch(self) -> str | None:
        """Of a bar."""
        return HATCHES[self.control] if self.control else DASH_HATCHES[self.dash]

    @property
    def filling(self) -> str:
        """Of a marker."""
        return FILLINGS[self.control]


def _table() -> dict[str, Style]:
    """What is compared most comes first: with the first nine no plot needs a dash."""
    names = (
        *("zero-shot", "CASCADE", "NP-CBR", "icrl", "icrl-plus", "REINFORCE+LoRA", "Random", "LinLogUCB"),
        *("NeuralLinUCB", "NeuralLogUCB", "few-shot", "cot", "self-refine", "grow-prompt", "mem-prompt"),
        *("self-stream-icl", "mam-stream-icl", "exp-recent", "exp-rag", "remem", "memento-np", "memento-q"),
        *("traj-bootstrap", "traj-bootstrap-utility", "reasoning-bank", "reasoning-bank-cases"),
    )
    return {name: _style(i) for i, name in enumerate(names)}


def _style(number: int) -> Style:
    """The style of this number: 0 is the grey that zero-shot has alone, then all colours before the next dash."""
    dash, colour = divmod(number - 1, len(LIGHT) - 1) if number else (0, -1)
    return Style(colour + 1, DASHES[dash], MARKERS[number % len(MARKERS)])


METHODS = _table()
SPARE = [_style(i) for i in range(len(METHODS), 1 + (len(LIGHT) - 1) * len(DASHES))]


def styles_of(settings: Iterable[Setting]) -> dict[Setting, Style]:
    """The style of each of the settings that are shown together.

    Where these have more methods than there are styles, the last share theirs.
    """
    settings = list(settings)
    plain = {_without_control(setting): setting.method for setting in settings if setting.control is None}
    names = [plain.get(_without_control(setting), setting.plain_method) for setting in settings]
    shown = dict.fromkeys(names)
    free = [*SPARE, *(style for name, style in METHODS.items() if name not in shown and name != "zero-shot")]
    others = [name for name in shown if name not in METHODS]
    chosen = {name: METHODS[name] for name in shown if name in METHODS}
    for name in others:
        used = [style.colour for style in chosen.values()]
        left = [style for style in free if style not in chosen.values()] or free
        chosen[name] = min(left, key=lambda style: (used.count(style.colour), DASHES.index(style.dash)))
    return {setting: _controlled(chosen[name], setting.control) for setting, name in zip(settings, names)}


def _controlled(style: Style, control: str | None) -> Style:
    return replace(style, dash=CONTROLS[control], control=control) if control in CONTROLS else style


def _without_control(setting: Setting) -> str:
    return setting_key({name: value for name, value in setting.identity.items() if name != "control"})
