"""SIGKILL at random moments: no step differs, and no call that was answered is repeated.

All the memory methods are killed, policies that train at once and beside the answers, and agents with several steps on
their way.

A run is a process of its own, forked, so that it begins at once, and killed some milliseconds before or after a reply
of the server: within a question, between an answer and what is learned from it, while a step is logged. `KILLS=50` in
the environment makes it fifty kills, over all methods, instead of the first few.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import main
from agents.lessons import FORM, JUDGE
from agents.refining import CRITIQUE, REWRITE
from agents.remem import CHOICE
from env.labels import load_labels
from helpers import own_task
from helpers.fake_server import FakeServer, choose_option, serving
from helpers.houses import House, in_house
from helpers.planted_llms import Loaded
from helpers.runs import argv, lfd_stream, run_folder, steps
from helpers.tiny_models import save_bert_of_letters
from memory import encoders
from memory.encoders import TextEncoder

KILLS = int(os.environ.get("KILLS", "4"))
SIZE = 8
SEVERAL = ("--llms", "m,n,o")
TRAINS = ("cbr", "--batch_size", "2")
OVERLAP = (*TRAINS, "--refresh", "overlap")
METHODS: list[tuple[str, ...]] = [
    OVERLAP,
    (*TRAINS, "--concurrency", "3"),
    ("traj-bootstrap-turns",),
    ("zero-shot", "--concurrency", "4"),
    (*OVERLAP, "--bandit", "NeuralLinUCB"),
    (*OVERLAP, "--concurrency", "3"),
    (*OVERLAP, "--history_limit", "3", "--comk", "2"),
    TRAINS,
    ("icrl", "--concurrency", "3"),
    ("self-refine", "--concurrency", "3"),
    ("cbr", "--bandit", "LinLogUCB", "--concurrency", "2"),
    ("cbr", "--bandit", "EvidenceLogUCB"),
    ("reasoning-bank", "--judge", "self"),
    ("mam-cbr", *SEVERAL, "--bandit", "LinLogUCB"),
    ("remem",),
    ("self-refine",),
    ("reasoning-bank-cases",),
    ("mam-stream-icl", *SEVERAL, "--who", "thompson"),
    ("memento-q",),
    ("mam-stream-icl", *SEVERAL, "--who", "dynamic_thompson"),
    ("mem-prompt",),
    ("traj-bootstrap-utility",),
    ("exp-rag", "--control", "random"),
    ("grow-prompt",),
    ("mam-stream-icl", *SEVERAL),
    ("few-shot", "--comk", "3"),
    ("memento-np", "--keep", "everything"),
    ("exp-recent",),
    ("self-stream-icl",),
    ("cot",),
    ("traj-bootstrap",),
]


def reply(chat: dict[str, Any]) -> str:
    """What stands for the LLM says: the same to the same conversation."""
    messages = chat["messages"]
    prompt = messages[-1]["content"]
    if "Find the cup" in messages[0]["content"]:
        return in_house(messages)
    if prompt.endswith(JUDGE):
        return "right" if len(prompt) % 3 else "wrong"
    if prompt.endswith(FORM):
        return f"TITLE: line {len(prompt)}\nDO: read it"
    if prompt == CRITIQUE:
        return "VERDICT: change"
    if prompt.endswith(CHOICE):
        return "THINK: hm"
    if prompt == REWRITE:
        return "\\boxed{CPU}"
    line = int(re.findall(r"Line (\d+)", messages[0]["content"])[-1])  # the task stands last
    labels = load_labels("lfd")
    return f"\\boxed{{{labels[line * 7 % len(labels)]}}}" if line % 2 else choose_option(messages[0]["content"])


class Victim:
    """main.py in a process of its own, which may be killed."""

    def __init__(self, words: list[str]) -> None:
        with encoders._RANDOM:  # else a child would wait for it for ever, where its parent is still at training
            self.pid = os.fork()
        if self.pid == 0:
            torch.set_num_threads(1)  # the threads that its parent shares products with are not there
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1), os.dup2(null, 2)
            os._exit(main.main(words))

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    def end(self) -> bool:
        """Wait for it; whether it was killed."""
        late = threading.Timer(200, self.kill)
        late.start()
        _, status = os.waitpid(self.pid, 0)
        assert late.is_alive(), "it has hung"
        late.cancel()
        return os.WIFSIGNALED(status)


def answering(server: FakeServer, before: Callable[[int], None]) -> None:
    """Let `server` answer after some milliseconds; `before` is told of each call's number, from 1, when it comes."""

    def answer(prompt: str) -> str:
        chat = next(chat for chat in reversed(server.chats) if chat["messages"][-1]["content"] == prompt)
        before(len(server.chats))
        time.sleep(0.004)
        return reply(chat)

    server.answer = answer


def requests(server: FakeServer) -> Counter[str]:
    return Counter(str((chat["model"], chat["messages"])) for chat in server.chats)


def on_disk(folder: Path) -> int:
    """How many replies a killed run has kept: those of its steps, and of the steps that were on their way."""
    if not folder.exists():
        return 0
    logged = steps(folder) if (folder / "steps.jsonl").exists() else []
    journal = folder / "unfinished.jsonl"
    kept = journal.read_bytes().split(b"\n")[:-1] if journal.exists() else []
    return sum(step["calls"] for step in logged) + sum(json.loads(line)["step"] > len(logged) for line in kept)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """Gives a small encoder that can be trained."""
    loaded: Any = Loaded()
    loaded.encoder = TextEncoder(save_bert_of_letters(tmp_path_factory.mktemp("tiny-bert")), torch.device("cpu"))
    return loaded


@pytest.mark.skipif(not hasattr(os, "fork"), reason="it forks")
@pytest.mark.parametrize("number", range(KILLS))
def test_no_step_differs_and_no_answered_call_is_repeated(
    number: int, small: Loaded, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, rng = METHODS[number % len(METHODS)], random.Random(number)
    lfd_stream(tmp_path, 2 * SIZE if method[0] == "cbr" else SIZE)  # several training steps
    at_once = int(method[method.index("--concurrency") + 1]) if "--concurrency" in method else 1
    if method[0] == "traj-bootstrap-turns":
        own_task.use(monkeypatch, House)
    monkeypatch.setattr(main, "make_load_encoder", lambda config: small if method[0] == "cbr" else Loaded())
    more = ["--agent", *method, "--checkpoint_seconds", rng.choice(("0", "600"))]
    if method[0] == "few-shot":
        (tmp_path / "train").mkdir()
        more += ["--examples", str(lfd_stream(tmp_path / "train", SIZE + 9))]
    with serving() as server:
        server.models = {"data": [{"id": name} for name in "mno"]}

        def command(name: str) -> list[str]:
            words = argv(server, tmp_path / name, *more)
            if method[0] == "traj-bootstrap-turns":  # its rows are its own
                at = words.index("--data")
                del words[at : at + 2]
            if "--llms" in method:
                at = words.index("--llm")
                del words[at : at + 2]
            return words

        answering(server, lambda call: None)
        assert main.main(command("whole")) == 0
        whole, asked = steps(run_folder(tmp_path / "whole")), requests(server)
        calls = asked.total()
        server.chats.clear()
        server.answered = 0

        target, delay = rng.randrange(1, calls + 1), rng.random() * 0.02
        killer, lit = threading.Timer(delay, lambda: victim.kill()), threading.Lock()

        def light(call: int) -> None:
            if call >= target and lit.acquire(blocking=False):
                killer.start()

        answering(server, light)
        victim = Victim(command("killed"))
        killed = victim.end()
        killer.cancel()
        time.sleep(0.02)  # for the server to end what it was about to answer
        answered, folders = server.answered, list((tmp_path / "killed").rglob("seed0"))
        kept = on_disk(folders[0]) if folders else 0
        answering(server, lambda call: None)
        before = requests(server)
        assert main.main(command("killed")) == 0
        repeated = requests(server) - asked
    finished = steps(run_folder(tmp_path / "killed"))
    on_its_way = before.total() - kept
    when = f"call {target} of {calls} + {1000 * delay:.1f} ms"
    print(f"{' '.join(method)}: killed {killed} at {when}, {kept} replies kept, {answered - kept} lost on the way")
    assert finished == whole
    assert sum(step["calls"] for step in finished) == calls
    assert 0 <= on_its_way <= at_once, "at most those that were being asked"
    assert not method[0] == "cbr" or any(step["cases"] for step in whole)
    assert not method[:3] == TRAINS or any("train/loss" in step["metrics"] for step in whole)
    assert repeated.total() == on_its_way
    assert sum(step["usage"]["prompt_tokens"] for step in finished) == 11 * calls, "and none is charged twice"
