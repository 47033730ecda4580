"""A run killed at any point and continued is the run that was never killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from conftest import ROOT, run_cli

import main
from agent import make_agent
from agents.lessons import AVOID, REPEAT
from agents.refining import CRITIQUE, REWRITE
from clients.scripted import ScriptedClient
from config import Config
from env import make_env
from helpers.fake_server import choose_option, serving
from helpers.runs import argv, lfd_stream, run_folder, steps
from helpers.tiny_models import save_bert_of_letters
from llm import LLM, Roster
from memory import encoders
from registry import AGENTS, CHOOSERS, POLICIES, RETRIEVALS
from runs.checkpoint import Checkpoint
from runs.folder import RunLog
from runs.reader import find_folders
from runs.track import Tracker
from step import Step

SIZE = 18
ELSEWHERE = {  # killed there
    "reinforce",  # test_reinforce.py: it needs a local model
    "traj-bootstrap-turns",  # test_turns.py and test_multi_turn_resume.py: it needs a dialogue
}
STRATEGIES = ("random", "ucb", "explore", "exploit", "failing", "ucb_failing")
# One life after another: (where it ends, in which step).
DEATHS = (
    ("asking", 3),
    ("half a line", 4),
    ("saving", 5),
    ("after append", 7),
    ("after renames", 8),
    ("between renames", 9),
    ("before append", 11),
    ("after renames", 12),
    ("saving", 13),
    ("half a line", 16),
)
CHECKPOINTS = (5, 8, 9, 12, 13)  # the other steps after them are replayed


class Killed(BaseException):
    """Stands for SIGKILL: nothing in the project catches it."""


class MortalLog(RunLog):
    """A run log whose process dies at `death`."""

    def __init__(self, folder: Path, identity: dict[str, Any], death: tuple[str, int] | None) -> None:
        super().__init__(folder, identity, overwrite=False, checkpoint_seconds=0)
        self._death = death

    def append(self, step: Step) -> dict[str, Any] | None:
        if step.replayed:
            return super().append(step)
        self._die("before append", step.number)
        if self._death == ("half a line", step.number):
            self._write_config()
            line = json.dumps(step.to_record(None, 0)).encode()
            with (self.folder / "steps.jsonl").open("ab") as file:
                file.write(line[: len(line) // 2])
            raise Killed
        record = super().append(step)
        self._die("after append", step.number)
        return record

    def checkpoint(self, step: int, save: Any) -> None:
        if step not in CHECKPOINTS:
            return

        def save_and_die(checkpoint: Checkpoint) -> None:
            save(checkpoint)
            max(checkpoint.folder.iterdir(), key=lambda path: path.stat().st_size).write_bytes(b"half")
            raise Killed

        renames = []

        def rename(path: Path, target: Path) -> None:
            if renames:
                self._die("between renames", step)
            os.rename(path, target)
            renames.append(target)
            if target.name == "checkpoint":
                self._die("after renames", step)

        with mock.patch.object(Path, "rename", rename):
            super().checkpoint(step, save_and_die if self._death == ("saving", step) else save)

    def _die(self, where: str, step: int) -> None:
        if self._death == (where, step):
            raise Killed


def live(config: Config, folder: Path, model: Path, death: tuple[str, int] | None = None) -> int:
    """Run `config` as a process with nothing in memory would, until its death; returns how often the LLM answered."""
    asked = 0

    def answer(prompt: str) -> str:
        nonlocal asked
        if death == ("asking", env.index + 1):
            raise Killed
        asked += 1
        if prompt.endswith((REPEAT, AVOID)):
            return "" if env.index % 5 == 4 else f"TITLE: step {env.index}\nWHEN: always\nDO: look again"
        if prompt == CRITIQUE:
            return f"VERDICT: {'keep' if env.index % 3 else 'change'}"
        if prompt == REWRITE:
            return env.format_answer(env.get_ground_truth())
        right = sum(prompt.encode()) % 2 == 0
        return env.format_answer(env.get_ground_truth()) if right else choose_option(prompt)

    env = make_env(config.env, config.data, config.seed if config.shuffle else None, config.limit)
    llm = LLM(ScriptedClient(answer))
    if config.members:
        llm = Roster([LLM(ScriptedClient(answer), name=name) for name in str(config.llm).split(",")])
    log = MortalLog(folder, config.identity(), death)
    try:
        agent = make_agent(config, env, llm, lambda: encoders.TextEncoder(str(model), torch.device("cpu")))
        log.begin({}, {})
        main.run(env, agent, log, Tracker(config))
        log.finish({"bank_size": len(agent.retrieval.bank)})
    except Killed:
        pass
    finally:
        log.close()
    return asked


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(save_bert_of_letters(tmp_path_factory.mktemp("tiny-bert")))


def combinations() -> list[dict[str, Any]]:
    """Every agent, those that rank with every policy or their own, all strategies, a control, options with a state."""
    made: list[dict[str, Any]] = [
        {"agent": "cbr", "bandit": "Pretrained", "control": "random"},
        {"agent": "cbr", "bandit": "EvidenceLogUCB", "null_arm": "off"},
        {"agent": "cbr", "bandit": "EvidenceLogUCB", "null_arm": "explore", "half_life": 5.0},
        {"agent": "cbr", "bandit": "NeuralLinLogUCB", "centre": "nearest", "bonus": "posterior"},
    ]
    for agent, row in AGENTS.items():
        if agent in ELSEWHERE:
            continue
        own, ranks = row.defaults.get("bandit"), "bandit" in RETRIEVALS[row.retrieve].options
        for bandit in POLICIES if ranks and own is None else (own or "Random",):
            for strategy in STRATEGIES if agent == "cbrdiscover" and bandit == "LinLogUCB" else STRATEGIES[:1]:
                made.append({"agent": agent, "bandit": bandit, "discover_strategy": strategy})
        for who in sorted(CHOOSERS.keys() - {row.who, "policy"}) if row.who == "round_robin" else ():
            made.append({"agent": agent, "bandit": "Random", "who": who})
    return made


@pytest.mark.parametrize("choice", combinations(), ids=lambda choice: "-".join(map(str, choice.values())))
def test_killed_and_continued_is_the_same_run(choice: dict[str, Any], tmp_path: Path, tiny_model: Path) -> None:
    data, more = str(lfd_stream(tmp_path, SIZE)), {}
    if AGENTS[choice["agent"]].retrieve == "fixed":
        (tmp_path / "train").mkdir()
        more["examples"] = str(lfd_stream(tmp_path / "train", SIZE + 20))
    if AGENTS[choice["agent"]].who != "one":
        more["llms"] = "a,b,c"
    config = Config(env="lfd", data=data, **more, batch_size=4, skip_steps=4, queue_size=4, budget_ratio=0.3, **choice)
    unharmed, killed = tmp_path / "unharmed", tmp_path / "killed"
    asked = live(config, unharmed, tiny_model)

    asked_in_all = 0
    for death in (*(death for death in DEATHS if asked or death[0] != "asking"), None):
        assert not (killed / "summary.json").exists()
        asked_in_all += live(config, killed, tiny_model, death)

    assert len(steps(unharmed)) == SIZE
    assert steps(killed) == steps(unharmed)
    lost = sum(
        steps(unharmed)[step - 1]["calls"] for where, step in DEATHS if where in ("half a line", "before append")
    )
    assert asked_in_all == (asked + lost if asked else 0)  # no logged step is asked again
    left = sorted(path.name for path in killed.iterdir() if path.name != ".lock")
    assert left == ["config.yaml", "steps.jsonl", "summary.json"]
    rewards = [step["reward"] for step in steps(unharmed)]
    if choice["agent"] == "ground-truth":
        assert rewards == [1] * SIZE
    elif choice["agent"] == "cbrdiscover":
        assert steps(unharmed)[-1]["metrics"]["NumDiscovery"] > 0
    else:
        assert 0 < sum(rewards) < SIZE
    if config.members:
        assert {step["llm"] for step in steps(unharmed)} == {"a", "b", "c"}
    if choice["bandit"].startswith("Neural"):
        assert any("train/loss" in step["metrics"] for step in steps(unharmed)[:12])


def test_every_agent_and_policy_is_among_the_combinations() -> None:
    assert {choice["agent"] for choice in combinations()} | ELSEWHERE == set(AGENTS)
    assert {choice["bandit"] for choice in combinations()} == set(POLICIES)


def kill_after(lines: int, arguments: list[str], signal_number: int, delay: float = 0.0) -> subprocess.CompletedProcess:
    """Start main.py, signal it `delay` seconds after steps.jsonl has `lines` lines, and wait for its end."""
    output = Path(arguments[arguments.index("--output_dir") + 1])
    command = [sys.executable, str(ROOT / "main.py"), *arguments]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=heed_interrupts
    )
    while process.poll() is None:
        logs = [folder / "steps.jsonl" for folder in find_folders(output)] if output.exists() else []
        if logs and logs[0].exists() and logs[0].read_bytes().count(b"\n") >= lines:
            time.sleep(delay)
            process.send_signal(signal_number)
            break
        time.sleep(0.01)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def heed_interrupts() -> None:
    """Undo what a test run in the background passes on: a shell lets its background jobs ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def slowly(prompt: str) -> str:
    """An answer that leaves the time to kill what asked before it is done, also on a busy machine."""
    time.sleep(0.1)
    return choose_option(prompt)


@pytest.mark.parametrize("checkpoint_seconds", [0, 600])
def test_a_process_killed_at_random_moments_continues(checkpoint_seconds: int, tmp_path: Path) -> None:
    lfd_stream(tmp_path, 24)
    rng = random.Random(checkpoint_seconds)
    with serving(slowly) as server:
        more = ("--agent", "icrl", "--comk", 3, "--checkpoint_seconds", checkpoint_seconds)
        assert main.main(argv(server, tmp_path / "unharmed", *more)) == 0
        for lines in (3, 12):
            killed = kill_after(lines, argv(server, tmp_path / "killed", *more), signal.SIGKILL, rng.random() / 5)
            assert killed.returncode == -signal.SIGKILL
        assert (run_folder(tmp_path / "killed") / "checkpoint").exists() == (checkpoint_seconds == 0)
        assert main.main(argv(server, tmp_path / "killed", *more)) == 0
    unharmed, killed_folder = run_folder(tmp_path / "unharmed"), run_folder(tmp_path / "killed")
    assert len(steps(unharmed)) == 24
    assert steps(killed_folder) == steps(unharmed)


def test_a_process_that_trains_its_policy_continues_after_a_kill(tmp_path: Path) -> None:
    lfd_stream(tmp_path, 9)
    more = ("--batch_size", 3, "--learning_rate", 1e-3, "--agent", "cbrgt")
    assert main.main(argv(None, tmp_path / "unharmed", *more)) == 0
    unharmed = steps(run_folder(tmp_path / "unharmed"))
    assert sum("train/loss" in step["metrics"] for step in unharmed[:5]) == 1
    assert "train/loss" in unharmed[6]["metrics"]
    for seconds in (0, 600):
        output = tmp_path / f"killed-{seconds}"
        killed = kill_after(5, argv(None, output, *more, "--checkpoint_seconds", seconds), signal.SIGKILL, 0.02)
        assert killed.returncode == -signal.SIGKILL
        assert 5 <= len(steps(run_folder(output))) < 9
        assert main.main(argv(None, output, *more)) == 0
        assert steps(run_folder(output)) == unharmed


def test_ctrl_c_leaves_a_run_that_continues(tmp_path: Path) -> None:
    lfd_stream(tmp_path, 12)
    with serving(slowly) as server:
        interrupted = kill_after(4, argv(server, tmp_path / "run", "--agent", "icrl-plus"), signal.SIGINT)
        assert interrupted.returncode == 130
        assert "Traceback" not in interrupted.stderr
        assert interrupted.stderr.endswith("interrupted: the same command continues the run\n")
        done = len(steps(run_folder(tmp_path / "run")))
        continued = run_cli(*argv(server, tmp_path / "run", "--agent", "icrl-plus"))
        assert continued.returncode == 0
        assert f"continuing at step {done + 1} of 12" in continued.stderr
        assert main.main(argv(server, tmp_path / "unharmed", "--agent", "icrl-plus")) == 0
    assert steps(run_folder(tmp_path / "run")) == steps(run_folder(tmp_path / "unharmed"))
