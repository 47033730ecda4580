"""hotpotqa: answers read and compared as SQuAD does, paragraphs in prompts and cases, what the reader makes of it."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np
import pytest

from clients.embedded.reader import EmbeddedReader
from config import Config
from env import make_env
from env.hotpotqa import HotpotQA, written


def make(**options: bool) -> HotpotQA:
    return make_env("hotpotqa", "sample", config=Config(env="hotpotqa", **options))


@pytest.fixture
def env() -> HotpotQA:
    env = make()
    env.dataset = [dict(env.dataset[0]) | {"label": "Sam Boyd Stadium"}]
    return env


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{"answer": " Sam Boyd "}', "Sam Boyd"),
        ('First {"answer": "x"}, rather {"answer": "y"}', "y"),
        ('{"answer": 2004}', "2004"),
        ("Sam Boyd Stadium\n", "Sam Boyd Stadium"),
        ('{"reply": "x"}', '{"reply": "x"}'),
        ('{"answer": ["x"]}', '{"answer": ["x"]}'),
        ('{"answer": true}', '{"answer": true}'),
        ('{"answer": "\ud800x"}', "?x"),
        ('{"answer": " "}', None),
        ("", None),
    ],
)
def test_reading(env: HotpotQA, text: str, answer: str | None) -> None:
    assert env.extraction(text) == answer
    assert answer is None or env.extraction(env.format_answer(answer)) == answer


@pytest.mark.parametrize(
    ("answer", "reward", "f1"),
    [
        ("the Sam Boyd stadium.", 1, 1.0),
        ("Sam Boyd", 0, 0.8),
        ("yes", 0, 0.0),
        ("a stadium in Las Vegas", 0, 2 / 7),
    ],
)
def test_scoring(env: HotpotQA, answer: str, reward: int, f1: float) -> None:
    assert env.evaluate(json.dumps({"answer": answer})) == (answer, reward)
    assert env.step_metrics["f1"] == pytest.approx(f1)
    env.evaluate("")
    assert env.step_metrics["f1"] == 0.0


def test_a_closed_answer_has_no_parts(env: HotpotQA) -> None:
    env.dataset[0]["label"] = "no"
    assert env.evaluate('{"answer": "no, they were not"}')[1] == 0 == env.step_metrics["f1"]
    assert env.evaluate('{"answer": "No."}')[1] == 1 == env.step_metrics["f1"]


def test_cases_are_found_by_the_question_and_shown_with_paragraphs_only_if_asked() -> None:
    for shown in (False, True):
        env = make(case_paragraphs=shown)
        earlier, now = env.dataset[0], env.dataset[1]
        env.index = 1
        cases = [{"id": 1, "task": earlier["task"], "answer": earlier["label"], "reward": 1}]
        assert env.observe() == env.case_key(env.observe()) == now["task"]
        for prompt in (
            env.get_case_based_prompt(env.observe(), cases),
            env.get_case_based_prompt_reflexion(env.observe(), cases),
        ):
            assert prompt.count(written(now)) == 1 and prompt.index(earlier["task"]) < prompt.index(written(now))
            assert prompt.count(written(earlier)) == int(shown)
    other = [{"task": "asked nowhere", "answer": None, "reward": 0}]
    assert "asked nowhere" in env.get_case_based_prompt_reflexion(env.observe(), other)


@pytest.mark.parametrize(
    ("paragraphs", "words"),
    [([{"title": "x"}], "has no title or no text"), (["x"], "has no title or no text")],
)
def test_rows_that_are_not_right(env: HotpotQA, paragraphs: list[object], words: str) -> None:
    assert words in str(env.check_row(env.row | {"paragraphs": paragraphs}))
    assert env.check_row(env.row) is None
    assert "label is empty" in str(env.check_row(env.row | {"label": " "}))


class Words:
    """An encoder of which words occur: the dot product counts those that two texts share."""

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        vectors = np.zeros((len(texts), 512), np.float32)
        for vector, text in zip(vectors, texts):
            for word in text.lower().replace("?", "").replace(".", "").split():
                vector[sum(map(ord, word)) * 31 % 512] = 1
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1)


def test_the_reader_answers_from_the_paragraphs(env: HotpotQA) -> None:
    env.dataset = [
        {
            "task": "Who painted The Blue Gate?",
            "label": "Ada Brock",
            "paragraphs": [
                {"title": "Carrow", "text": "Carrow is a town on the Keld."},
                {"title": "The Blue Gate", "text": "the blue gate was painted by Ada Brock."},
            ],
        }
    ]
    reader = EmbeddedReader(Words())  # type: ignore[arg-type]
    assert env.evaluate(reader.answer(env.get_zero_shot_prompt(env.observe())))[1] == 1
    shown = [{"task": "Is the gate blue?", "answer": "no", "reward": 1}]
    env.row["task"] = "Is The Blue Gate in Carrow?"
    assert json.loads(reader.answer(env.get_zero_shot_prompt(env.observe()))) == {"answer": "yes"}
    assert json.loads(reader.answer(env.get_case_based_prompt(env.observe(), shown))) == {"answer": "no"}
    env.row["task"] = "Which is a town, Carrow or Dunley?"
    assert json.loads(reader.answer(env.get_case_based_prompt(env.observe(), shown))) == {"answer": "Carrow"}
