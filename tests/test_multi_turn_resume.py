"""The multi-turn tasks, broken off within a step by an outage and by SIGKILL and continued, against a run that was not.

The server that stands for the LLM knows the solutions, so that cbr retains cases, ranks them and shows them.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

import main
from agents.turns import PLAN, THINK, WINDOWS
from env import make_env
from env.tools.search.client import OwnService
from helpers.fake_server import FakeServer, serving
from helpers.runs import run_folder, steps

ENVS = ("alfworld", "alfworld-react", "scienceworld", "scienceworld-react", "ehr", "2wiki")
# cbr begins as zero-shot does, without a case: zero-shot itself is tried where a step costs little
RUNS = [*((task, "cbr") for task in ENVS), ("ehr", "zero-shot"), ("2wiki", "zero-shot")]
RUNS += [("ehr", "exp-rag"), ("2wiki", "mem-prompt"), ("alfworld", "traj-bootstrap-turns")]
PACKAGES = {"alfworld": "textworld", "scienceworld": "scienceworld", "2wiki": "mcp"}
STEPS = 3


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    service = OwnService(ROOT / "data" / "2wiki" / "sample" / "corpus.jsonl", "bm25")
    yield service.url
    service.close()


@functools.cache
def solutions(task: str) -> dict[str, list[Any]]:
    """For the first rows of a task's sample, by their text: the replies that lead to a reward, one a turn."""
    env = make_env(task, "sample", limit=STEPS)
    try:
        found = {}
        for env.index in range(STEPS):
            found[env.observe()] = replies(task, env.get_ground_truth(), env.observe())
        return found
    finally:
        env.close()


def replies(task: str, truth: str, question: str) -> list[Any]:
    if task == "ehr":
        return ["```python\nanswer = missing\n```", f"```python\n{truth}\n```"]
    if task == "2wiki":
        function = {"name": "retrieve", "arguments": json.dumps({"query": question})}
        return [[{"id": "1", "type": "function", "function": function}], f"\\boxed{{{truth}}}"]
    actions = truth.splitlines()
    if task == "alfworld-react":
        return ["> think: What is there?", *actions]
    return [f"[Think] next\n{action}" for action in actions] if task == "scienceworld-react" else actions


def solve(server: FakeServer, task: str) -> Any:
    """The solution's next reply in the latest conversation; its task is the last that the prompt itself holds."""
    messages = server.chats[-1]["messages"]
    if messages[-1]["content"].endswith((PLAN, THINK)):
        return "as it was done before"
    asked = max(solutions(task), key=messages[0]["content"].partition(WINDOWS)[0].rfind)
    return solutions(task)[asked][turn_of(server.chats[-1])]


def turn_of(chat: dict[str, Any]) -> int:
    return sum(message["role"] == "assistant" for message in chat["messages"])


@pytest.mark.parametrize("task, agent", RUNS)
def test_a_broken_run_goes_on_as_one_that_was_not(
    task: str, agent: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    package = PACKAGES.get(task.removesuffix("-react"))
    if package and importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is missing: pip install -r requirements-envs.txt")
    if task.startswith("scienceworld") and shutil.which("java") is None:
        pytest.skip("the simulator needs Java")
    arguments = ["--env", task, "--agent", agent, "--data", "sample", "--limit", STEPS, "--checkpoint_seconds", 0]
    arguments += ["--retrieval_url", request.getfixturevalue("url")] if task == "2wiki" else []
    with serving() as server:
        server.answer = lambda prompt: solve(server, task)
        arguments += ["--llm", "m", "--port", server.port, "--max_retries", 0]

        def command(name: str) -> list[str]:
            return [str(word) for word in (*arguments, "--output_dir", tmp_path / name)]

        assert main.main(command("whole")) == 0
        whole = steps(run_folder(tmp_path / "whole"))
        asked = server.chats[:]
        turns = [-1, *map(turn_of, asked)]
        starts = [number for number in range(len(asked)) if turns[number + 1] == 0 != turns[number]]
        assert [step["reward"] for step in whole] == [1] * STEPS and len(starts) == STEPS
        assert all(step["turns"] for step in whole)
        shown = [[case["id"] for case in step["cases"]] for step in whole]
        expected = {"zero-shot": ([],), "cbr": ([1], [2])}.get(agent, ([1, 2],))
        assert sorted(shown[2]) in expected and shown[1] == ([] if agent == "zero-shot" else [1]) and not shown[0]

        server.chats.clear()
        server.fault = lambda number: (400, "down") if number == starts[1] + 1 else None
        assert main.main(command("broken")) == 1
        assert len(steps(run_folder(tmp_path / "broken"))) == 1

        server.chats.clear()
        process = subprocess.Popen([sys.executable, ROOT / "main.py", *command("broken")], stderr=subprocess.DEVNULL)

        def kill(number: int) -> str | None:
            if number < starts[2] - starts[1]:
                return None
            process.send_signal(signal.SIGKILL)
            return "reset"

        server.fault = kill
        assert process.wait(timeout=250) == -signal.SIGKILL
        folder = run_folder(tmp_path / "broken")
        assert len(steps(folder)) == 2 and not (folder / "summary.json").exists()

        server.chats.clear()
        server.fault = lambda number: None
        assert main.main(command("broken")) == 0
        assert server.chats == asked[starts[2] + 1 :], "what was answered is not asked again"
    assert steps(folder) == whole
