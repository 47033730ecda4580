"""What every task is.

`Env` is the contract that the published recipe promises: a task of your own overrides what it needs and inherits the
rest. Its defaults already are a complete single-turn task over a file of rows, so our own tasks state only what is
theirs: fields, parser, reward. `LabelEnv` is the most common kind, one label out of a fixed set in \\boxed{}.

A task with a dialogue of its own (a game, tools) overrides `interact`, which stands between the prompt and the text
that `evaluate` scores; the loop and the agents do not change.
"""

from __future__ import annotations

import copy
import functools
import random
import string
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

from errors import DataError

from .data import DataFile, locate
from .labels import LabelSet
from .parsing import last_boxed
from .prompts.layout import ALL_RIGHT, AVOID, FEEDBACK, FOLLOW, NOTES, WITH_FEEDBACK, build_prompts

if TYPE_CHECKING:
    from config import Config
    from llm import LLM

Row = dict[str, Any]
# At least "task" and "answer"; from a case bank also "id" and "reward", and "output" where that is shown in full.
Case = dict[str, Any]
Ask = Callable[..., str]  # ask(prompt or list of chat messages) -> the LLM's text
SomeEnv = TypeVar("SomeEnv", bound="Env")


class Env:
    """A stream of tasks with one bit of feedback each.

    Attributes:
        index: the cursor, from 0; the base class moves it.
        dataset: the rows, dicts with at least `task` and usually `label`.
        turns: what a multi-turn task did in the current step, a list of dicts; None for single-turn tasks.
        step_metrics: numbers about the current step that a task may set while it scores an answer (a graded score,
            say); they stand in the step's record beside the reward, which is one bit.
        labels_may_fail: whether a label may score 0 by no fault of its row (what runs it is too new, say), which a
            run's start then tells, and not a check of the data.
        rows_sha256: of the rows before they were put in order, for a task that loads its rows itself.
        packages: the packages that decide what the task says and scores; a run records their versions.
        Settings: options of the task's own, a dataclass whose fields are made by `settings.setting`.
        settings: their values in this run, from before the rows are loaded.
        home: the folder of a task outside the checkout: its rows and labels lie there.
    """

    name: str = ""
    single_turn: bool = True  # one prompt, one answer, whose right form the label gives
    stream: str = ""  # the task whose rows this one plays; "" for its own
    fields: dict[str, type | tuple[type, ...]] = {"task": str, "label": str}
    prompts: ModuleType | None = None  # our own tasks name their prompts module; a recipe task sets attributes itself
    data: str = "auto"
    columns: dict[str, str] | None = None  # field -> the column of the source that holds it under another name
    data_file: DataFile | None = None
    rows_sha256: str = ""
    packages: tuple[str, ...] = ()
    labels_may_fail: bool = False
    Settings: type | None = None
    home: Path | None = None
    judged: bool = False  # whether it asks the LLM of --judge_llm

    def __init__(self) -> None:
        self.settings: Any = self.Settings() if self.Settings else None
        self.index = 0
        self.dataset: list[dict[str, Any]] = []
        self.turns: list[dict[str, Any]] | None = None
        self.step_metrics: dict[str, float] = {}
        if self.prompts is not None:
            self.ZERO_SHOT_PROMPT: str = self.prompts.ZERO_SHOT_PROMPT
            self.CASE_PROMPT: str = self.prompts.CASE_PROMPT
            self.CBR_PROMPT: str = self.prompts.CBR_PROMPT

    # -- what the run gives and takes (nothing, for most tasks) -------------------------------------------------------

    def prepare(self, config: Config, make_llm: Callable[[Config], LLM]) -> None:
        """Take what the task needs of the command line; called once, before the rows are loaded.

        `make_llm` makes the LLM of a config, for a task that asks one of its own (a judge).
        """

    def details(self) -> dict[str, Any]:
        """What config.yaml should say of how this task is run, as plain values (the judge, the sandbox)."""
        return {}

    def conditions(self) -> dict[str, Any]:
        """What else decides the steps, beside options, rows and code; part of the run's identity, as plain values."""
        return {}

    def llms(self) -> list[LLM]:
        """The LLMs that the task asks itself (a judge)."""
        return []

    def another(self) -> Env | None:
        """An instance beside this one, for a step that is under way at the same time; None where there can be none.

        It shares the rows and has a cursor of its own. A task with an `interact` of its own says here what else may
        not be shared (a running game); what an instance starts, `close` of this one stops.
        """
        return twin_of(self) if type(self).interact is Env.interact else None

    def close(self) -> None:
        """Stop what the task has started (a simulator, a server)."""

    # -- the stream ------------------------------------------------------------------------------------------------

    def init_env(self) -> None:
        """Load the rows into `self.dataset`, all or nothing. Raises DataError naming file and line."""
        self.data_file = locate(self.stream or self.name, self.data, self.home)
        rows = []
        for number, row in self.data_file.rows(self.fields, self.columns):
            problem = self.check_row(row)
            if problem:
                raise DataError(f"{self.data_file.place(number)}: {problem}")
            rows.append(row)
        if not rows:
            raise DataError(f"{self.data_file.name} has no rows")
        self.dataset = rows

    def check_row(self, row: dict[str, Any]) -> str | None:
        """What is wrong with a row beyond missing or mistyped fields, or None."""
        return None

    def arrange(self, shuffle_seed: int | None = None, limit: int | None = None) -> None:
        """Put the stream in the order of `shuffle_seed` (None: the file's order), then keep its first `limit` rows.

        The list that the task has made stays as it is: it may belong to its module.
        """
        rows = list(self.dataset)
        if shuffle_seed is not None:
            random.Random(shuffle_seed).shuffle(rows)
        self.dataset = rows[:limit]

    def __len__(self) -> int:
        return len(self.dataset)

    def reset(self) -> None:
        self.index = 0

    def step(self) -> bool:
        """Move to the next row; True when the stream is over."""
        self.index += 1
        return self.index >= len(self)

    def place(self, number: int, turns: list[dict[str, Any]] | None = None) -> None:
        """Set the cursor on step `number` (from 1) of the stream, of which so far `turns` is known."""
        self.index, self.turns, self.step_metrics = number - 1, turns, {}

    @property
    def row(self) -> dict[str, Any]:
        """The current row."""
        return self.dataset[self.index]

    # -- one step --------------------------------------------------------------------------------------------------

    def observe(self) -> str:
        """The current task's text: what the LLM is asked, what is embedded, and what a retained case is found by."""
        return self.row["task"]

    def interact(self, prompt: str, ask: Ask) -> str:
        """Carry the task out from its first prompt and return the text to evaluate; here a single question."""
        return ask(prompt)

    def evaluate(self, generated_text: str) -> tuple[Any, int]:
        """Parse and score what the LLM wrote: (answer or None, reward 0 or 1). Never raises on any text.

        The loop refuses any other reward. A score between the two goes into `self.step_metrics`.
        """
        answer = self.extraction(generated_text)
        return answer, 0 if answer is None else self.reward_function(answer)

    def extraction(self, text: str) -> Any | None:
        """The answer in `text`, or None where there is none in the required format."""
        return text.strip() or None

    def reward_function(self, answer: Any) -> int:
        """1 if `answer` is right for the current row, else 0."""
        return int(answer == self.row["label"])

    def case_key(self, query: str) -> str | None:
        """The text that the current step's case is found by later; None keeps it from being retained.

        A task may build it from `self.turns`, which a continued run takes from its log.
        """
        return query

    def get_ground_truth(self) -> Any:
        """The right answer of the current row, in the form that `extraction` returns."""
        if "label" not in self.row:
            raise DataError(f"row {self.index + 1} of {self.name} has no label, which this agent needs")
        return self.row["label"]

    def format_answer(self, answer: Any) -> str:
        """Write an answer in the form the prompt asks for: `extraction(format_answer(a)) == a`."""
        return str(answer)

    def gold_output(self) -> str:
        """What an LLM that knew the label would write. A task without a `format_answer` shows it in its CASE_PROMPT."""
        answer = self.get_ground_truth()
        text = self.format_answer(answer)
        if type(self).format_answer is not Env.format_answer or self.evaluate(text)[1]:
            return text
        return self._fill("CASE_PROMPT", task="", answer=text)

    # -- prompts ---------------------------------------------------------------------------------------------------

    def get_zero_shot_prompt(self, problem: str) -> str:
        return self._fill("ZERO_SHOT_PROMPT", task=problem, **self.prompt_context())

    def get_case_based_prompt(self, problem: str, cases: list[Case]) -> str:
        return self._with_cases(self._template("CBR_PROMPT"), problem, [self._render_case(case) for case in cases])

    def get_case_based_prompt_reflexion(self, problem: str, cases: list[Case]) -> str:
        """As get_case_based_prompt, with each case followed by its feedback (`case["reward"]`, 1 or 0)."""
        rendered = [f"{self._render_case(case)}\n{FEEDBACK[case['reward']]}" for case in cases]
        return self._with_cases(self._template("CBR_PROMPT").replace(ALL_RIGHT, WITH_FEEDBACK), problem, rendered)

    def get_case_based_prompt_in_groups(self, problem: str, cases: list[Case]) -> str:
        """As get_case_based_prompt_reflexion, with what was right and what was wrong as two groups, each to its end."""
        groups = []
        for reward, lead in ((1, FOLLOW), (0, AVOID)):
            rendered = [f"{self._render_case(case)}\n{FEEDBACK[reward]}" for case in cases if case["reward"] == reward]
            groups += ["\n\n".join([lead, *rendered])] if rendered else []
        return self._with_cases(self._template("CBR_PROMPT").replace(ALL_RIGHT, WITH_FEEDBACK), problem, groups)

    def get_prompt_with_notes(self, problem: str, cases: list[Case], whole: bool = False) -> str:
        """The prompt with the lessons of `cases`; each case stands before its own, where they are `whole`."""
        rendered = []
        for case in cases:
            notes = "\n".join(_as_note(lesson) for lesson in case["lessons"])
            rendered.append(f"{self._render_case(case)}\n{FEEDBACK[case['reward']]}\n{notes}" if whole else notes)
        template = self._template("CBR_PROMPT")
        if whole or ALL_RIGHT in template:
            return self._with_cases(template.replace(ALL_RIGHT, NOTES), problem, rendered)
        return "\n\n".join([NOTES, *rendered, self.get_zero_shot_prompt(problem)])

    def prompt_context(self) -> dict[str, str]:
        """What the prompt templates take beside {task} and {case_prompt}; nothing by default."""
        return {}

    def _render_case(self, case: Case) -> str:
        if case.get("output", "").strip():
            answer = case["output"].strip()
        else:
            answer = "(no answer in the required form)" if case["answer"] is None else self.case_answer(case["answer"])
        return self._fill("CASE_PROMPT", task=case["task"], answer=answer)

    def case_answer(self, answer: Any) -> str:
        """What stands for {answer} in CASE_PROMPT: the answer as the prompt asks for it."""
        return self.format_answer(answer)

    def _with_cases(self, template: str, problem: str, rendered: list[str]) -> str:
        return template.format(case_prompt="\n\n".join(rendered), task=problem, **self.prompt_context())

    def _fill(self, name: str, **values: str) -> str:
        return self._template(name).format(**values)

    def check_prompts(self) -> None:
        """Raise DataError for a template that the methods of this class could not fill in, before anyone is asked."""
        kind, own_context = type(self), type(self).prompt_context is not Env.prompt_context
        used = {
            "ZERO_SHOT_PROMPT": (kind.get_zero_shot_prompt is Env.get_zero_shot_prompt, {"task"}),
            "CASE_PROMPT": (kind.get_case_based_prompt is Env.get_case_based_prompt, {"task", "answer"}),
            "CBR_PROMPT": (kind.get_case_based_prompt is Env.get_case_based_prompt, {"task", "case_prompt"}),
        }
        for name, (here, takes) in used.items():
            template = getattr(self, name, None) or getattr(self, name.lower(), None)
            if here and isinstance(template, str):
                problem = _misread(template, None if own_context and name != "CASE_PROMPT" else takes)
                if problem:
                    places = ", ".join(f"{{{place}}}" for place in sorted(takes))
                    advice = f"it takes {places}, and a brace that is text is written twice, {{{{ or }}}}"
                    raise DataError(f"{name} of the task {self.name}: {problem}; {advice}")

    def _template(self, name: str) -> str:
        template = getattr(self, name, None) or getattr(self, name.lower(), None)
        if template is None:
            raise DataError(f"{type(self).__name__} has no {name}: set self.{name} in its __init__")
        return template


def _misread(template: str, takes: set[str] | None) -> str | None:
    """What is wrong with a template's braces, or None; `takes` are the names that it may have between them."""
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(template) if name is not None]
    except ValueError as error:
        return f"a stray brace ({error})"
    wrong = [name for name in names if takes is not None and name not in takes]
    return f"{{{wrong[0]}}} is no place to fill in" if wrong else None


def twin_of(env: SomeEnv) -> SomeEnv:
    """A copy that shares everything with `env` but what is known of the step in flight."""
    twin = copy.copy(env)
    twin.place(env.index + 1)
    return twin


def _as_note(lesson: dict[str, str]) -> str:
    when = f" ({lesson['when']})" if lesson.get("when") else ""
    return f"- {lesson['title']}{when}: {lesson['do']}"


class LabelEnv(Env):
    """A task whose answer is one of the labels in env/labels/<name>.txt, written as \\boxed{label}.

    Outside the checkout the labels are in <name>.txt beside the task. With an `instruction`, what to do in a sentence
    or two, the prompts are made of it and the labels.
    """

    instruction: str = ""

    @functools.cached_property
    def labels(self) -> LabelSet:
        return LabelSet(self.name, self.home)

    def init_env(self) -> None:
        if self.instruction:
            form = "Reason briefly, then end with the answer, spelled exactly as in the list: \\boxed{answer}"
            made = build_prompts(self.instruction, form, self.labels.names)
            self.ZERO_SHOT_PROMPT, self.CASE_PROMPT, self.CBR_PROMPT = made
        super().init_env()

    def check_row(self, row: dict[str, Any]) -> str | None:
        return None if row["label"] in self.labels.names else self.labels.unknown(row["label"])

    def extraction(self, text: str) -> str | None:
        """The label in the last \\boxed{}, whatever its case and spacing, or None."""
        return self.labels.find(last_boxed(text))

    def format_answer(self, answer: Any) -> str:
        return f"\\boxed{{{answer}}}"
