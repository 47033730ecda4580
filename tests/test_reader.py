"""The embedded reader: it answers from the prompt alone, in the prompt's format, and says where it cannot."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

import main
from clients.embedded import CANNOT, EmbeddedReader, names_in
from clients.embedded.labels import write_dict, write_entities, write_json_dict, write_label, write_list
from clients.embedded.reader import writer_of
from clients.embedded.reading import instruction_of
from clients.embedded.sql import write_sql
from config import Config
from env import make_env
from helpers.runs import argv, lfd_stream, run_folder, steps
from llm import make_llm

if TYPE_CHECKING:
    from memory.encoders import TextEncoder

MESSAGE = "My card was lost or stolen, please help"


@pytest.fixture(scope="module")
def reader(text_encoder: TextEncoder) -> EmbeddedReader:
    return EmbeddedReader(text_encoder)


def test_takes_the_nearest_option(reader: EmbeddedReader) -> None:
    env = make_env("banking77", "sample")
    assert reader.answer(env.get_zero_shot_prompt(MESSAGE)) == "\\boxed{lost or stolen card}"


def test_follows_a_case_that_is_nearer_than_every_option(reader: EmbeddedReader) -> None:
    env = make_env("banking77", "sample")
    near = {"task": MESSAGE.replace("please", "you must"), "answer": "card swallowed", "reward": 1}
    far = {"task": "What is the exchange rate for yen today?", "answer": "exchange rate", "reward": 1}
    assert reader.answer(env.get_case_based_prompt(MESSAGE, [far, near])) == "\\boxed{card swallowed}"
    assert reader.answer(env.get_case_based_prompt(MESSAGE, [far])) == "\\boxed{lost or stolen card}"
    wrong = near | {"reward": 0}
    assert reader.answer(env.get_case_based_prompt_reflexion(MESSAGE, [wrong])) == "\\boxed{lost or stolen card}"


@pytest.mark.parametrize("task", ["mud", "cmdl", "mimic-iv-mr", "sentifin", "spider", "bird"])
def test_writes_every_answer_format(reader: EmbeddedReader, task: str) -> None:
    """Without a case, at least half of its answers can be read; shown a row's own case, it mostly gets it right."""
    env = make_env(task, "sample", limit=10)
    read = right = 0
    for env.index in range(len(env)):
        query = env.observe()
        read += env.evaluate(reader.answer(env.get_zero_shot_prompt(query)))[0] is not None
        case = {"task": query, "answer": env.get_ground_truth(), "reward": 1}
        right += env.evaluate(reader.answer(env.get_case_based_prompt(query, [case])))[1]
    assert read >= 5
    assert right >= (0 if task == "sentifin" else 8)  # one sentiment of a case serves for all of its entities


def test_sql_takes_the_new_question_s_values(reader: EmbeddedReader) -> None:
    env = make_env("spider", "sample")
    question = "Show the trip id and the fare of each trip whose fare is above {}."
    case = {"task": question.format(15.5), "answer": "SELECT trip_id, fare FROM trip WHERE fare > 15.5"}
    text = reader.answer(env.get_case_based_prompt(question.format(12.25), [case]))
    assert "SELECT trip_id, fare FROM trip WHERE fare > 12.25" in text


def test_says_that_it_cannot(reader: EmbeddedReader) -> None:
    assert reader.answer("Write a poem about the sea, and put its title into \\boxed{}.") == CANNOT


def recipe_prompt(words: str) -> str:
    """A prompt as a task of one's own may word it, with the layout's tags."""
    return f"{words}\n<options>\n- Lions\n- Tigers\n- the dict team\n</options>\n<task>\nThe tigers lead.\n</task>"


@pytest.mark.parametrize("words", [
    "Predict which team wins. Answer with \\boxed{team}.",
    "Give the verdict of an addict: \\boxed{team}",
    "Is the word in a dict? Answer with \\boxed{team}",
    "Someone wrote ```python\nprint(1)\n```. Which team was it? \\boxed{team}",
    "From the JSON list of teams, pick one: \\boxed{team}",
])  # fmt: skip
def test_the_format_is_the_one_asked_for(words: str, reader: EmbeddedReader) -> None:
    assert reader.answer(recipe_prompt(words)) == "\\boxed{Tigers}"


def test_every_task_of_ours_gets_its_own_format() -> None:
    expected = {
        **dict.fromkeys(("banking77", "ddxplus", "lfd", "rca", "mimic-iv-msr", "mimic-iv-tlp"), write_label),
        **dict.fromkeys(("spider", "bird"), write_sql),
        "mimic-iv-mr": write_list, "mud": write_json_dict, "cmdl": write_dict, "sentifin": write_entities,
    }  # fmt: skip
    for task, writer in expected.items():
        env = make_env(task, "sample", limit=1)
        assert writer_of(instruction_of(env.get_zero_shot_prompt(env.observe()))) is writer, task
    assert writer_of("Predict the verdict of the addict.") is None


def test_it_answers_the_same_whatever_recalls_the_cases(tmp_path: Path) -> None:
    """Its encoder is the embedded one, and no second one is loaded where that also recalls."""

    def never() -> TextEncoder:
        raise AssertionError("the recall encoder is another model")

    lfd_stream(tmp_path, 4)
    words = ("--agent", "zero-shot", "--cache", tmp_path / "answers.sqlite", "--device", "cpu")
    assert main.main(argv(None, tmp_path / "plain", *words)) == 0
    assert main.main(argv(None, tmp_path / "other", *words[:2], "--embedding_model_path", tmp_path / "none")) == 0
    assert steps(run_folder(tmp_path / "plain")) == steps(run_folder(tmp_path / "other"))
    config = Config(embedding_model_path=str(tmp_path / "none"), device="cpu")
    assert make_llm(config, never).details()["encoder"] == "embedded"
    loads: list[str] = []
    shared = make_llm(Config(), lambda: loads.append("once") or SimpleNamespace(encode=None))
    assert loads == ["once"] and shared.client._encoder.encode is None


def test_names_of_defendants() -> None:
    text = "Defendant Zhao Ming hid the car. Defendants Li Na and Wu Gang sold it. Zhao Ming fled."
    assert names_in(text) == ["Zhao Ming", "Li Na", "Wu Gang"]
