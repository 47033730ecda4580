"""kill -9 of the endpoint under load: nothing that was acknowledged is lost, and what was learned is what a process
that was never killed would have learned of the same feedback.

ENDPOINT_KILLS sets how often; the suite is content with a few.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx2
import pytest
from conftest import ROOT

from helpers.endpoint import StandIn, endpoint, stand_in
from memory.encoders import TextEncoder
from serve.ledger import LEDGER, Ledger

KILLS = int(os.environ.get("ENDPOINT_KILLS", "1"))
CLIENTS = 4
OPTIONS = {"bandit": "NeuralLinLogUCB", "batch_size": 16, "checkpoint_seconds": 0.5}


class Clients:
    """Threads that ask, some of them as streams, and feed back, and note what was acknowledged."""

    def __init__(self) -> None:
        self.address = ""
        self.ids: set[str] = set()
        self.fed: dict[str, int] = {}
        self._stop = threading.Event()

    def run(self, seed: int) -> None:
        chance, number = random.Random(seed), 0
        with httpx2.Client(timeout=20) as client:
            while not self._stop.is_set():
                number += 1
                try:
                    self.one(client, f"client {seed} asks about card {number}", chance)
                except (httpx2.HTTPError, ValueError, KeyError):
                    self._stop.wait(0.1)  # it is being started again, which needs the processor

    def one(self, client: httpx2.Client, query: str, chance: random.Random) -> None:
        body: dict[str, Any] = {"messages": [{"role": "user", "content": query}], "stream": chance.random() < 0.3}
        answer = client.post(f"{self.address}/v1/chat/completions", json=body)
        if body["stream"]:
            if "[DONE]" not in answer.text:
                return
            id = answer.text.partition('"id": "')[2].partition('"')[0]
        else:
            id = answer.json()["id"]
        self.ids.add(id)
        if chance.random() < 0.8:
            reward = int(chance.random() < 0.6)
            said = client.post(f"{self.address}/v1/feedback", json={"id": id, "reward": reward})
            if said.status_code == 200:
                self.fed[id] = reward

    def stop(self) -> None:
        self._stop.set()


@contextlib.contextmanager
def process(output: Path, upstream: StandIn) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The endpoint as a process of its own, and its address."""
    options = {**OPTIONS, "env": "banking77", "serving_mode": "vllm", "server": upstream.address, "llm": "model"}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    command = [sys.executable, str(ROOT / "scripts" / "serve.py"), *words, "--port", "0", "--output_dir", str(output)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        address = child.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:"), "the endpoint has not started"
        yield child, address
    finally:
        child.kill()
        child.wait()


@pytest.mark.timeout(120 + 60 * KILLS)
def test_kills_lose_nothing_that_was_acknowledged(tmp_path: Path, text_encoder: TextEncoder) -> None:
    chance, clients = random.Random(0), Clients()
    with stand_in(answer=lambda text: "\\boxed{card linking}") as upstream:
        with ThreadPoolExecutor(CLIENTS) as pool:
            for i in range(KILLS):
                with process(tmp_path / "killed", upstream) as (child, clients.address):
                    if i == 0:
                        for seed in range(CLIENTS):
                            pool.submit(clients.run, seed)
                    before = len(clients.fed)
                    while len(clients.fed) < before + 20:
                        time.sleep(0.02)
                    time.sleep(chance.random())
                    child.kill()
            clients.stop()
        check(tmp_path, clients, text_encoder, upstream)


def check(folder: Path, clients: Clients, encoder: TextEncoder, upstream: StandIn) -> None:
    (path,) = (folder / "killed").rglob(LEDGER)
    copy = folder / "whole" / path.relative_to(folder / "killed")
    copy.parent.mkdir(parents=True)
    ledger = Ledger(path)
    kept = {event.request: event.reward for event in ledger.events()}
    assert all(ledger.get(id) is not None for id in clients.ids)
    assert {id: kept.get(id) for id in clients.fed} == clients.fed
    numbers = [event.number for event in ledger.events()]
    assert numbers == list(range(1, len(numbers) + 1))
    ledger.close()
    shutil.copy(path, copy)  # and neither log nor checkpoint: all of it is learned from the beginning
    states = []
    for output in (folder / "killed", folder / "whole"):
        with endpoint(output, encoder, upstream, **OPTIONS) as running:
            retrieval = running.service.learner.agent.retrieval
            scores = retrieval.policy.score("which card?", retrieval.bank.cases[:20])  # type: ignore[attr-defined]
            states.append((retrieval.bank.cases, scores.exploit.tolist(), scores.explore.tolist()))
    assert states[0] == states[1]
    assert len(states[0][0]) > 5, "there was something to learn"
    assert asdict(running.service.learner.bank[0]) == asdict(states[0][0][0])
