"""The methods of StreamBench, Evo-Memory and Memento: what each shows and keeps, and which of them are one another."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from config import Config
from env import Env
from env.prompts.layout import ALL_RIGHT, AVOID, FEEDBACK, FOLLOW, WITH_FEEDBACK
from helpers.prompts import Played, half_right, play

if TYPE_CHECKING:
    from memory.encoders import TextEncoder

STREAMBENCH = ("grow-prompt", "mem-prompt", "self-stream-icl")


def nearest(played: Played, encoder: TextEncoder, number: int, among: list[int], k: int) -> list[int]:
    """The k steps of `among` whose tasks are nearest to step `number`'s, nearest first, by a plain sort."""
    tasks = [step["task"] for step in played.steps]
    query = encoder.encode([tasks[number - 1]])[0].astype(np.float64)
    cosine = {step: float(encoder.encode([tasks[step - 1]])[0].astype(np.float64) @ query) for step in among}
    return sorted(among, key=lambda step: (-round(cosine[step], 6), step))[:k]


def before(played: Played, number: int, reward: int | None = None) -> list[int]:
    return [step["step"] for step in played.steps[: number - 1] if reward in (None, step["reward"])]


# -- what a method shows -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [3, 16])
def test_nearest_is_a_sort_by_cosine_also_while_the_bank_is_small(
    k: int, tmp_path: Path, text_encoder: TextEncoder
) -> None:
    last, first, chance = (
        play(tmp_path, text_encoder, agent="mem-prompt", comk=k, order=order)
        for order in ("similar_last", "similar_first", "random")
    )
    for number in range(1, 41):
        wanted = nearest(first, text_encoder, number, before(first, number), k)
        assert first.shown[number - 1] == wanted
        assert last.shown[number - 1] == wanted[::-1]
        assert sorted(chance.shown[number - 1]) == sorted(wanted)
    assert chance.shown != first.shown and chance.shown != last.shown
    again = play(tmp_path, text_encoder, agent="mem-prompt", comk=k, order="random")
    assert again.shown == chance.shown
    assert play(tmp_path, text_encoder, agent="mem-prompt", comk=k, order="random", seed=1).shown != chance.shown


@pytest.mark.parametrize("agent, keeps_failures", [("mem-prompt", True), ("self-stream-icl", False)])
def test_what_streambenchs_methods_keep(
    agent: str, keeps_failures: bool, tmp_path: Path, text_encoder: TextEncoder
) -> None:
    played = play(tmp_path, text_encoder, agent=agent)
    right = {step["step"]: step["reward"] for step in played.steps}
    assert {right[case] for shown in played.shown for case in shown} == ({0, 1} if keeps_failures else {1})
    for number, shown in enumerate(played.shown, 1):
        among = before(played, number, None if keeps_failures else 1)
        assert len(shown) == min(16, len(among))
    assert (FEEDBACK[0] in played.prompts[-1]) == keeps_failures
    assert (ALL_RIGHT in played.prompts[-1]) != keeps_failures
    assert not played.agent.retrieval.bank.cases[0].output


@pytest.mark.parametrize("agent", ["grow-prompt", "mem-prompt"])
def test_feedback_filters_what_was_chosen(agent: str, tmp_path: Path, text_encoder: TextEncoder) -> None:
    whole = play(tmp_path, text_encoder, agent=agent, comk=6)
    rewards = {step["step"]: step["reward"] for step in whole.steps}
    for feedback, reward in (("correct", 1), ("incorrect", 0)):
        some = play(tmp_path, text_encoder, agent=agent, comk=6, feedback=feedback)
        assert some.shown == [[case for case in shown if rewards[case] == reward] for shown in whole.shown]
        assert 0 < min(len(shown) for shown in some.shown[10:]) < 6
        assert len(some.agent.retrieval.bank) == 40
        kept = "was correct" if reward else "was wrong"
        assert set(re.findall(r"Feedback: this answer (was \w+)", "".join(some.prompts))) == {kept}
    every = Config(env="lfd", agent=agent, feedback="all")
    assert every.identity() == Config(env="lfd", agent=agent).identity()


def verbose(env: Env, prompt: str) -> str:
    return f"Because of {env.observe()[:7]} it is {half_right(env, prompt)}"


@pytest.mark.parametrize("agent", ["exp-recent", "exp-rag", "memento-np"])
def test_whole_outputs_are_kept_and_shown(agent: str, tmp_path: Path, text_encoder: TextEncoder) -> None:
    played = play(tmp_path, text_encoder, verbose, agent=agent)
    assert [len(shown) for shown in played.shown][-1] == 4
    for prompt, shown in zip(played.prompts, played.shown):
        parts = re.findall(r"<answer>\n(.*?)\n</answer>", prompt)
        outputs = [played.steps[case - 1]["output"] for case in shown]
        assert sorted(parts) == sorted(outputs)
    assert played.prompts[-1].count("Because of Line ") == 4
    both = play(tmp_path, text_encoder, verbose, agent=agent, keep="everything")
    successes = play(tmp_path, text_encoder, verbose, agent=agent, keep="successes")
    assert len(both.agent.retrieval.bank) == 40
    assert len(successes.agent.retrieval.bank) == sum(step["reward"] for step in both.steps)
    assert (both if agent == "memento-np" else successes).prompts == played.prompts


def test_memento_groups_what_worked_and_what_did_not(tmp_path: Path, text_encoder: TextEncoder) -> None:
    played = play(tmp_path, text_encoder, agent="memento-np", comk=6)
    mixed = 0
    for prompt, shown in zip(played.prompts[1:], played.shown[1:]):
        good, _, bad = prompt.partition(AVOID)
        rewards = [played.steps[case - 1]["reward"] for case in shown]
        assert (FOLLOW in good) == (1 in rewards) and (AVOID in prompt) == (0 in rewards)
        assert good.count(FEEDBACK[1]) == sum(rewards) and FEEDBACK[0] not in good
        assert bad.count(FEEDBACK[0]) == len(rewards) - sum(rewards) and FEEDBACK[1] not in bad
        assert WITH_FEEDBACK in prompt and ALL_RIGHT not in prompt
        mixed += len(set(rewards)) == 2
    assert mixed > 20


# -- methods that are one another --------------------------------------------------------------------------------------


def test_grow_prompt_is_icrl_with_sixteen_cases(tmp_path: Path, text_encoder: TextEncoder) -> None:
    grow, icrl = (
        play(tmp_path, text_encoder, agent=agent, **more)
        for agent, more in (("grow-prompt", {}), ("icrl", {"comk": 16}))
    )
    assert grow.steps == icrl.steps
    assert grow.prompts == icrl.prompts
    assert grow.shown[-1] == list(range(24, 40))


@pytest.mark.parametrize("k", [1, 4, 16])
def test_self_stream_icl_shows_the_set_of_cbr_that_recalls_k(k: int, tmp_path: Path, text_encoder: TextEncoder) -> None:
    stream = play(tmp_path, text_encoder, agent="self-stream-icl", comk=k)
    cbr = play(tmp_path, text_encoder, agent="cbr", bandit="Random", comk=k, recall_size=k)
    assert [sorted(shown) for shown in stream.shown] == [sorted(shown) for shown in cbr.shown]
    assert len(stream.shown[-1]) == min(k, sum(step["reward"] for step in stream.steps[:-1]))


def test_exp_rag_without_feedback_is_pretrained_by_cosine(tmp_path: Path, text_encoder: TextEncoder) -> None:
    rag = play(tmp_path, text_encoder, agent="exp-rag", comk=1, feedback="hidden")
    pretrained = play(tmp_path, text_encoder, agent="cbr", bandit="Pretrained", comk=1, recall_size=1)
    assert rag.prompts == pretrained.prompts
    assert rag.shown == pretrained.shown and sum(map(len, rag.shown)) > 30
    told = play(tmp_path, text_encoder, agent="exp-rag", comk=1)
    assert told.shown == rag.shown and FEEDBACK[1] in told.prompts[-1] and FEEDBACK[1] not in rag.prompts[-1]


# -- controls ----------------------------------------------------------------------------------------------------------

SHOWING: list[dict[str, Any]] = [
    {"agent": agent} for agent in (*STREAMBENCH, "exp-recent", "exp-rag", "memento-np", "icrl", "icrl-plus")
] + [{"agent": agent, "bandit": "Pretrained"} for agent in ("cbr", "cbrgt", "cbrdiscover")]


@pytest.mark.parametrize("method", SHOWING, ids=lambda method: method["agent"])
def test_the_empty_control_is_the_methods_prompt_without_cases(
    method: dict[str, Any], tmp_path: Path, text_encoder: TextEncoder
) -> None:
    own, empty = (play(tmp_path, text_encoder, **method, **more) for more in ({}, {"control": "empty"}))
    lead = WITH_FEEDBACK if WITH_FEEDBACK in own.prompts[-1] else ALL_RIGHT
    assert all(lead in prompt and "<case>" not in prompt for prompt in empty.prompts)
    assert not any(empty.shown) and len(empty.agent.retrieval.bank) == 0
    assert [step["task"] in prompt for step, prompt in zip(empty.steps, empty.prompts)] == [True] * 40
    assert empty.config.run_name() != own.config.run_name()


@pytest.mark.parametrize("method", SHOWING, ids=lambda method: method["agent"])
def test_the_random_control_shows_as_many_cases_by_chance(
    method: dict[str, Any], tmp_path: Path, text_encoder: TextEncoder
) -> None:
    own, chance = (play(tmp_path, text_encoder, **method, comk=3, **more) for more in ({}, {"control": "random"}))
    assert [len(shown) for shown in chance.shown] == [len(shown) for shown in own.shown]
    assert chance.shown != own.shown and all(len(set(shown)) == len(shown) for shown in chance.shown)
    assert {type(step["cases"][0]["score"]) for step in chance.steps[30:]} == {type(None)}
    other = play(tmp_path, text_encoder, **method, comk=3, control="random", seed=1)
    assert other.shown != chance.shown
    ages = [number - case for number, shown in enumerate(chance.shown, 1) for case in shown]
    assert max(ages) > 25 and min(ages) < 4, "all of the bank can be drawn"


def test_a_control_says_nothing_to_an_agent_that_shows_none() -> None:
    config = Config(env="lfd", agent="zero-shot", control="empty")
    assert "control" not in config.identity()
    assert config.without_effect(["control"]) == ["--control has no effect with --agent zero-shot"]


# -- names and defaults ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("agent, defaults", [
    ("grow-prompt", {"comk": 16}), ("mem-prompt", {"comk": 16, "order": "similar_last"}),
    ("self-stream-icl", {"comk": 16, "order": "similar_last"}), ("exp-recent", {"comk": 4, "keep": "successes"}),
    ("exp-rag", {"comk": 4, "order": "similar_first", "keep": "successes"}),
    ("memento-np", {"comk": 4, "order": "similar_first", "keep": "everything"}), ("icrl", {"comk": 1}),
    ("cbr", {"comk": 1, "bandit": "NeuralLinLogUCB"}),
])  # fmt: skip
def test_defaults_are_the_papers_and_do_not_show_in_names(agent: str, defaults: dict[str, Any]) -> None:
    config = Config(env="lfd", agent=agent)
    assert {name: config.identity()[name] for name in defaults} == defaults
    typed = Config(env="lfd", agent=agent, **defaults)
    assert typed.run_name() == config.run_name() and typed.identity() == config.identity()
    assert f"{agent}" in config.run_name() and "=" not in config.run_name()
    assert "comk=5" in Config(env="lfd", agent=agent, comk=5).run_name()


def test_no_method_of_similarity_alone_loads_a_ranking_encoder(
    tmp_path: Path, text_encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("memory.pair_encoders.make_pair_encoder", lambda *arguments: pytest.fail("it was loaded"))
    for agent in ("mem-prompt", "self-stream-icl", "exp-rag", "memento-np"):
        assert len(play(tmp_path, text_encoder, agent=agent, limit=3).steps) == 3
        assert "reranker_model_path" not in Config(env="lfd", agent=agent).identity()
