"""ALFWorld on its real engine: the real games where they are at hand, and the sample's."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from conftest import SHARED_DATA
from hypothesis import given, settings
from hypothesis import strategies as st

import main
from agent import make_agent
from config import Config
from env import make_env
from env.alfworld import NOT_ADMISSIBLE, AlfWorld
from env.families.game import NO_ACTION, GameEnv, read_reply
from errors import DataError, UserError
from helpers.players import NONSENSE, CaseFollower, Player, play, wins_again
from llm import LLM
from scripts import prepare_data
from step import Step

if TYPE_CHECKING:
    from memory.encoders import TextEncoder

for package in ("textworld", "alfworld", "fast_downward"):
    pytest.importorskip(package, reason=f"{package} is missing: pip install -r requirements-envs.txt")

KINDS = (
    "look_at_obj_in_light",
    "pick_and_place_simple",
    "pick_clean_then_place_in_recep",
    "pick_cool_then_place_in_recep",
    "pick_heat_then_place_in_recep",
    "pick_two_obj_and_place",
)
REAL = SHARED_DATA / "alfworld"
real_games = sorted(REAL.rglob("game.tw-pddl"))
needs_real_games = pytest.mark.skipif(not real_games, reason=f"no games in {REAL}")


@pytest.fixture(scope="module")
def sample() -> Iterator[AlfWorld]:
    env = make_env("alfworld", "sample")
    yield env
    env.close()


@pytest.fixture
def react() -> Iterator[GameEnv]:
    env = make_env("alfworld-react", "sample", limit=1)
    yield env
    env.close()


def of_kind(env: GameEnv, kind: str) -> GameEnv:
    env.index = next(index for index, row in enumerate(env.dataset) if kind in row["game_file"])
    return env


def real_env(folder: Path, files: list[Path]) -> GameEnv:
    """An environment of real games, rows made by hand; --alfworld_path says where the games are."""
    rows = []
    for file in files:
        goal = json.loads(file.read_text())["grammar"].partition("Your task is to: ")[2].partition('"')[0]
        rows.append({"task": f"A house.\n\nYour task is to: {goal}", "game_file": str(file.relative_to(REAL))})
    (folder / "alfworld.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    config = Config(env="alfworld", alfworld_path=str(REAL))
    return make_env("alfworld", str(folder), config=config)


def walkthrough(env: GameEnv) -> list[str]:
    return [line.removeprefix("> ") for line in env.get_ground_truth().splitlines()]


# -- the real games ----------------------------------------------------------------------------------------------------


@needs_real_games
def test_every_real_game_is_won_by_its_walkthrough(tmp_path: Path) -> None:
    assert len(real_games) == 30
    env = real_env(tmp_path, real_games)
    for index in range(len(env)):
        env.index = index
        actions = walkthrough(env)
        transcript, reward = play(env, Player([f"> {action}" for action in actions]))
        assert reward == 1, env.row["game_file"]
        assert [turn["action"] for turn in env.turns] == actions and all(turn["legal"] for turn in env.turns)
        assert transcript.startswith(f"> {actions[0]}\nYou arrive at")


@needs_real_games
@pytest.mark.parametrize("kind", KINDS)
def test_a_real_game_by_nonsense_and_by_its_own_case(kind: str, tmp_path: Path) -> None:
    env = real_env(tmp_path, [next(file for file in real_games if kind in str(file))])
    assert play(env, Player(NONSENSE)) == (None, 0)
    assert len(env.turns) == 30 and not any(turn["legal"] for turn in env.turns)
    assert {turn["observation"] for turn in env.turns} == {NOT_ADMISSIBLE, NO_ACTION}
    transcript, reward = play(env, Player(["sing", *walkthrough(env)]))
    assert reward == 1 and "> sing" not in transcript
    assert wins_again(env, transcript)


@needs_real_games
def test_a_folder_of_games_becomes_a_stream(tmp_path: Path) -> None:
    release = tmp_path / "release"
    for file in real_games[::15]:
        shutil.copytree(file.parent, release / file.parent.relative_to(REAL))
    out = tmp_path / "alfworld"
    assert prepare_data.main(["alfworld-react", "--from", str(release), "--out", str(out), "--check"]) == 0
    shutil.rmtree(release)
    env = make_env("alfworld-react", str(out))
    assert len(env) == 2 and env.data_file.origin == "converted"
    assert env.observe().startswith("You are in the middle of a room.") and "\n\nYour task is to: " in env.observe()
    assert play(env, Player(walkthrough(env)))[1] == 1
    for wrong, words in ((["--split", "test"], 2), (["--split", "train"], 1)):
        assert prepare_data.main(["alfworld", "--from", str(out / "games"), *wrong]) == words


# -- the sample --------------------------------------------------------------------------------------------------------


def test_the_sample_has_every_kind_of_goal_and_room(sample: AlfWorld) -> None:
    kinds = [row["game_file"].removeprefix("games/").rpartition("-")[0] for row in sample.dataset]
    assert {kind: kinds.count(kind) for kind in KINDS} == dict.fromkeys(KINDS, 8)
    assert len({row["task"] for row in sample.dataset}) == len(sample) == 48
    assert len({row["task"].partition("\n")[0] for row in sample.dataset}) == 4  # rooms


@pytest.mark.parametrize("kind", KINDS)
def test_sample_games_can_be_won(kind: str, sample: AlfWorld) -> None:
    env = of_kind(sample, kind)
    truth = env.get_ground_truth()
    assert env.evaluate(truth) == (truth, 1)
    assert env.evaluate(truth.rpartition("\n")[0])[1] == 0
    assert env.evaluate("") == env.evaluate("I cannot tell.") == (None, 0)


# -- turns -------------------------------------------------------------------------------------------------------------


def test_actions_are_listed_and_others_cost_a_turn(sample: AlfWorld) -> None:
    env = of_kind(sample, "pick_and_place_simple")
    player = Player(["fly to the moon", *(action.upper() + "." for action in walkthrough(env))])
    transcript, reward = play(env, player)
    assert reward == 1 and "moon" not in transcript
    assert env.turns[0] == {"action": "fly to the moon", "observation": NOT_ADMISSIBLE, "legal": False}
    first, second, *_ = player.conversations
    assert first[0]["content"].startswith(env.get_zero_shot_prompt(env.observe()) + "\n\n<actions>\n- ")
    assert [message["role"] for message in second] == ["user", "assistant", "user"]
    assert "<actions>" not in second[0]["content"] and second[2]["content"].startswith(NOT_ADMISSIBLE)
    listed = second[2]["content"].partition("<actions>\n")[2].splitlines()
    assert "- inventory" in listed and f"- {walkthrough(env)[0]}" in listed
    assert "label" not in first[0]["content"] and "walkthrough" not in first[0]["content"]


def test_thoughts_change_nothing(react: GameEnv) -> None:
    actions = walkthrough(react)
    thinking = Player(["> think: What now?", *(f"think: next\n> {action}" for action in actions)])
    transcript, reward = play(react, thinking)
    assert reward == 1 and transcript.startswith(f"> think: What now?\nOK.\n> think: next\n> {actions[0]}\n")
    listed = [messages[-1]["content"].partition("<actions>")[2] for messages in thinking.conversations[:2]]
    assert listed[0] == listed[1] != ""
    assert [turn["thought"] for turn in react.turns] == ["What now?", *["next"] * len(actions)]
    assert react.evaluate(transcript) == (transcript, 1) and wins_again(react, transcript)
    assert play(react, Player(["think: I wonder."]))[1] == 0
    assert len(react.turns) == 35 and react.prompts is not make_env("alfworld", "sample", limit=1).prompts


def test_without_react_a_thought_is_no_action(sample: AlfWorld) -> None:
    assert play(sample, Player(["think: I wonder."])) == (None, 0)
    assert [turn["legal"] for turn in sample.turns] == [False] * 30


def test_a_case_follower_follows_only_its_case(sample: AlfWorld) -> None:
    env = of_kind(sample, "look_at_obj_in_light")
    other = of_kind(make_env("alfworld", "sample"), "pick_two_obj_and_place").get_ground_truth()
    prompt = env.get_case_based_prompt(env.observe(), [{"task": "x", "answer": other}])
    assert play(env, CaseFollower("> "), prompt)[1] == 0


ADMISSIBLE = ["go to desk 1", "take mug 1 from desk 1"]
PIECES = ["[Action] ", "think: ", "> ", "go to desk 1", "\n", "\ud800", "]:*"]  # of replies


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        ("go to desk 1", ("", "go to desk 1")),
        ("> Go to Desk  1.", ("", "go to desk 1")),
        ("```\n> go to desk 1\n```", ("", "go to desk 1")),
        ("**Action:** go to desk 1", ("", "go to desk 1")),
        ("[Action] `dance`", ("", "dance")),
        ("I should look there.\ngo to desk 1\nOn the desk 1, you see a mug 1.", ("", "go to desk 1")),
        ("go to desk 1\ntake mug 1 from desk 1", ("", "go to desk 1")),
        ("[Action] go to desk 1\n[Observation] A mug.\n[Action] take mug 1 from desk 1", ("", "go to desk 1")),
        ("think: a mug\nis needed", ("a mug", "")),
        ("Thought: a mug\n> go to desk 1", ("a mug", "go to desk 1")),
        ("[Think] a mug [Action] go to desk 1", ("a mug", "go to desk 1")),
        ("dance\nsing", ("", "dance")),
        (" \n", ("", "")),
    ],
)
def test_replies(reply: str, expected: tuple[str, str]) -> None:
    thought, action = read_reply(reply, ADMISSIBLE)
    assert (thought, action.lower()) == expected


@settings(max_examples=100, deadline=None)
@given(st.text() | st.lists(st.sampled_from(PIECES)).map("".join))
def test_no_reply_raises(reply: str) -> None:
    thought, action = read_reply(reply, ADMISSIBLE)
    assert all(isinstance(part, str) and part.encode() is not None and len(part) <= 300 for part in (thought, action))


# -- what can be missing -----------------------------------------------------------------------------------------------


def test_missing_and_mistaken_games_are_errors(
    tmp_path: Path, sample: AlfWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALFWORLD_DATA", str(tmp_path))
    rows = [dict(sample.dataset[0]), dict(sample.dataset[1])]
    rows[1]["game_file"] = "json_2.1.1/valid_unseen/x/y/game.tw-pddl"
    (tmp_path / "alfworld.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    shutil.copytree(sample.data_file.folder / "games", tmp_path / "games")
    with pytest.raises(DataError, match=r"alfworld.jsonl:2: the game file .* is missing: .*prepare_data"):
        make_env("alfworld", str(tmp_path))
    file = tmp_path / "valid_unseen" / "x" / "y" / "game.tw-pddl"
    file.parent.mkdir(parents=True)
    file.write_text("{")
    env = make_env("alfworld", str(tmp_path))
    env.index = 1
    with pytest.raises(DataError, match="game.tw-pddl is not a game file"):
        play(env, Player(["look"]))
    file.write_bytes((tmp_path / sample.dataset[2]["game_file"]).read_bytes())
    with pytest.raises(DataError, match="its row for"):
        play(env, Player(["look"]))


def test_missing_packages_are_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "env.tools.alfworld_engine", None)
    with pytest.raises(UserError, match="pip install -r requirements-envs.txt"):
        make_env("alfworld", "sample", config=Config(env="alfworld"))
    assert main.main(["--env", "alfworld", "--alfworld_path", "/no/such/folder"]) == 1
    assert "is not a folder" in capsys.readouterr().err


# -- runs --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("agent", ["cbrdiscover", "ground-truth"])
def test_agents_of_single_turn_tasks_refuse(agent: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["--env", "alfworld", "--data", "sample", "--agent", agent, "--output_dir", str(tmp_path)]) == 2
    assert agent in capsys.readouterr().err


def test_the_makers_solution_is_retained_as_a_case_to_follow(sample: AlfWorld, text_encoder: TextEncoder) -> None:
    sample.reset()
    agent = make_agent(Config(env="alfworld", agent="cbrgt"), sample, LLM(Player([])), lambda: text_encoder)
    agent.retain(Step(1, sample.observe(), reward=0))
    second = Step(2, sample.observe())
    agent.retrieve(second)
    (case,) = second.cases
    assert case.step == 1 and wins_again(sample, case.answer)
