"""Where a run's failures are laid: on a planted stream whose every step is known to fail for one reason."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

import main
from agent import make_agent
from clients.scripted import ScriptedClient
from config import Config
from env import describe_data, make_env
from env.labels import load_labels
from errors import UserError
from helpers.planted import DIM, PlantedTexts
from helpers.runs import steps
from llm import LLM
from memory import encoders
from report import cli
from report.diagnosis import losses, outcome_of_steps, reader_of, table
from report.folders import Run, read_run_folder
from runs.folder import RunLog
from runs.track import Tracker

A, B = load_labels("lfd")[:2]
# Each step: its label, where it lies, whether the LLM is right, and what is to be found.
PLAN = [
    (A, 0, True, "success"),
    (B, 1, False, "bank"),  # only A has been retained
    (B, 0, True, "success"),
    (A, 1, True, "success"),
    (B, 5, True, "success"),
    (A, 1, False, "reader"),  # the nearest is right and is shown
    (B, 0, False, "ranking"),  # one A and one B lie there; the older, A, is shown
    (B, 1, False, "recall"),  # the two nearest are A's
]


def plant(tmp_path: Path) -> tuple[Config, PlantedTexts]:
    rows = [{"task": f"line {i}", "label": label} for i, (label, *_) in enumerate(PLAN)]
    path = tmp_path / "stream.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    places = {f"line {i}": np.eye(DIM)[place] for i, (_, place, *_) in enumerate(PLAN)}
    places["line 7"] = np.eye(DIM)[1] + 0.5 * np.eye(DIM)[2]
    places["line 0"] = np.eye(DIM)[0] + 0.4 * np.eye(DIM)[2]  # second nearest to line 7
    places["line 6"] = places["line 0"]
    config = Config(env="lfd", data=str(path), agent="cbr", bandit="EvidenceLogUCB", recall_size=2)
    return config, PlantedTexts(places)


def play(config: Config, texts: PlantedTexts, folder: Path) -> Run:
    env = make_env(config.env, config.data)

    def answer(prompt: str) -> str:
        return env.format_answer(env.get_ground_truth()) if PLAN[env.index][2] else "no idea"

    agent = make_agent(config, env, LLM(ScriptedClient(answer)), lambda: texts)  # type: ignore[arg-type, return-value]
    log = RunLog(folder, config.identity() | {"data_sha256": "x"}, overwrite=False, checkpoint_seconds=600)
    log.begin({"options": asdict(config), "data": describe_data(env)}, {})
    main.run(env, agent, log, Tracker(config))
    log.finish({"bank_size": len(agent.retrieval.bank)})
    log.close()
    run = read_run_folder(folder)
    assert run is not None
    return run


def test_each_failure_is_laid_where_the_chain_broke(tmp_path: Path) -> None:
    config, texts = plant(tmp_path)
    run = play(config, texts, tmp_path / "run")
    assert [step["reward"] for step in steps(tmp_path / "run")] == [int(right) for _, _, right, _ in PLAN]
    assert [outcome and outcome.name for outcome in outcome_of_steps(run, texts)] == [found for *_, found in PLAN]
    found = losses(run, texts)
    assert found.whole == {"success": 0.5, "bank": 0.125, "recall": 0.125, "ranking": 0.125, "reader": 0.125}
    assert found.last_quarter == {"success": 0, "bank": 0, "recall": 0.5, "ranking": 0.5, "reader": 0}
    printed = table([run], lambda options: texts).splitlines()
    assert printed[0] == "| task | method | seeds | success | bank | recall | ranking | reader |"
    assert printed[2].endswith("| 1 | 50.0 (0.0) | 12.5 (0.0) | 12.5 (50.0) | 12.5 (50.0) | 12.5 (0.0) |")


def test_the_best_of_the_recalled_cases_is_found_by_asking_again(tmp_path: Path) -> None:
    config, texts = plant(tmp_path)
    run = play(config, texts, tmp_path / "run")
    env = make_env(config.env, config.data)

    def copies(prompt: str) -> str:
        return prompt.partition("<answer>")[2].partition("</answer>")[0].strip()

    found = losses(run, texts, copies)
    assert found.whole["best of R"] == 0.5 + 2 / 8, "the steps whose loss was in the reader and in the ranking"
    assert found.last_quarter["best of R"] == 0.5
    assert losses(run, texts, lambda prompt: env.format_answer("neither")).whole["best of R"] == 0.5
    assert "best of R" not in losses(run, texts).whole
    assert table([run], lambda options: texts, best=True).splitlines()[0].endswith("| reader | best of R |")
    with pytest.raises(UserError, match="embedded reader alone"):
        reader_of(replace(run, source=replace(run.source, config=run.config | {"options": {"comk": 2}})), texts)


def test_the_command_prints_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config, texts = plant(tmp_path)
    play(config, texts, tmp_path / "results" / "run")
    monkeypatch.setattr(encoders, "TextEncoder", lambda *options: texts)
    for words, columns in (((), 8), (("best",), 9)):
        assert cli.main([str(tmp_path / "results"), "--diagnose", *words]) == 0
        (head, _, row) = capsys.readouterr().out.splitlines()
        assert head.count(" | ") == row.count(" | ") == columns - 1 and "| 50.0 (0.0) | 12.5 (0.0) |" in row


def test_what_has_no_right_case_is_refused_in_a_line(tmp_path: Path) -> None:
    config, texts = plant(tmp_path)
    run = play(config, texts, tmp_path / "run")
    for change, words in (({"env": "spider"}, "are not labels"), ({"agent": "zero-shot"}, "recalls no cases")):
        identity = {name: value for name, value in run.identity.items() if name != "recall_size"} | change
        other = replace(run, source=replace(run.source, config=run.config | {"identity": identity}))
        with pytest.raises(UserError, match=words):
            losses(other, texts)
    with pytest.raises(UserError, match="no finished run"):
        table([], lambda options: texts)
