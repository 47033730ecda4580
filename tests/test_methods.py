"""The methods of StreamBench, Evo-Memory and Memento: what each shows and keeps, and which of them are one another."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import main
from agent import make_agent
from agents.refining import CRITIQUE, REWRITE, Refining
from agents.rendering import REASONS_FIRST
from clients.scripted import ScriptedClient
from command_line import config_of
from config import Config
from env import Env, make_env
from env.prompts.layout import ALL_RIGHT, AVOID, FEEDBACK, FOLLOW, WITH_FEEDBACK
from errors import UsageError
from helpers.fake_server import serving
from helpers.prompts import Played, half_right, play
from helpers.runs import argv, lfd_stream, run_folder, run_folders, steps
from llm import LLM, Reply, hash_prompt
from report.prompts import rebuild
from runs.reader import read_config, read_run
from step import Step

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
    {"agent": agent}
    for agent in (*STREAMBENCH, "exp-recent", "exp-rag", "memento-np", "icrl", "icrl-plus", "traj-bootstrap")
] + [{"agent": agent, "bandit": "Pretrained"} for agent in ("cbr", "cbrgt", "cbrdiscover", "memento-q")]


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
    ("memento-q", {"comk": 4, "bandit": "MementoQ", "exploration": 0.0, "keep": "everything"}),
    ("traj-bootstrap", {"comk": 6}), ("traj-bootstrap-utility", {"comk": 6, "bandit": "Utility"}),
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


# -- answering ---------------------------------------------------------------------------------------------------------


class Ahead(ScriptedClient):
    """Also notes what prompts it is told of beforehand."""

    def __init__(self, answer: Any) -> None:
        super().__init__(answer)
        self.told: dict[int, str] = {}

    def look_ahead(self, step: int, prompt_of: Any, steps: int) -> None:
        self.told = {number: prompt_of(number) for number in range(1, steps + 1)}


def ask_ahead(config: Config, answer: Any) -> tuple[Ahead, list[str]]:
    """What the client was told in the first of three steps, and the prompts that were then asked."""
    env = make_env(config.env, config.data, None, 3, config)
    client, first = Ahead(answer), []
    agent = make_agent(config, env, LLM(client), lambda: pytest.fail("it needs no encoder"))
    for number in range(1, 4):
        env.index = number - 1
        step = Step(number, env.observe())
        agent.retrieve(step)
        agent.generate(step)
        first.append(step.prompt_sha256)
    hashes = [hash_prompt([{"role": "user", "content": client.told[number]}]) for number in (1, 2, 3)]
    assert hashes == first
    return client, list(client.told.values())


def training_rows(folder: Path, size: int = 30) -> Path:
    (folder / "train").mkdir(exist_ok=True)
    path = lfd_stream(folder / "train", size)
    path.write_text(path.read_text().replace("Line ", "Entry "))
    return path


@pytest.mark.parametrize("agent", ["cot", "self-refine", "few-shot"])
def test_first_prompts_are_known_ahead(agent: str, tmp_path: Path) -> None:
    data, more = str(lfd_stream(tmp_path, 10)), {}
    if agent == "few-shot":
        more = {"examples": str(training_rows(tmp_path))}
    client, prompts = ask_ahead(Config(env="lfd", data=data, agent=agent, **more), lambda prompt: "no fault")
    assert len(set(prompts)) == 3
    assert all(prompt.count("<case>") == (16 if agent == "few-shot" else 0) for prompt in prompts)


def test_cot_asks_for_reasons_before_the_same_final_form(tmp_path: Path, text_encoder: TextEncoder) -> None:
    plain = play(tmp_path, text_encoder, agent="zero-shot")
    cot = play(tmp_path, text_encoder, agent="cot")
    assert cot.prompts == [f"{prompt}\n\n{REASONS_FIRST}" for prompt in plain.prompts]
    assert [step["reward"] for step in cot.steps] == [step["reward"] for step in plain.steps]


@pytest.mark.parametrize("verdicts, rounds", [
    (["keep"], 0), (["change", "keep"], 1), (["change"] * 4, 4), (["none at all"], 0),
    (["verdict: change, no, VERDICT: **keep**"], 0),
])  # fmt: skip
def test_self_refine_stops_by_its_verdict_and_is_charged(
    verdicts: list[str], rounds: int, tmp_path: Path, text_encoder: TextEncoder
) -> None:
    replies = iter([])

    def answer(env: Env, prompt: str) -> str:
        nonlocal replies
        if prompt == CRITIQUE:
            verdict = next(replies)
            return verdict if " " in verdict else f"It could say more.\nVERDICT: {verdict}"
        if prompt == REWRITE:
            return env.format_answer(env.get_ground_truth())
        replies = iter(verdicts)
        return env.format_answer("no such label")

    played = play(tmp_path, text_encoder, answer, agent="self-refine", limit=5)
    calls = 1 + len(verdicts) + rounds
    assert len(played.prompts) == 5 * calls
    assert [step["metrics"]["refine/rounds"] for step in played.steps] == [rounds] * 5
    assert [step["reward"] for step in played.steps] == [int(rounds > 0)] * 5
    assert [step["calls"] for step in played.steps] == [calls] * 5
    once = play(tmp_path, text_encoder, answer, agent="zero-shot", limit=5)
    assert all(
        more["usage"]["completion_tokens"] > one["usage"]["completion_tokens"]
        for more, one in zip(played.steps, once.steps)
    )
    assert [step["prompt_sha256"] for step in played.steps] == [step["prompt_sha256"] for step in once.steps]


def test_self_refine_keeps_the_last_answer_that_can_be_read(tmp_path: Path, text_encoder: TextEncoder) -> None:
    rewrites: list[str] = []

    def answer(env: Env, prompt: str) -> str:
        if prompt == CRITIQUE:
            return "VERDICT: change"
        if prompt == REWRITE:
            rewrites.append(prompt)
            truth = env.format_answer(env.get_ground_truth())
            return truth if len(rewrites) % 4 == 1 else "I would rather not."
        return env.format_answer("no such label")

    played = play(tmp_path, text_encoder, answer, agent="self-refine", limit=4)
    assert [step["reward"] for step in played.steps] == [1] * 4
    assert [step["metrics"]["refine/rounds"] for step in played.steps] == [4] * 4


def test_self_refine_goes_over_every_turn_of_a_dialogue() -> None:
    """A game is asked turn by turn; a reply that calls tools is passed on."""
    asked: list[int] = []

    def reply(prompt: str) -> str | Reply:
        asked.append(len(prompt))
        if prompt == "tools":
            return Reply("", tool_calls=[{"function": {"name": "f"}}])
        return {CRITIQUE: "VERDICT: change" if len(asked) < 5 else "VERDICT: keep", REWRITE: "better"}.get(
            prompt, "draft"
        )

    session = LLM(ScriptedClient(reply)).session(1)
    refining = Refining(session, str.strip)
    assert [refining("turn 1"), refining("turn 2")] == ["better", "draft"]
    assert refining.chat([{"role": "user", "content": "tools"}], [{"type": "function"}]).tool_calls
    assert (refining.rounds, session.spent.calls) == (2, 9)


def test_few_shot_shows_the_same_training_rows_in_every_prompt(tmp_path: Path, text_encoder: TextEncoder) -> None:
    lfd_stream(tmp_path, 40)
    examples = training_rows(tmp_path)
    played = play(tmp_path, text_encoder, agent="few-shot", examples=str(examples), comk=5)
    parts = [re.findall(r"<case>.*?</case>", prompt, re.S) for prompt in played.prompts]
    assert parts == [parts[0]] * 40 and len(set(parts[0])) == 5
    rows = {row["task"]: row["label"] for row in map(json.loads, examples.read_text().splitlines())}
    for part in parts[0]:
        task, label = re.search(r"<task>\n(.*?)\n</task>.*boxed\{(.*?)\}", part, re.S).groups()
        assert rows[task] == label and task.startswith("Entry ")
    other = play(tmp_path, text_encoder, agent="few-shot", examples=str(examples), comk=5, seed=1)
    assert other.prompts != played.prompts
    chance = play(tmp_path, text_encoder, agent="few-shot", examples=str(examples), comk=5, control="random")
    drawn = [tuple(re.findall(r"Entry \d+", prompt)) for prompt in chance.prompts]
    assert len(set(drawn)) > 30 and {len(set(each)) for each in drawn} == {5}
    assert len({name for each in drawn for name in each}) == 30


def test_few_shot_refuses_the_streams_own_rows(tmp_path: Path, text_encoder: TextEncoder) -> None:
    stream = lfd_stream(tmp_path, 40)
    lines = stream.read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    copy = tmp_path / "copy.jsonl"
    copy.write_text("\n".join(json.dumps(row | {"note": i}) for i, row in enumerate(reversed(rows))))
    for own in (stream, copy):
        for more in ({}, {"limit": 3}, {"shuffle": True}):
            with pytest.raises(UsageError, match="are the stream's own rows: name a file of training rows"):
                play(tmp_path, text_encoder, agent="few-shot", examples=str(own), **more)
    mixed = tmp_path / "mixed.jsonl"
    mixed.write_text("\n".join([*lines[:20], *training_rows(tmp_path, 6).read_text().splitlines()]))
    with pytest.raises(UsageError, match="has 6 rows that are not of the stream: --comk 16 needs more"):
        play(tmp_path, text_encoder, agent="few-shot", examples=str(mixed))
    played = play(tmp_path, text_encoder, agent="few-shot", examples=str(mixed), comk=6)
    assert sorted(re.findall(r"<task>\n(Entry \d|Line \d)", played.prompts[0]))[:6] == [f"Entry {i}" for i in range(6)]
    with pytest.raises(UsageError, match="--agent few-shot needs --examples FILE"):
        Config(env="lfd", agent="few-shot")


def test_other_examples_are_another_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lfd_stream(tmp_path, 6)
    examples = training_rows(tmp_path)
    with serving() as server:
        words = argv(server, tmp_path / "out", "--agent", "few-shot", "--examples", examples, "--comk", 2)
        assert main.main(words) == 0
        asked = len(server.chats)
        assert main.main(words) == 0 and len(server.chats) == asked
        examples.write_text(examples.read_text().replace("Entry ", "Item "))
        assert main.main(words) == 2
    assert "holds another run (examples_sha256" in capsys.readouterr().err


# -- the report --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("agent, more", [
    ("few-shot", ()), ("few-shot", ("--control", "random")), ("few-shot", ("--control", "empty")), ("cot", ()),
    ("self-refine", ()), ("mem-prompt", ("--feedback", "incorrect")), ("mem-prompt", ("--feedback", "hidden")),
    ("exp-recent", ("--keep", "everything")), ("exp-rag", ("--control", "random")), ("memento-np", ()),
    ("mem-prompt", ("--control", "empty")), ("reasoning-bank", ()), ("reasoning-bank-cases", ()),
    ("mam-stream-icl", ("--llms", "m,n")), ("remem", ()),
])  # fmt: skip
def test_the_report_builds_every_prompt_again(agent: str, more: tuple[str, ...], tmp_path: Path) -> None:
    """A prompt counts only where its hash is that of what was sent."""
    lfd_stream(tmp_path, 12)
    examples = ("--examples", training_rows(tmp_path)) if agent == "few-shot" else ()
    answer = iter(["\\boxed{CPU}", "I think \\boxed{Memory}", "TITLE: a\nDO: b"] * 200)
    with serving(lambda prompt: next(answer)) as server:
        server.models = {"data": [{"id": "m"}, {"id": "n"}]}
        llm = () if agent.startswith("mam") else ("--llm", "m")
        words = argv(None, tmp_path / "out", "--agent", agent, "--port", server.port, *llm, *more, *examples)
        assert main.main(words) == 0
    run = read_run(run_folder(tmp_path / "out"))
    assert run is not None
    prompts = rebuild(read_config(run_folder(tmp_path / "out") / "config.yaml"), steps(run_folder(tmp_path / "out")))
    assert [one.note for one in prompts] == [""] * 12 and all(one.prompt for one in prompts)


# -- who answers -------------------------------------------------------------------------------------------------------


def test_mam_with_one_llm_is_self_stream_icl(tmp_path: Path) -> None:
    lfd_stream(tmp_path, 24)
    for agent, more in (("self-stream-icl", ("--llm", "m")), ("mam-stream-icl", ("--llms", "m"))):
        with serving() as server:
            words = argv(None, tmp_path / agent, "--agent", agent, "--port", server.port, *more)
            assert main.main(words) == 0
    one, several = (run_folder(tmp_path / agent) for agent in ("self-stream-icl", "mam-stream-icl"))
    assert steps(one) == steps(several)
    assert sum(bool(step["cases"]) for step in steps(one)) > 5
    assert one.parts[-2:] == several.parts[-2:] == ("m", "seed0")


def test_several_llms_take_turns_and_share_their_bank(tmp_path: Path) -> None:
    lfd_stream(tmp_path, 24)
    with serving() as first, serving() as second:
        second.models = {"data": [{"id": name} for name in ("n", "o")]}
        llms = f"m, n port={second.port} temperature=0.7, o port={second.port}"
        words = argv(None, tmp_path / "out", "--agent", "mam-stream-icl", "--llms", llms, "--port", first.port)
        assert main.main([*words, "--limit", "12"]) == 0
        assert main.main([*words, "--limit", "12"]) == 0
        assert main.main(words) == 0
    asked = [(chat["model"], chat["temperature"]) for chat in (*first.chats, *second.chats)]
    assert sorted(asked) == [("m", 0.1)] * 8 + [("n", 0.7)] * 8 + [("o", 0.1)] * 8, "the first 12 steps are asked once"
    for folder in run_folders(tmp_path / "out"):
        log = steps(folder)
        assert [step["llm"] for step in log] == ["m", "n temperature=0.7", "o"] * (len(log) // 3)
        shown = {(step["llm"], log[case["id"] - 1]["llm"]) for step in log for case in step["cases"]}
        assert len(log) < 24 or len(shown) == 9, "each sees what all have left"
        assert folder.parts[-2] == "m_n temperature=0.7_o"


@pytest.mark.parametrize("words, complaint", [
    ("", "needs --llms NAME,NAME,..., the LLMs that answer"),
    ("--llms a,,b", "write NAME,NAME,..., each with its own options after a blank"),
    ("--llms 'a speed=3'", "--llms a speed=3: write OPTION=VALUE with one of serving_mode, model_path"),
    ("--llms 'a port=http'", "'http' is no value of --port"),
    ("--llms 'a port=0'", "--port must be at least 1, not 0"),
    ("--llms 'a serving_mode=vlm'", "unknown --serving_mode 'vlm'. Did you mean 'vllm'?"),
    ("--llms 'a,b' --llm c", "drop --llm c"),
    ("--llms 'a,b' --serving_mode embedded", "--serving_mode embedded is not an LLM: drop --llm a"),
])  # fmt: skip
def test_mistakes_in_llms(words: str, complaint: str) -> None:
    with pytest.raises(UsageError) as error:
        config_of(["--agent", "mam-stream-icl", *shlex.split(words)])
    assert complaint in str(error.value)


def test_where_llms_are_does_not_make_another_run() -> None:
    def config(llms: str, **more: Any) -> Config:
        return Config(env="lfd", agent="mam-stream-icl", llms=llms, **more)

    plain = config("a,b,c")
    assert dataclasses.replace(plain, seed=3).members == [dataclasses.replace(m, seed=3) for m in plain.members]
    assert config(" a port=1,b  server=h, c timeout=3").identity() == plain.identity()
    assert config("a temperature=1,b,c").identity() != plain.identity()
    assert config("a,b,c", temperature=1.0).identity() != plain.identity()
    assert config("a,b,c", temperature=1.0).run_name().endswith("/a_b_c,temperature=1.0/seed0")
    openai = config("a,b serving_mode=openai").members
    assert [(member.serving_mode, member.temperature, member.top_p) for member in openai] == [
        ("vllm", 0.1, 0.8), ("openai", 0.05, 0.8)
    ]  # fmt: skip
    readers = config("embedded-reader,embedded-reader")
    assert {member.llm for member in readers.members} == {"embedded-reader"} and readers.serving_mode == "embedded"
    assert Config(env="lfd", agent="cbr", llms="a").without_effect(["llms"]) == [
        "--llms has no effect with --agent cbr"
    ]
