"""Every task's parser and scorer, on the task's own rows and on whatever a model may write."""

from __future__ import annotations

import copy
import json
import re
import subprocess
import sys
import unicodedata
from typing import Any

import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from env import ENV_DICT, find_env, make_env
from env.base import Env
from env.families.game import MAX_ACTION, read_reply
from env.labels import fold
from env.parsing import json_value, last_boxed, last_code_block, python_literal
from env.twowiki import normalise, read_call

# Pieces of answers, put together at random: near misses are what breaks parsers, and random text has none.
FRAGMENTS = (
    r"\boxed{ \text{ \boxed \{ \} { } [ ] ( ) ```json ```sql ```python ``` ' \" \\ : , - . 1 9e999 null True NaN "
    r"'a' \"a\" \ud800 \x00 \N{x} f'{ r' b'a' 'entity' 'label' positive {'entity': {'a': {\"a\": lambda # // <task>"
).split() + ["\n", " ", "\0", "\u2028", "İ", "\ud800", "{'entity': 'Dr Reddy's', 'label': 'neutral'}"]
FRAGMENTS += [
    "[Action]",
    '{"action": "outlook", "action_input": ',
    '{"action_input": "{}", "action": "a"}',
    '{"answer": "',
    "[Think] ",
    "*",
    "\u0301",
    "\u0f73",
    "\uff9e",
    "e\u0323\u0301",
    "\u3000",
    "\ufdfa",
    "#",
    "\\\n",
]
REPEATED = st.builds(str.__mul__, st.sampled_from(FRAGMENTS), st.sampled_from([1, 1, 1, 2, 40, 300]))
HOSTILE = st.text() | st.lists(REPEATED, max_size=40).map("".join)
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | HOSTILE, lambda v: st.lists(v) | st.dictionaries(HOSTILE, v)
)
TASK = "They took it."


@pytest.fixture(scope="module", params=[name for name in ENV_DICT if find_env(name).single_turn])
def env(request: pytest.FixtureRequest) -> Env:
    return make_env(request.param, data="sample")


def env_with(name: str, label: Any) -> Env:
    """The task with a single row of our own."""
    env = find_env(name)()
    env.dataset = [{"task": TASK, "label": label}]
    return env


def at(env: Env, index: int) -> Env:
    env.index = index
    return env


def test_the_ground_truth_of_every_row_scores_one(env: Env) -> None:
    assert len(env) > 0
    for index in range(len(env)):
        truth = at(env, index).get_ground_truth()
        answer, reward = env.evaluate("I am sure of it.\n" + env.format_answer(truth))
        assert (answer, reward) == (truth, 1), f"row {index + 1}: {truth!r} reads back as {answer!r}"


def test_no_answer_scores_zero(env: Env) -> None:
    for text in ("", " \n", "I cannot tell.", "\\boxed{}", "```json\n{}\n```", "```sql\n```", "[]", "{}", "\\boxed{?}"):
        for index in range(0, len(env), max(1, len(env) // 5)):
            assert at(env, index).evaluate(text)[1] == 0
    assert env.evaluate("") == (None, 0)


@settings(max_examples=60, deadline=None)
@given(text=HOSTILE)
def test_no_text_breaks_an_extraction(env: Env, text: str) -> None:
    answer = at(env, 0).extraction(text)
    if answer is None:
        assert env.evaluate(text) == (None, 0)
    else:
        assert env.extraction(env.format_answer(answer)) == answer


@settings(max_examples=8, deadline=None)
@given(text=HOSTILE)
def test_no_text_breaks_an_evaluation(env: Env, text: str) -> None:
    answer, reward = at(env, 0).evaluate(text)
    assert reward in (0, 1)
    assert reward == 0 or answer is not None


@pytest.mark.parametrize("task", [name for name in ENV_DICT if not find_env(name).single_turn])
@settings(max_examples=60, deadline=None)
@given(text=HOSTILE)
def test_no_text_breaks_the_reading_of_a_dialogue(task: str, text: str) -> None:
    answer = find_env(task)().extraction(text)
    assert answer is None or (isinstance(answer, str) and answer.strip())
    thought, action = read_reply(text, ["look", text])
    assert len(thought) <= MAX_ACTION and len(action) <= max(MAX_ACTION, len(text))
    assert isinstance(fold(text), str) and "\n" not in fold(text)


@settings(max_examples=200, deadline=None)
@given(text=HOSTILE)
def test_answers_are_compared_whatever_they_are(text: str) -> None:
    """Taken apart character by character, a text compares as it does taken apart as a whole."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    letters = [c for c in plain if not unicodedata.combining(c)]
    plain = "".join(" " if unicodedata.category(c)[0] in "PZ" else c for c in letters)
    words = " ".join(word for word in plain.split() if word not in ("a", "an", "the"))
    assert normalise(text) == (words or text.strip().casefold())


@settings(max_examples=60, deadline=None)
@given(call=st.fixed_dictionaries({}, optional={"id": JSON, "function": JSON}), name=JSON, written=JSON)
def test_no_tool_call_breaks_the_dialogue(call: dict[str, Any], name: Any, written: Any) -> None:
    for odd in (call, {"function": {"name": name, "arguments": written}}, {"function": {"name": "retrieve", **call}}):
        tool, arguments, problem = read_call(odd, ["retrieve"])
        assert re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", tool)
        assert (problem is None) <= (tool == "retrieve") and isinstance(arguments, dict)
        json.dumps(arguments, ensure_ascii=False, allow_nan=False).encode()


def test_reading_takes_time_in_proportion_to_the_length() -> None:
    """tests/helpers/long_answers.py says how this is held without a clock."""
    command = [sys.executable, "-W", "ignore", str(ROOT / "tests" / "helpers" / "long_answers.py")]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    *_, last = done.stdout.splitlines()
    assert (done.returncode, last) == (0, "all are read")


def test_the_prompt_does_not_depend_on_the_answer(env: Env) -> None:
    """Swapping in another row's answer changes no prompt; cmdl's shows the names, so only penalties change."""
    field = next(field for field in ("label", "query", "SQL", "api_input", "reference_code") if field in env.fields)
    original = copy.deepcopy(at(env, 0).dataset[0])
    before = env.get_zero_shot_prompt(env.observe()), env.get_case_based_prompt(env.observe(), [])
    if env.name == "cmdl":
        other = {name: [] if penalties else ["Death Penalty"] for name, penalties in original[field].items()}
    else:
        other = next(row[field] for row in env.dataset if row[field] != original[field])
    env.dataset[0] = original | {field: other}
    try:
        assert (env.get_zero_shot_prompt(env.observe()), env.get_case_based_prompt(env.observe(), [])) == before
    finally:
        env.dataset[0] = original


def test_cases_are_written_in_the_format_of_answers(env: Env) -> None:
    truth = at(env, 0).get_ground_truth()
    right, wrong = {"answer": truth, "reward": 1}, {"answer": None, "reward": 0}
    cases = [{"task": "an earlier {task}", **right}, {"task": "another", **wrong}]
    prompt = env.get_case_based_prompt_reflexion(env.observe(), cases)
    assert "answered correctly" not in prompt and "come with feedback" in prompt
    assert "answered correctly" in env.get_case_based_prompt(env.observe(), cases)
    assert env.format_answer(truth) in prompt
    assert "an earlier {task}" in prompt and "no answer" in prompt
    assert prompt.count("this answer was correct") == 1 and prompt.count("this answer was wrong") == 1


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\boxed{Bronchitis}", "Bronchitis"),
        (r"\boxed{a} but rather \boxed{ b }.", "b"),
        (r"\boxed{x {y {z}} w}", "x {y {z}} w"),
        (r"\boxed{\text{GERD}}", "GERD"),
        (r"\boxed{\boxed{inner}}", "inner"),
        (r"\boxed{whole} then cut off \boxed{half", "whole"),
        (r"\boxed{half \boxed{whole}", "whole"),
        (r"\boxed{a \} b}", r"a \} b"),
        ("no box", None),
        (r"\boxed{never closed", None),
    ],
)
def test_last_boxed(text: str, expected: str | None) -> None:
    assert last_boxed(text) == expected


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("```sql\nSELECT 1\n```\nor\n```SQL\nSELECT 2\n```", "sql", "SELECT 2"),
        ("```sql\nSELECT 1", "sql", "SELECT 1"),
        ("```json\n{}\n```", "sql", None),
        ("```sqlite\nSELECT 1\n```", "sql", None),
        ("```\nfirst\n```\nand\n```py\nsecond\n```\nend", "", "second"),
        ("```sql\n```", "sql", None),
        (f"```{' ' * 10**6}\nSELECT 1\n```", "", "SELECT 1"),
        (f"```{' ' * 10**6}!\nx", "", "!\nx"),
        ("", "", None),
    ],
)
def test_last_code_block(text: str, language: str, expected: str | None) -> None:
    assert last_code_block(text, language) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('```json\n{"a": "b"}\n``` as in [1]', {"a": "b"}),
        ('first ["x"], no: ["y", "}"]', ["y", "}"]),
        ('an open { before ["x"]', ["x"]),
        (r'\boxed{["x"]}', ["x"]),
        ('{"a": {"b": [1, 2]}}', {"a": {"b": [1, 2]}}),
        ('["half \\ud800"]', None),
        ("{'a': 1}", None),
        ("[1, 2", None),
        ("7", None),
    ],
)
def test_json_value(text: str, expected: object) -> None:
    assert json_value(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("So {'Li': ['Fine', \"Detention\"]}.", {"Li": ["Fine", "Detention"]}),
        ("```python\nverdict = {'O\\'Neil': []}\n```", {"O'Neil": []}),
        ("{'a': '}'} ", {"a": "}"}),
        ("{'a': open('/etc/passwd')}", None),
        ("{[1]: 2}", [1]),
        ("{'a': 1, **None}", None),
        ("{1, 2}", None),
        ("{'a': b'bytes'}", None),
        ("[0]*9999", [0]),
        ("['ę́', 'Ａ']", ["ę́", "Ａ"]),
    ],
)
def test_python_literal(text: str, expected: object) -> None:
    assert python_literal(text) == expected
    assert python_literal("{'a': [1]} " + text, dict) == (expected if isinstance(expected, dict) else {"a": [1]})


@pytest.mark.parametrize(
    ("line", "entity"),
    [
        ("{'entity': 'Infosys', 'label': 'positive'}", "Infosys"),
        ('{"entity": "Infosys", "label": "Positive"}', "Infosys"),
        ("{'entity': \"Dr Reddy's\", 'label': 'positive'}", "Dr Reddy's"),
        ("{'entity': 'Dr Reddy's', 'label': 'positive'}", "Dr Reddy's"),
        ("{'entity': 'Dr Reddy\\'s', 'label': 'positive'},", "Dr Reddy's"),
        ("- {'entity':'L&T  Finance' ,'label':'positive'}", "L&T Finance"),
    ],
)
def test_sentifin_reads_what_models_write(line: str, entity: str) -> None:
    env = env_with("sentifin", [{"entity": entity, "label": "positive"}] * 2)
    assert env.evaluate(f"The answer:\n{line}\n{line}") == (env.get_ground_truth(), 1)
    assert env.evaluate(line)[1] == 0
    assert env.extraction(line.replace("ositive", "erhaps")) is None


def test_order_and_sentiment_matter_in_sentifin() -> None:
    env = env_with("sentifin", [{"entity": "Acme", "label": "positive"}, {"entity": "Beta", "label": "neutral"}])
    truth = env.get_ground_truth()
    assert env.evaluate(env.format_answer(truth[::-1]))[1] == 0
    assert env.evaluate(env.format_answer(truth[:-1]))[1] == 0
    flipped = [{**entry, "label": "negative" if entry["label"] != "negative" else "positive"} for entry in truth]
    assert env.evaluate(env.format_answer(flipped))[1] == 0


def test_medication_is_right_from_a_fifth_and_retains_the_label() -> None:
    label = ["calcium", "potassium", "opioids", "antacids", "macrolides"]
    env = env_with("mimic-iv-mr", label)
    assert env.evaluate('["Calcium "]') == (label, 1)
    assert env.evaluate('["calcium", "herbs"]') == (["calcium", "herbs"], 0)  # 1 of 6
    assert env.evaluate('["calcium", "calcium"]') == (label, 1)
    assert env.evaluate('["calcium", 5]') == (None, 0)


def test_referral_takes_any_of_the_right_specialties() -> None:
    env = env_with("mimic-iv-msr", ["Neurology", "Cardiology"])
    for name, reward in {"neurology": 1, "Cardiology": 1, "Urology": 0, "Surgery": 0}.items():
        assert env.evaluate(f"\\boxed{{{name}}}")[1] == reward


def test_triage_reads_a_level() -> None:
    env = env_with("mimic-iv-tlp", 3)
    assert env.evaluate("\\boxed{3}") == (3, 1)
    assert env.evaluate("\\boxed{2}") == (2, 0)
    for text in ("\\boxed{0}", "\\boxed{6}", "\\boxed{3.5}", "\\boxed{33}", "\\boxed{٣}", "3"):
        assert env.evaluate(text) == (None, 0)


def test_charges_are_compared_by_defendant() -> None:
    env = env_with("mud", {"Li Ming": "Fraud", "Wu": "Robbery"})
    right = {"li  ming": " fraud", "WU": "robbery"}
    assert env.evaluate(json.dumps(right)) == ({"li ming": "Fraud", "WU": "Robbery"}, 1)
    for wrong in ({**right, "WU": "Fraud"}, {"WU": "Robbery"}, {**right, "Zhao": "Fraud"}, {**right, "WU": "Sloth"}):
        answer, reward = env.evaluate(json.dumps(wrong))
        assert answer is not None and reward == 0
    for malformed in ({**right, "wu": "Robbery"}, {**right, "WU": ["Robbery"]}, ["Fraud", "Robbery"]):
        assert env.evaluate(json.dumps(malformed)) == (None, 0)


def test_penalties_are_compared_as_sets_and_the_names_are_told() -> None:
    env = env_with("cmdl", {"Li": ["Imprisonment", "Fine"], "Wu": []})
    assert env.evaluate("{'Wu': [], 'li': ['fine', 'Imprisonment', 'Fine']}")[1] == 1
    assert env.evaluate("{'Wu': [], 'Li': ['Fine']}")[1] == 0
    assert env.evaluate("{'Li': ['Fine', 'Imprisonment']}")[1] == 0
    assert env.evaluate("{'Wu': 'Fine', 'Li': ['Fine', 'Imprisonment']}") == (None, 0)
    task = env.observe()
    assert task.startswith(TASK) and "Li" in task and "Wu" in task and "Fine" not in task


@pytest.mark.parametrize(
    ("task", "label", "problem"),
    [
        ("banking77", "no such place", "unknown label"),
        ("rca", "eventtrap?", "unknown label"),
        ("mimic-iv-mr", [], "names no medication"),
        ("mimic-iv-mr", ["herbs"], "unknown label 'herbs'"),
        ("mimic-iv-msr", ["Neurology", 3], "unknown label 3"),
        ("mimic-iv-tlp", 6, "not a level"),
        ("mud", {"Li": "Sloth"}, "unknown label 'Sloth'"),
        ("mud", {"Li": "Fraud", " li": "Fraud"}, "named once"),
        ("cmdl", {"Li": "Fine"}, "right kind"),
        ("cmdl", {"Li": ["Whip"]}, "unknown label 'Whip'"),
        ("sentifin", [{"entity": "X", "label": "good"}], "unknown label 'good'"),
        ("sentifin", ["X"], "names no entity"),
    ],
)
def test_rows_with_bad_labels_are_refused(task: str, label: object, problem: str) -> None:
    assert problem in env_with(task, label).check_row({"task": TASK, "label": label})
