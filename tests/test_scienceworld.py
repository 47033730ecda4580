"""ScienceWorld on its real simulator: the makers' own solutions, the turn limits, what is wrong or missing."""

from __future__ import annotations

import contextlib
import json
import logging
import random
import shutil
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import main
from config import Config
from env import make_env
from env.families.game import NO_ACTION
from env.scienceworld import TURN_LIMITS, LabGame, ScienceWorld
from errors import DataError, UserError
from helpers.players import NONSENSE, CaseFollower, Player, play

pytest.importorskip("scienceworld", reason="scienceworld is missing: pip install -r requirements-envs.txt")
if shutil.which("java") is None:
    pytest.skip("the simulator needs Java", allow_module_level=True)

# task -> for its first two variations, how many turns the simulator's own solution takes to reach score 100
SOLUTIONS = {
    "use-thermometer": (21, 17),
    "test-conductivity": (20, 26),
    "test-conductivity-of-unknown-substances": (20, 26),
    "grow-plant": (29, 32),  # the second is longer than the task's 30 turns
    "find-animal": (10, 12),
    "find-living-thing": (10, 12),
    "find-non-living-thing": (5, 7),
    "find-plant": (10, 12),
    "lifespan-longest-lived-then-shortest-lived": (6, 8),
    "lifespan-longest-lived": (5, 7),
    "lifespan-shortest-lived": (5, 7),
}


@pytest.fixture(scope="module")
def env() -> Iterator[ScienceWorld]:
    env = make_env("scienceworld", "sample")
    yield env
    env.close()


def of_task(env: ScienceWorld, task: str) -> ScienceWorld:
    env.index = next(index for index, row in enumerate(env.dataset) if row["taskName"] == task)
    return env


def test_there_is_a_limit_and_a_solution_for_every_task() -> None:
    assert set(SOLUTIONS) == set(TURN_LIMITS) and len(TURN_LIMITS) == 11


@pytest.mark.parametrize("task", SOLUTIONS)
def test_the_simulators_solutions_win_where_they_fit(task: str, env: ScienceWorld) -> None:
    for variation, turns in enumerate(SOLUTIONS[task]):
        text = env.game.begin(task, variation)
        env.dataset[0] = {"task": text, "taskName": task, "variationIdx": variation}
        env.index = 0
        actions = env.game.solution(env.row, env.data_file.folder)
        transcript, reward = play(env, Player([f"[Action] {action}" for action in actions]))
        assert reward == int(turns <= TURN_LIMITS[task]), (variation, len(env.turns))
        assert len(env.turns) == min(turns, TURN_LIMITS[task])
        assert [turn["action"] for turn in env.turns] == actions[: len(env.turns)]


def test_a_transcript_is_scored_without_the_limit(env: ScienceWorld) -> None:
    task, variation = "grow-plant", 1
    env.dataset[0] = {"task": env.game.begin(task, variation), "taskName": task, "variationIdx": variation}
    env.index = 0
    truth = env.get_ground_truth()
    assert len(truth.splitlines()) > env.turn_limit and env.evaluate(truth) == (truth, 1)


def test_the_sample_is_of_every_task(env: ScienceWorld) -> None:
    rows = make_env("scienceworld", "sample").dataset
    tasks = [row["taskName"] for row in rows]
    assert {task: tasks.count(task) for task in TURN_LIMITS} == dict.fromkeys(TURN_LIMITS, 4)
    for row in rows[:6]:
        assert env.game.begin(row["taskName"], row["variationIdx"]) == row["task"]


def test_a_won_game_shown_as_a_case_is_won_again(env: ScienceWorld) -> None:
    of_task(env, "find-non-living-thing")
    actions = env.get_ground_truth().splitlines()
    transcript, reward = play(env, Player(["[Action] sing", *actions]))
    assert reward == 1 and "sing" not in transcript
    assert transcript.startswith(f"{actions[0]}\n[Observation] ")
    prompt = env.get_case_based_prompt(env.observe(), [{"task": env.observe(), "answer": transcript}])
    follower = CaseFollower(env.prompts.ACTION)
    assert play(env, follower, prompt) == (transcript, 1)


def test_nonsense_wins_nothing(env: ScienceWorld) -> None:
    for task in ("use-thermometer", "find-plant", "lifespan-longest-lived"):
        of_task(env, task)
        assert play(env, Player(NONSENSE)) == (None, 0)
        assert len(env.turns) == env.turn_limit == TURN_LIMITS[task]
        assert not any(turn["legal"] for turn in env.turns)
        assert env.turns[0] == {"action": "", "observation": NO_ACTION, "legal": False}
        assert env.turns[1]["observation"].startswith("No known action")
    json.dumps(env.turns).encode()
    assert env.evaluate("") == (None, 0)


def test_a_wrong_focus_ends_the_game_and_a_question_takes_a_number(env: ScienceWorld) -> None:
    of_task(env, "lifespan-longest-lived")
    transcript, reward = play(env, Player(["go to hallway", "look around", "focus on air", "wait"]))
    assert reward == 0 and len(env.turns) < env.turn_limit and env.turns[-1]["action"] == "focus on air"
    of_task(env, "find-plant")
    play(env, Player(["[Action] teleport to kitchen", "[Action] open door", "[Action] 0", "[Action] close door"]))
    asked, answered = env.turns[1], env.turns[2]
    assert asked["legal"] and asked["observation"].startswith("Ambiguous request") and "0:" in asked["observation"]
    assert answered["legal"] and "door" in answered["observation"]


def test_react_replies_hold_a_thought_and_an_action(env: ScienceWorld) -> None:
    react = make_env("scienceworld-react", "sample")
    react.game = env.game
    react.dataset = [row for row in react.dataset if row["taskName"] == "find-non-living-thing"]
    actions = react.get_ground_truth().splitlines()
    replies = ["[Think] Where am I?", *(f"[Think] next\n{action}" for action in actions)]
    transcript, reward = play(react, Player(replies))
    assert reward == 1 and [turn.get("thought") for turn in react.turns][:2] == ["Where am I?", "next"]
    assert transcript.startswith(f"[Think] Where am I?\n[Observation] OK.\n[Think] next\n{actions[0]}\n[Observation] ")
    assert react.evaluate(transcript) == (transcript, 1) and react.turn_limit == 15


def test_a_game_does_not_depend_on_those_before_it(env: ScienceWorld) -> None:
    actions = ["teleport to outside", "look around", "wait", "look around", "teleport to art studio", "look around"]
    tasks = ("find-animal", "lifespan-longest-lived", "test-conductivity")

    def record(game: LabGame, task: str) -> list[str]:
        seen = [game.begin(task, 1), *(game.play(action)[0] for action in actions)]
        return seen + game.solution({"taskName": task, "variationIdx": 1}, Path())

    fresh = LabGame()
    try:
        recorded = {task: record(fresh, task) for task in tasks}
    finally:
        fresh.close()
    assert recorded == {task: record(env.game, task) for task in reversed(tasks)}


def test_rows_are_compared_with_the_world_order_aside(env: ScienceWorld, tmp_path: Path) -> None:
    row = dict(of_task(env, "find-animal").row)
    lines = row["task"].splitlines()
    random.Random(0).shuffle(lines)
    env.game.start(row | {"task": "Current room:\n" + "\n".join(lines)}, tmp_path)
    with pytest.raises(DataError, match=r"the row's text has what the simulator does not show \(thermometer\)"):
        env.game.start(row | {"task": row["task"] + "\n\ta thermometer"}, tmp_path)
    with pytest.raises(DataError, match=f"find-animal, variation {row['variationIdx']}: the row's text lacks"):
        env.game.start(row | {"task": row["task"].replace("air", "gold")}, tmp_path)
    with pytest.raises(DataError, match="the row's text lacks"):
        env.game.start(row | {"variationIdx": row["variationIdx"] + 1}, tmp_path)
    with pytest.raises(DataError, match="has no variation 100000"):
        env.game.start(row | {"variationIdx": 100_000}, tmp_path)
    for wrong, words in (({"taskName": "boil"}, "is none of"), ({"variationIdx": -1}, "below 0")):
        (tmp_path / "scienceworld.jsonl").write_text(json.dumps(row | wrong))
        with pytest.raises(DataError, match=f"scienceworld.jsonl:1: .*{words}"):
            make_env("scienceworld", str(tmp_path))


def test_what_is_missing_is_one_clear_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "/nowhere")
        assert main.main(["--env", "scienceworld", "--data", "sample"]) == 1
    assert "needs Java" in capsys.readouterr().err
    monkeypatch.delitem(sys.modules, "env.tools.scienceworld_engine", raising=False)
    for module in ("scienceworld", "scienceworld.constants"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UserError, match="pip install -r requirements-envs.txt"):
        make_env("scienceworld-react", "sample", config=Config(env="scienceworld-react"))


def test_a_simulator_that_dies_is_an_error_and_close_ends_it(tmp_path: Path) -> None:
    # What is left of a dead simulator is logged whenever it is collected; pytest's capture of that upsets Python 3.11.
    logging.getLogger("py4j").propagate = False
    game = LabGame()
    game.begin("find-plant", 0)
    game.server.process.kill()
    game.server.process.wait()
    with pytest.raises(UserError, match="simulator has stopped"):
        game.play("look around")
    game.close()
    game.begin("find-plant", 0)
    process = game.server.process
    game.close()
    game.close()
    assert process.wait(timeout=20) == 0


def test_others_cannot_use_the_simulators_gateway(env: ScienceWorld, tmp_path: Path) -> None:
    """It would run any Java, and so any command, as the user whose run it is."""
    from py4j.java_gateway import GatewayParameters, JavaGateway
    from py4j.protocol import Py4JError

    env.game.begin("find-plant", 0)
    process, port = env.game.server.process, env.game.server.port
    touched = tmp_path / "touched"
    for token in (None, "a guess"):
        outsider = JavaGateway(gateway_parameters=GatewayParameters(port=port, auth_token=token))
        with pytest.raises(Py4JError, match="uthenticat"):
            outsider.jvm.java.lang.Runtime.getRuntime().exec(f"touch {touched}").waitFor()
        outsider.close()
    for by_hand in (b"r\nu\njava.lang.Runtime\nrj\ne\n", b"s\n", b"A\n\ne\ns\n"):  # s ends the gateway
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(by_hand)
            with contextlib.suppress(ConnectionResetError):
                assert not connection.recv(1000).startswith(b"!y")
    assert not touched.exists() and process.poll() is None
    assert env.game.play("look around")[1]
