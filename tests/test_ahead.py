"""While a step is answered, what retrieving for the next one needs is encoded: nothing else changes."""

from __future__ import annotations

import threading
from concurrent.futures import wait
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch

import main
from agent import Agent, make_agent
from clients.scripted import ScriptedClient
from config import Config
from env import Env, make_env
from helpers.runs import lfd_stream, steps
from helpers.tiny_models import save_bert_of_letters
from llm import LLM
from memory.encoders import TextEncoder
from memory.pair_encoders import BiEncoder
from memory.sentences import Sentences
from runs.folder import RunLog
from runs.track import Tracker
from step import Step

SIZE = 25  # the last step trains nothing
TRAINED = ("NeuralLinLogUCB", {"batch_size": 4})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_bert_of_letters(tmp_path_factory.mktemp("tiny-bert"))


def play(model: str, folder: Path, bandit: str, **more: Any) -> list[dict[str, Any]]:
    """Every third answer is wrong; recall and ranking are by the same little encoder."""
    folder.mkdir(exist_ok=True)
    config = Config(env="lfd", data=str(lfd_stream(folder, SIZE)), bandit=bandit, recall_size=5, llm="m", **more)
    env = make_env("lfd", config.data)
    encoder = TextEncoder(model, torch.device("cpu"))
    log = RunLog(folder / "run", config.identity(), False, 600)
    agent = make_agent(config, env, LLM(ScriptedClient(right_twice_in_three(env))), lambda: encoder)
    policy: Any = agent.retrieval.policy  # type: ignore[attr-defined]
    policy.encoder = BiEncoder(encoder, 1e-3, 0.01, 0)
    main.run(env, agent, log, Tracker(config))
    log.close()
    return steps(folder / "run")


def right_twice_in_three(env: Env) -> Any:
    truth = {row["task"]: (row["label"], number % 3 > 0) for number, row in enumerate(env.dataset)}

    def answer(prompt: str) -> str:
        label, known = truth[max(truth, key=lambda task: prompt.rfind(task))]
        return f"\\boxed{{{label if known else 'none'}}}"

    return answer


def watch(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """The tasks that go through an encoder, each batch with the name of its thread."""
    seen: list[tuple[str, list[str]]] = []
    real = Sentences.encode

    def encode(self: Sentences, texts: list[str]) -> Any:
        thread = threading.current_thread().name.partition("_")[0]
        if thread != "training":  # an earlier run's may still be at it
            seen.append((thread, [text for text in texts if text.startswith("Line")]))
        return real(self, texts)

    monkeypatch.setattr(Sentences, "encode", encode)
    return seen


@pytest.mark.parametrize("bandit, more", [
    TRAINED, ("NeuralLinLogUCB", {"batch_size": 4, "refresh": "overlap"}), ("LinLogUCB", {}), ("Random", {}),
])  # fmt: skip
def test_the_same_run_as_without(
    bandit: str, more: dict[str, Any], model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = play(model, tmp_path / "ahead", bandit, **more)
    monkeypatch.setattr(Agent, "ahead", lambda agent, step: nullcontext())
    without = play(model, tmp_path / "without", bandit, **more)
    assert len(ahead) == SIZE
    for one, other in zip(ahead, without, strict=True):
        scores = [[case.pop("score") or 0.0 for case in step["cases"]] for step in (one, other)]
        assert scores[0] == pytest.approx(scores[1], rel=1e-4)
        assert one.pop("metrics") == pytest.approx(other.pop("metrics"), rel=1e-3, abs=1e-6)
        assert one == other


def test_with_overlap_nothing_is_encoded_between_two_answers(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = watch(monkeypatch)
    played = play(model, tmp_path, "NeuralLinLogUCB", batch_size=4, refresh="overlap")
    assert sum("train/loss" in step["metrics"] for step in played) >= 3
    first = next(step["step"] for step in played if step["cases"])
    between = {text for thread, texts in seen if thread == "MainThread" for text in texts}
    assert between <= {step["task"] for step in played[:first]}, "until there is a case to show"
    in_time = {text for thread, texts in seen if thread == "ahead" for text in texts}
    assert in_time >= {step["task"] for step in played[first + 1 :]}


def test_at_a_training_step_only_what_stays_is_prepared(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = watch(monkeypatch)
    played = play(model, tmp_path, *TRAINED[:1], **TRAINED[1])
    trained = [step["step"] for step in played if "train/loss" in step["metrics"]]
    assert len(trained) >= 3
    for number in trained[:-1]:
        task = played[number]["task"]  # the step after, whose query was embedded for recall before the weights changed
        assert [thread for thread, texts in seen if task in texts][:2] == ["ahead", "MainThread"]


def test_what_preparing_raises_is_raised_by_retrieving(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bandit import LinLogUCB

    def broken(self: LinLogUCB, *more: Any) -> None:
        raise RuntimeError("broken")

    monkeypatch.setattr(LinLogUCB, "prepare", broken)
    assert len(play(model, tmp_path / "prepare", "LinLogUCB")) == SIZE
    monkeypatch.setattr(LinLogUCB, "score", broken)
    with pytest.raises(RuntimeError, match="broken"):
        play(model, tmp_path / "score", "LinLogUCB")


def test_a_checkpoint_waits_for_what_is_being_prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = Config(env="lfd", data=str(lfd_stream(tmp_path, SIZE)), agent="icrl", llm="m")
    agent = make_agent(config, make_env("lfd", config.data), LLM(ScriptedClient(str)), lambda: None)
    released, order = threading.Event(), []

    def prepare(*more: object) -> None:
        released.wait(60)
        order.append("prepared")

    def interrupted(futures: Any) -> None:
        monkeypatch.setattr("agent.wait", wait)
        raise KeyboardInterrupt

    monkeypatch.setattr(agent.retrieval, "prepare", prepare)
    monkeypatch.setattr(agent.retrieval, "save", lambda checkpoint: order.append("saved"))
    monkeypatch.setattr("agent.wait", interrupted)
    with pytest.raises(KeyboardInterrupt), agent.ahead(Step(1, "a task")):
        pass
    threading.Timer(0.05, released.set).start()
    agent.save(Any)
    assert order == ["prepared", "saved"]
