"""Traj-Bootstrap turn by turn: a plan, then a thought and an action each turn, each with turns that match its own."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import main
from agent import check_fits, make_agent
from agents.turns import ACT, AROUND, PLAN, PLANS, THINK, WINDOWS, Episodes, Window, as_text, keys_of, with_plans
from clients.scripted import ScriptedClient
from config import Config
from env import find_env
from errors import LLMError, UsageError
from helpers import own_task
from helpers.fake_server import serving
from helpers.houses import Doors, House, in_house
from helpers.planted_llms import Loaded, WordEncoder
from helpers.runs import run_folder, steps
from llm import LLM, Message, Reply, hash_prompt
from report.prompts import rebuild
from runs.folder import RunLog
from runs.journal import JOURNAL, Journal
from runs.reader import read_config, whole_steps
from runs.track import Tracker
from step import Case

SIZE = 10


class Talker(ScriptedClient):
    """Plans, thinks and goes the right way, after a wrong door; in every third house it only waits.

    `asked` keeps the whole conversations; `down` is the number, from 0, of the call that fails.
    """

    def __init__(self, env: House, down: int | None = None) -> None:
        self.env, self.down, self.asked = env, down, []

    def complete(self, request: dict[str, Any]) -> Reply:
        if len(self.asked) == self.down:
            raise LLMError("down")
        messages: list[Message] = request["messages"]
        self.asked.append(messages)
        last, game = messages[-1]["content"], self.env.game
        assert isinstance(game, Doors)
        if last.endswith(PLAN):
            return Reply(f"First {' then '.join(self.env.row['way'])}.", 10, 3)
        if last.endswith(THINK):
            return Reply(f"After {game.at} doors I should try {game.way[game.at]}.", 10, 3)
        assert last.endswith(ACT)
        if self.env.index % 3 == 2:
            return Reply("wait", 10, 1)
        wrong = next(action for action in game.actions() if action != game.way[game.at])
        return Reply(wrong if len(self.env.turns or []) == 1 else f"> {game.way[game.at]}", 10, 1)


def run(folder: Path, down: int | None = None, seconds: float = 600, **options: Any) -> tuple[Any, Talker, Any]:
    """A run, or what is left of it, until call number `down` of this start: (agent, client, its config)."""
    config = Config(env="alfworld", agent="traj-bootstrap-turns", **{"comk": 2} | options)
    env = House()
    env.init_env()
    client = Talker(env, down)
    llm = LLM(client)
    log = RunLog(folder, config.identity(), overwrite=False, checkpoint_seconds=seconds)
    try:
        agent = make_agent(config, env, llm, WordEncoder)  # type: ignore[arg-type]
        llm.keep_replies(Journal(folder / JOURNAL))
        log.begin({}, {})
        main.run(env, agent, log, Tracker(config))
    except LLMError:
        pass
    finally:
        log.close()
    return agent, client, config


def test_a_plan_then_a_thought_and_an_action_each_turn(tmp_path: Path) -> None:
    agent, client, config = run(tmp_path / "run")
    log = steps(tmp_path / "run")
    won = [step["step"] for step in log if step["reward"]]
    assert won == [step for step in range(1, SIZE + 1) if step % 3]
    assert [case.step for case in agent.retrieval.bank.cases] == won == [case.step for case in agent.episodes.cases]
    called = 0
    for step in log:
        turns, episode = step["turns"], step["episode"]
        assert step["calls"] == 1 + 2 * len(turns) and len(episode["turns"]) == len(turns)
        asked = client.asked[called : called + step["calls"]]
        called += step["calls"]
        cases = [next(case for case in agent.retrieval.bank.cases if case.step == one["id"]) for one in step["cases"]]
        assert len(cases) == min(2, sum(number < step["step"] for number in won))
        agent.env.index = step["step"] - 1
        plan = with_plans(agent.env, step["task"], cases)
        assert asked[0] == [{"role": "user", "content": plan}] and (PLANS in plan) == bool(cases)
        assert step["prompt_sha256"] == hash_prompt(asked[0])
        assert all(case.episode["plan"] in plan for case in cases)
        for number, (think, act) in enumerate(zip(asked[1::2], asked[2::2])):
            assert [len(think), len(act)] == [2 * number + 1] * 2, "the thoughts stay out of the game's dialogue"
            assert episode["turns"][number]["thought"] in act[-1]["content"]
            assert all(f"Your plan: {episode['plan']}" in one[-1]["content"] for one in (think, act))
            for one, windows in zip((think, act), episode["turns"][number]["shown"]):
                assert one[-1]["content"].count("<case>") == len(windows) == len(cases)
                assert (WINDOWS in one[-1]["content"]) == bool(windows)
            assert not any(WINDOWS in message["content"] for message in act[:-1]), "each sees its own alone"
        idle = [bool(turn.get("idle")) for turn in episode["turns"]]
        assert idle == ([False, True] + [False] * (len(turns) - 2) if step["reward"] else [True] * 9)
    assert called == len(client.asked)
    kept = agent.retrieval.bank.cases[0]
    assert [turn["action"] for turn in kept.episode["turns"]] == [f"> {way}" for way in agent.env.dataset[0]["way"]]
    assert kept.answer == log[0]["answer"] and config.temperature == 0.1


def mean_cosine(encoder: WordEncoder, keys: np.ndarray, side: str, case: Case, turn: dict[str, str]) -> float:
    assert case.episode is not None
    own = encoder.encode([case.task, case.episode["plan"], turn[side]])
    return float(np.mean([a @ b for a, b in zip(keys, own)]))


def test_windows_are_of_the_turns_nearest_by_all_keys() -> None:
    encoder, rng = WordEncoder(), np.random.default_rng(0)
    words = [f"w{i}" for i in range(12)]

    def text(size: int) -> str:
        return " ".join(rng.choice(words, size))

    def turn() -> dict[str, str]:
        return {"observation": text(3), "thought": text(3), "action": text(1)}

    cases = [
        Case(text(3), step=i + 1, episode={"plan": text(3), "turns": [turn() for _ in range(1 + i)]}) for i in range(9)
    ]
    episodes = Episodes(encoder)
    for case in cases:
        episodes.add(case)
    again = Episodes(encoder)
    again.take_back(cases, episodes.index.vectors)
    for side in ("observation", "thought"):
        for _ in range(20):
            goal, plan, now = text(3), text(3), text(3)
            keys = encoder.encode([goal, plan, now])
            score = functools.partial(mean_cosine, encoder, keys, side)
            best = {case.step: max(score(case, turn) for turn in case.episode["turns"]) for case in cases}  # type: ignore[index]
            found = episodes.near(goal, plan, now, side)
            assert found == again.near(goal, plan, now, side)
            got = [score(window.case, window.case.episode["turns"][window.turn]) for window in found]  # type: ignore[index]
            assert got == pytest.approx(sorted(best.values(), reverse=True), abs=1e-6)
            assert got == pytest.approx([best[window.case.step] for window in found], abs=1e-6)
    assert len(keys_of(cases[3])) == 2 + 2 * 4


def test_five_turns_on_either_side_are_shown() -> None:
    turns = [{"observation": f"o{i}.", "thought": f"t{i}.", "action": f"a{i}."} for i in range(20)]
    case = Case("goal", episode={"plan": "p", "turns": turns})
    for turn in (0, 9, 19):
        shown = [i for i in range(20) if f"t{i}." in as_text(Window(case, turn))]
        assert shown == list(range(max(0, turn - AROUND), min(20, turn + AROUND + 1)))


def test_controls(tmp_path: Path) -> None:
    agent, client, _ = run(tmp_path / "empty", control="empty")
    assert len(agent.retrieval.bank) == 0 and PLANS in client.asked[0][0]["content"]
    assert not any(WINDOWS in messages[-1]["content"] for messages in client.asked)
    _, own, _ = run(tmp_path / "own")
    _, chance, _ = run(tmp_path / "random", control="random")
    sizes = [[messages[-1]["content"].count("<case>") for messages in each.asked] for each in (own, chance)]
    assert sizes[0] == sizes[1] and own.asked != chance.asked


@pytest.mark.parametrize("seconds", [0, 600])
@pytest.mark.parametrize("control", [None, "random"])
def test_an_outage_at_any_call_repeats_none(seconds: float, control: str | None, tmp_path: Path) -> None:
    _, whole, _ = run(tmp_path / "whole", control=control)
    asked: list[Any] = []
    for down in (5, 0, 20, 1, 31, None):
        asked += run(tmp_path / "broken", down, seconds, control=control)[1].asked
    assert asked == whole.asked
    assert steps(tmp_path / "broken") == steps(tmp_path / "whole")


def test_the_report_builds_the_prompts_of_the_plans_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own_task.use(monkeypatch, House)
    monkeypatch.setattr(main, "make_load_encoder", lambda config: Loaded())
    with serving() as server:
        server.answer = lambda prompt: in_house(server.chats[-1]["messages"])
        assert main.main(own_task.argv(server, tmp_path, "--agent", "traj-bootstrap-turns", "--comk", 2)) == 0
    folder = run_folder(tmp_path)
    records = [step for step, _ in whole_steps(folder / "steps.jsonl")]
    rebuilt = rebuild(read_config(folder / "config.yaml"), records)
    assert [one.note for one in rebuilt] == [""] * SIZE and all(PLAN in str(one.prompt) for one in rebuilt)
    assert sum(one.kept is not None for one in rebuilt) == sum(record["reward"] for record in records) == SIZE


def test_a_task_of_one_question_is_refused() -> None:
    with pytest.raises(UsageError) as error:
        check_fits(Config(env="lfd", agent="traj-bootstrap-turns"), find_env("lfd"))
    assert str(error.value) == (
        "--agent traj-bootstrap-turns retrieves at every turn of a dialogue: the task lfd is one question, for which "
        "--agent traj-bootstrap does all that it would"
    )
    for task in ("alfworld", "scienceworld-react", "ehr", "2wiki"):
        check_fits(Config(env=task, agent="traj-bootstrap-turns"), find_env(task))
