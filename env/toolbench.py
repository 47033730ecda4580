"""Tool use (ToolBench, as StreamBench plays it): which of many APIs serves a request, called with which arguments."""

from __future__ import annotations

import functools
import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any

from errors import DataError

from .data import read_rows
from .families.judged import JudgedEnv
from .matching import word_f1
from .parsing import first_object, json_value
from .prompts.toolbench_prompt import prompts_with

APIS = "apis.jsonl"  # beside the rows
API_FIELDS = {"name": str, "documentation": str, "exact": bool}
SIMILAR = 0.5  # F1 of the words from which two arguments count as the same, where there is no judge
NEARLY = 0.01  # relative difference up to which two numbers do
MAX_BRACKETS = 50  # in a call: what has more is no arguments
QUESTION = """A request has to be served by one call of this API. Do the arguments of the call serve it as well as \
those of the accepted call do? Arguments beyond those of the accepted call do not matter.

API: {name}
Documentation: {documentation}
Request: {task}"""


@dataclass(frozen=True)
class API:
    """What the rows call. `exact`: whether its arguments are compared letter by letter, or else by their meaning."""

    name: str
    documentation: str
    exact: bool


class ToolBench(JudgedEnv):
    """The reward is 1 when the API is the right one and so is each argument of the right call; others may be added.

    Where the meaning of the arguments counts, a judge decides on them. Without one (no --judge_llm) they have to be
    similar, which is not the benchmark's measure: the run's record says so. The metric `api_accuracy` is the name's
    alone.
    """

    name = "toolbench"
    fields = {"task": str, "api_name": str, "api_input": str}

    def init_env(self) -> None:
        super().init_env()
        documentation = {api.name: api.documentation for api in self.apis.values()}
        self.ZERO_SHOT_PROMPT, self.CASE_PROMPT, self.CBR_PROMPT = prompts_with(documentation)

    @functools.cached_property
    def apis(self) -> dict[str, API]:
        """The APIs by name, as the file beside the rows has them. Raises DataError."""
        path = self.data_file.folder / APIS
        if not path.is_file():
            raise DataError(
                f"there is no {path}, the documentation of the APIs: `python scripts/prepare_data.py toolbench` gets "
                f"that of the benchmark; a line of your own has the fields {', '.join(API_FIELDS)}"
            )
        rows = [row for _, row in read_rows(path, API_FIELDS)]
        return {row["name"]: API(row["name"], row["documentation"], row["exact"]) for row in rows}

    def details(self) -> dict[str, Any]:
        """How arguments are compared and which APIs there are; a judge that does not answer stops the run here."""
        exact = sum(api.exact for api in self.apis.values())
        rest = f"judged by {self.judge_name}" if self.judge else f"at least {SIMILAR} alike in words (no --judge_llm)"
        digest = hashlib.sha256(json.dumps([*map(repr, self.apis.values())]).encode()).hexdigest()
        return {
            "scoring": f"arguments of {exact} APIs exactly, of the other {len(self.apis) - exact} {rest}",
            "apis": f"{len(self.apis)}, sha256 {digest}",
        }

    def check_row(self, row: dict[str, Any]) -> str | None:
        if row["api_name"] not in self.apis:
            return f"the API {row['api_name']!r} is not documented in {self.data_file.folder / APIS}"
        if first_object(row["api_input"]) is None or not row["api_input"].strip().startswith("{"):
            return f"api_input {row['api_input']!r} is not a JSON object"
        return None

    # -- scoring ---------------------------------------------------------------------------------------------------

    def extraction(self, text: str) -> dict[str, Any] | None:
        """The call: the first JSON object that is one, else the last; its input may be an object or JSON text of one.

        None where the text has no call.
        """
        return _read_call(first_object(text)) or _read_call(json_value(text, dict))

    def evaluate(self, generated_text: str) -> tuple[Any, int]:
        self.step_metrics["api_accuracy"] = 0.0
        return super().evaluate(generated_text)

    def reward_function(self, answer: dict[str, Any]) -> int:
        """Raises LLMError where the judge gives no verdict."""
        truth = self.get_ground_truth()
        if answer["action"] != truth["action"]:
            return 0
        self.step_metrics["api_accuracy"] = 1.0
        given, right = answer["action_input"], truth["action_input"]
        if any(name not in given for name in right):
            return 0
        api = self.apis[truth["action"]]
        if given == right or not right:
            return 1
        if api.exact:
            return int(all(_plain(given[name]) == _plain(value) for name, value in right.items()))
        if self.judge is None:
            return int(all(alike(_plain(given[name]), _plain(value)) for name, value in right.items()))
        question = QUESTION.format(name=api.name, documentation=api.documentation, task=self.row["task"])
        return int(self.judged_right(question, [self.format_answer(truth)], self.format_answer(answer)))

    def get_ground_truth(self) -> dict[str, Any]:
        return {"action": self.row["api_name"], "action_input": json.loads(self.row["api_input"])}

    def format_answer(self, answer: dict[str, Any]) -> str:
        return json.dumps(answer, ensure_ascii=False)


def _read_call(value: dict[str, Any] | None) -> dict[str, Any] | None:
    if value is None or not isinstance(value.get("action"), str) or not value["action"].strip():
        return None
    arguments = value.get("action_input")
    if isinstance(arguments, str) and arguments.lstrip().startswith("{"):
        arguments = first_object(arguments)
    if not isinstance(arguments, dict):
        return None
    call = {"action": value["action"].strip(), "action_input": arguments}
    try:
        written = json.dumps(call, ensure_ascii=False, allow_nan=False)  # no log can hold an infinity
    except (ValueError, RecursionError):
        return None
    return call if written.count("{") + written.count("[") <= MAX_BRACKETS else None


def _plain(value: Any) -> str:
    """An argument as it is compared: its text, a number or another value as JSON, without case and outer spaces."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text.strip().lower()


def alike(given: str, right: str) -> bool:
    """Whether two arguments say about the same: nearly equal numbers, texts of like words; an empty one asks none."""
    try:
        return math.isclose(float(given), float(right), rel_tol=NEARLY)
    except ValueError:
        return not right or given == right or word_f1(given, right) >= SIMILAR
