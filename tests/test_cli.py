"""The command line: quick to start, every option read, every mistake answered with one clear line."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from conftest import ROOT, run_cli

import main
from command_line import config_of, typed_options
from config import DEVICES, TRACKERS, Config
from env import ENV_DICT, make_env
from errors import UsageError, UserError
from helpers.fake_server import serving
from helpers.runs import lfd_stream, run_folder, steps
from options import flag
from registry import AGENTS, CHOOSERS, CLIENTS, POLICIES

HEAVY = ("torch", "transformers", "sentence_transformers", "sklearn", "scipy", "pandas")

# Every option with a value off its default, as it is written and as it is read.
OPTIONS: dict[str, tuple[str, object]] = {
    "env": ("banking77", "banking77"),
    "agent": ("icrl", "icrl"),
    "bandit": ("Random", "Random"),
    "seed": ("-1", -1),
    "shuffle": ("", True),
    "limit": ("12", 12),
    "data": ("sample", "sample"),
    "columns": ("task=text,label=category", "task=text,label=category"),
    "comk": ("4", 4),
    "recall_size": ("8", 8),
    "examples": ("rows.jsonl", "rows.jsonl"),
    "llms": ("a,b port=8001", "a,b port=8001"),
    "who": ("thompson", "thompson"),
    "order": ("random", "random"),
    "feedback": ("incorrect", "incorrect"),
    "keep": ("everything", "everything"),
    "judge": ("self", "self"),
    "control": ("empty", "empty"),
    "null_arm": ("off", "off"),
    "prior_strength": ("2", 2.0),
    "evidence_width": ("0.1", 0.1),
    "half_life": ("100", 100.0),
    "centre": ("mean", "mean"),
    "w_learning_rate": ("0.5", 0.5),
    "bonus": ("posterior", "posterior"),
    "embedding_model_path": ("models/e", "models/e"),
    "reranker_model_path": ("models/r", "models/r"),
    "precision": ("bfloat16", "bfloat16"),
    "lambda": ("1e-3", 1e-3),
    "nu": ("0", 0.0),
    "batch_size": ("16", 16),
    "learning_rate": ("5e-6", 5e-6),
    "weight_decay": ("0", 0.0),
    "history_limit": ("1024", 1024),
    "refresh": ("overlap", "overlap"),
    "kl_coef": ("0.2", 0.2),
    "bank_from": ("bank.sqlite", "bank.sqlite"),
    "policy_from": ("results/a/seed0", "results/a/seed0"),
    "retain": ("off", "off"),
    "bank_limit": ("100", 100),
    "forget": ("least_useful", "least_useful"),
    "discover_strategy": ("explore", "explore"),
    "budget_ratio": ("0.25", 0.25),
    "queue_size": ("64", 64),
    "skip_steps": ("0", 0),
    "llm": ("qwen3-32b", "qwen3-32b"),
    "serving_mode": ("hf", "hf"),
    "server": ("10.0.0.2", "10.0.0.2"),
    "port": ("8001", 8001),
    "model_path": ("models/m", "models/m"),
    "generate_batch": ("4", 4),
    "max_new_tokens": ("512", 512),
    "temperature": ("0", 0.0),
    "top_p": ("1", 1.0),
    "thinking": ("off", "off"),
    "extra_body": ('{"b": 2, "a": null}', '{"a": null, "b": 2}'),
    "system_prompt": ("Be brief.", "Be brief."),
    "timeout": ("30", 30.0),
    "max_retries": ("0", 0),
    "cache": ("answers.sqlite", "answers.sqlite"),
    "log_requests": ("", True),
    "alfworld_path": ("games", "games"),
    "web_search": ("", True),
    "retrieval_method": ("dense", "dense"),
    "retrieval_url": ("http://10.0.0.3:8765", "http://10.0.0.3:8765"),
    "judge_llm": ("gpt-4o", "gpt-4o"),
    "judge_serving_mode": ("openai", "openai"),
    "judge_server": ("10.0.0.4", "10.0.0.4"),
    "judge_port": ("8002", 8002),
    "case_paragraphs": ("", True),
    "ds1000_python": ("python3.10", "python3.10"),
    "concurrency": ("8", 8),
    "stream": ("streambench", "streambench"),
    "allow_unsandboxed": ("", True),
    "prices": ("prices.yaml", "prices.yaml"),
    "max_cost": ("2.5", 2.5),
    "output_dir": ("runs", "runs"),
    "overwrite": ("", True),
    "checkpoint_seconds": ("0", 0.0),
    "final": ("all", "all"),
    "threads": ("2", 2),
    "device": ("cpu", "cpu"),
    "track": ("tensorboard", "tensorboard"),
    "debug": ("", True),
    "on_refused": ("skip", "skip"),
}


def fields() -> dict[str, dataclasses.Field]:
    return {flag(spec): spec for spec in dataclasses.fields(Config)}


def fail(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """(exit code, the line on stderr) of a command that must end with exactly one line."""
    code = main.main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    (line,) = captured.err.splitlines()
    assert captured.out == ""
    return code, line


# -- starting ----------------------------------------------------------------------------------------------------------


def modules_after(*arguments: object) -> set[str]:
    """The top-level modules that a process has imported after main.py's command line."""
    script = (
        "import runpy, sys\n"
        "sys.argv[0] = 'main.py'\n"
        "try:\n    runpy.run_path('main.py', run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "print('\\nMODULES', *{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("MODULES")[2].split())


def test_help_imports_nothing_heavy() -> None:
    imported = modules_after("--help")
    assert "config" in imported
    assert not imported & {*HEAVY, "numpy", "openai", "sqlglot"}


def test_zero_shot_against_a_server_imports_no_torch(tmp_path: Path) -> None:
    data = lfd_stream(tmp_path, 3)
    with serving() as server:
        where = ("--llm", "m", "--port", server.port, "--output_dir", tmp_path / "out")
        imported = modules_after("--env", "lfd", "--agent", "zero-shot", "--data", data, *where)
    assert len(steps(run_folder(tmp_path / "out"))) == 3
    assert "openai" in imported
    assert not imported & set(HEAVY)
    others = {name.partition(":")[0].partition(".")[2] for name in ENV_DICT.values() if isinstance(name, str)}
    assert "lfd" in others and not imported & (others - {"lfd"})


def test_help_names_every_option_and_choice() -> None:
    text = " ".join(run_cli("--help").stdout.split())
    for name, spec in fields().items():
        assert f"--{name}" in text
        for choice in spec.metadata.get("choices", ()):
            assert choice in text
    assert "(default: 2e-05; reinforce: 0.0001)" in text


# -- reading -----------------------------------------------------------------------------------------------------------


def test_every_option_is_read() -> None:
    of_your_own = {"task_settings", "bandit_settings"}  # test_plugins.py
    assert OPTIONS.keys() == fields().keys() - of_your_own
    words = [word for name, (text, _) in OPTIONS.items() for word in (f"--{name}", text) if word]
    config = config_of(words)
    for name, (_, value) in OPTIONS.items():
        spec = fields()[name]
        assert getattr(config, spec.name) == value, name
        assert value != spec.default, name


def test_published_defaults_and_the_alias() -> None:
    config = config_of([])
    published = {
        "seed": 0, "shuffle": False, "limit": None, "env": "ddxplus", "agent": "cbr", "bandit": "NeuralLinLogUCB",
        "comk": 1, "recall_size": 32, "max_new_tokens": 2048, "regularization": 0.1, "exploration": 0.1,
        "batch_size": 32, "learning_rate": 2e-5, "weight_decay": 1e-5, "budget_ratio": 0.1, "queue_size": 32,
        "skip_steps": 16, "serving_mode": "embedded",
    }  # fmt: skip
    assert {name: getattr(config, name) for name in published} == published
    assert config_of(["--lamdba", "0.5"]).regularization == 0.5
    reinforce = config_of(["--agent", "reinforce", "--serving_mode", "hf", "--llm", "m"])
    assert (reinforce.learning_rate, reinforce.kl_coef) == (1e-4, 0.1)
    assert config_of(["--llm", "x"]).serving_mode == "vllm"
    assert config_of(["--llm", "x", "--serving_mode", "openai"]).serving_mode == "openai"


def test_run_name_is_readable_and_fits_a_file_system() -> None:
    assert Config().run_name() == "ddxplus/cbr-NeuralLinLogUCB/embedded-reader/seed0"
    named = Config(llm="org/model", exploration=0.3, shuffle=True, temperature=0.0, seed=2).run_name()
    assert named == "ddxplus,shuffle/cbr-NeuralLinLogUCB,nu=0.3/org_model,temperature=0.0/seed2"
    local = {"agent": "reinforce", "serving_mode": "hf", "llm": "m"}
    assert Config(**local, model_path="org/m").run_name() == "ddxplus/reinforce/m/seed0"
    assert Config(**local, learning_rate=2e-5).run_name() == "ddxplus/reinforce,learning_rate=2e-05/m/seed0"
    assert Config(**local, generate_batch=2).run_name() == "ddxplus/reinforce/m/seed0"
    assert Config(**local | {"agent": "zero-shot"}, generate_batch=2).run_name().endswith("/m/seed0")
    encoders = {"embedding_model_path": "org/gte-modernbert-base", "reranker_model_path": "/models/gte-reranker/"}
    named = "cbr-NeuralLinLogUCB,embedding_model_path=gte-modernbert-base,reranker_model_path=gte-reranker"
    assert Config(**encoders).run_name() == f"ddxplus/{named}/embedded-reader/seed0"
    paths = {"embedding_model_path": "/models/" + "e" * 150, "reranker_model_path": "/models/" + "r" * 150}
    names = {Config(**paths).run_name(), Config(**paths | {"reranker_model_path": "/models/" + "r" * 151}).run_name()}
    assert len(names) == 2
    assert all(len(part) < 200 for name in names for part in name.split("/"))


# -- mistakes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, wrong, near", [
    ("env", "ddxplu", "ddxplus"), ("env", "banking", "banking77"), ("agent", "cbr-gt", "cbrgt"),
    ("agent", "zeroshot", "zero-shot"), ("bandit", "NeuralLinLog", "NeuralLinLogUCB"), ("bandit", "random", "Random"),
    ("serving_mode", "vlm", "vllm"), ("discover_strategy", "explor", "explore"), ("device", "cud", "cuda"),
    ("track", "tensorbord", "tensorboard"),
])  # fmt: skip
def test_unknown_choice(name: str, wrong: str, near: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, line = fail(capsys, f"--{name}", wrong)
    assert code == 2
    assert line.startswith(f"error: unknown --{name} {wrong!r}. Did you mean {near!r}? Choose from: ")
    assert line.endswith(", ".join(fields()[name].metadata["choices"]))


@pytest.mark.parametrize("arguments", [
    "--seed -2", "--seed one", "--seed 0.5", "--seed 99999999999999", "--limit 0", "--limit -5", "--limit ten",
    "--comk 0", "--recall_size 0", "--lambda 0", "--lambda -1", "--lambda nan", "--nu -0.1", "--nu inf", "--nu x",
    "--batch_size 0", "--learning_rate -1", "--learning_rate nan", "--weight_decay -1", "--budget_ratio 1.5",
    "--kl_coef -1", "--generate_batch 0", "--budget_ratio -0.1", "--queue_size 0", "--skip_steps -1", "--port 0",
    "--port 70000", "--port http",
    "--max_new_tokens 0", "--temperature -1", "--top_p 0", "--top_p 1.1", "--timeout 0", "--timeout inf",
    "--max_retries -1", "--checkpoint_seconds -1", "--limit", "--agnet cbr", "--lim 3", "extra",
])  # fmt: skip
def test_bad_values_and_unknown_options(arguments: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, line = fail(capsys, *arguments.split())
    assert code == 2
    assert line.startswith("error: ")
    assert arguments.split()[0] in line


@pytest.mark.parametrize("arguments, expected", [
    ("--serving_mode embedded --llm qwen3-4b", "drop --llm qwen3-4b, or choose openai, vllm or hf"),
    ("--serving_mode vllm", "--serving_mode vllm needs --llm NAME"),
    ("--serving_mode openai", "--serving_mode openai needs --llm NAME"),
    ("--serving_mode hf", "--serving_mode hf needs --llm NAME, its Hugging Face id or folder"),
    ("--agent reinforce", "add --serving_mode hf --llm ID_OR_FOLDER"),
    ("--agent reinforce --llm m", "add --serving_mode hf --llm ID_OR_FOLDER"),
    ("--agent reinforce --llm m --serving_mode hf --cache x", "answers kept by --cache would be stale"),
])  # fmt: skip
def test_options_that_do_not_go_together(arguments: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, line = fail(capsys, *arguments.split())
    assert code == 2 and expected in line


@pytest.mark.parametrize("arguments, expected", [
    ("--env 2wiki --retrieval_url http://h:1 --retrieval_method dense", "drop --retrieval_url http://h:1"),
    ("--env 2wiki --judge_server h", "--judge_server is about a judge, and there is none: add --judge_llm NAME"),
    ("--env 2wiki --judge_port 80", "--judge_port is about a judge"),
    ("--env twowiki --judge_serving_mode openai", "--judge_serving_mode is about a judge"),
])  # fmt: skip
def test_options_that_contradict_each_other(arguments: str, expected: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, line = fail(capsys, *arguments.split())
    assert code == 2 and expected in line


HF = "--llm m --serving_mode hf"


@pytest.mark.parametrize("arguments, expected", [
    ("", []), ("--llm m --temperature 0.5 --port 80 --timeout 3 --cache c", []), ("--agent cbrgt --nu 0 --comk 3", []),
    ("--env 2wiki --judge_llm j --judge_server h --judge_port 80 --server s", []),
    ("--env ehr --allow_unsandboxed", []),
    ("--env alfworld-react --alfworld_path f", []), (f"{HF} --model_path p --generate_batch 2", []),
    ("--agent zero-shot --nu 5 --comk 7", ["--comk", "--nu"]),
    ("--agent icrl --comk 3 --recall_size 8", ["--recall_size"]),
    ("--agent zero-shot --bandit LinLogUCB", ["--bandit"]), ("--bandit Random --nu 5", ["--nu"]),
    ("--agent icrl --temperature 5 --port 80", ["--temperature", "--port"]),
    (f"{HF} --port 80 --max_retries 1", ["--port", "--max_retries"]),
    ("--agent icrl --web_search --retrieval_url u --judge_llm j", ["--web_search", "--retrieval_url", "--judge_llm"]),
    ("--agent icrl --judge_server h --allow_unsandboxed", ["--judge_server", "--allow_unsandboxed"]),
    ("--env ehr --alfworld_path f", ["--alfworld_path"]),
    ("--kl_coef 1", ["--kl_coef"]), ("--agent cbr --budget_ratio 0.5", ["--budget_ratio"]),
    ("--comk 64", ["--recall_size"]),
])  # fmt: skip
def test_options_without_effect_get_a_line_each(arguments: str, expected: list[str]) -> None:
    typed = typed_options(arguments.split())
    notes = Config(**typed).without_effect(typed)
    assert [note.split()[0] for note in notes] == expected


def test_what_an_option_has_no_effect_with_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed = typed_options("--env lfd --bandit Random --nu 5 --kl_coef 1 --web_search --temperature 2 --comk 64".split())
    assert Config(**typed).without_effect(typed) == [
        "--nu has no effect with --bandit Random",
        "--kl_coef has no effect with --agent cbr",
        "--temperature has no effect with --serving_mode embedded",
        "--web_search has no effect on the task lfd",
        "--recall_size 32 is below --comk 64: 64 cases are recalled",
    ]
    data = lfd_stream(tmp_path, 2)
    with serving() as server:
        where = ("--llm", "m", "--port", server.port, "--output_dir", tmp_path / "out", "--seed", -1)
        command = ("--env", "lfd", "--data", data, "--agent", "zero-shot", "--nu", 5, *where)
        assert main.main([str(word) for word in command]) == 0
    assert capsys.readouterr().err.count("note: --nu has no effect with --agent zero-shot\n") == 1


# -- what is known before a model is loaded ----------------------------------------------------------------------------


@pytest.mark.parametrize("arguments, code, expected", [
    (f"--env ehr --agent ground-truth {HF}", 2, "it does not apply to the task ehr"),
    ("--agent mam-cbr --llms a,b --null_arm on", 2, "and shows one always"),
    (f"--env 2wiki --agent cbrdiscover {HF}", 2, "it does not apply to the task 2wiki"),
    (f"--env ehr --agent reinforce {HF}", 2, "--agent reinforce needs the answer as one text"),
    (f"--env lfd --agent reinforce {HF}", 1, "the package peft is missing"),
    (f"--env lfd --track wandb {HF}", 2, "--track wandb needs `pip install wandb`"),
    (f"--env 2wiki --web_search {HF}", 2, "needs a key of https://serper.dev"),
    (f"--env 2wiki --judge_llm j --judge_serving_mode openai {HF}", 1, "the judge (--judge_llm, --judge_server"),
    (f"--env bird --data official {HF}", 1, "prepare_data.py bird"),
    (f"--env lfd --data nowhere {HF}", 1, "nowhere does not exist"),
    (f"--env alfworld --alfworld_path nowhere {HF}", 1, "nowhere is not a folder"),
    ("--env lfd --llm m --serving_mode openai", 1, "no API key"),
])  # fmt: skip
def test_what_names_alone_tell_is_told_before_a_model_is_loaded(
    arguments: str,
    code: int,
    expected: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import clients.local
    from memory import encoders

    def load(*arguments: object) -> None:
        raise AssertionError("a model is loaded")

    monkeypatch.setattr(clients.local, "load_chat_model", load)
    monkeypatch.setattr(encoders, "load_sentence_model", load)
    for package in ("peft", "wandb"):
        monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    for variable in ("OPENAI_API_KEY", "SERPER_API_KEY"):
        monkeypatch.delenv(variable, raising=False)
    assert main.main([*arguments.split(), "--output_dir", str(tmp_path / "out"), "--device", "cpu"]) == code
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: ") and expected in last
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--embedding_model_path", "--llm"])
def test_a_hub_out_of_reach_is_asked_once(option: str, tmp_path: Path) -> None:
    calls = []
    with socket.create_server(("127.0.0.1", 0)) as hub:

        def hang_up() -> None:
            while True:
                try:
                    connection, _ = hub.accept()
                except OSError:
                    return
                calls.append(connection.recv(1000).partition(b"\r")[0])
                connection.close()

        threading.Thread(target=hang_up, daemon=True).start()
        where = {"HF_ENDPOINT": f"http://127.0.0.1:{hub.getsockname()[1]}", "HF_HOME": str(tmp_path / "home")}
        mode = ("--serving_mode", "hf") if option == "--llm" else ()
        data = ("--env", "lfd", "--data", lfd_stream(tmp_path, 3), "--output_dir", tmp_path / "out")
        done = run_cli(*data, option, "some/model", *mode, env=os.environ | where)
        hub.shutdown(socket.SHUT_RDWR)
    assert done.returncode == 1
    errors = [line for line in done.stderr.splitlines() if not line.startswith(("data: ", "llm: "))]
    assert len(errors) == 1 and errors[0].startswith(f"error: {option} some/model: cannot load it (")
    assert sum(b"some/model" in call for call in calls) == 1, calls


def test_debug_shows_the_traceback_and_keeps_the_exit_code() -> None:
    plain, debug = run_cli("--env", "nope"), run_cli("--env", "nope", "--debug")
    assert plain.returncode == debug.returncode == 2
    assert len(plain.stderr.splitlines()) == 1
    assert "Traceback" in debug.stderr and "UsageError: unknown --env 'nope'" in debug.stderr


def test_missing_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for missing in (tmp_path / "none.jsonl", tmp_path):
        code, line = fail(capsys, "--env", "lfd", "--data", missing, "--output_dir", tmp_path / "out")
        assert code == 1 and f"--data {missing}" in line and "does not exist" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("bad, complaint", [
    ("{", "not valid JSON"), ("[1]", "expected a JSON object, found list"), ('{"task": "x"}', "'label' is missing"),
    ('{"task": 1, "label": "CPU"}', "'task' should be str, found int"), ('{"task": "x", "label": "Disc"}', "Disc"),
    ('{"task": "x", "label": null}', "'label' should be str"),
    ('{"task": "\\ud83d", "label": "CPU"}', "half a character"),
])  # fmt: skip
def test_malformed_data(bad: str, complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({"task": "x", "label": "CPU"}) + "\n\n" + bad + "\n", encoding="utf-8")
    code, line = fail(capsys, "--env", "lfd", "--data", path, "--output_dir", tmp_path / "out")
    assert code == 1
    assert line.startswith(f"error: {path}:3: ") and complaint in line
    path.write_bytes(b'{"task": "x", "label": "CPU"}\n"\xff"\n')
    assert f"{path}:2: not UTF-8" in fail(capsys, "--env", "lfd", "--data", path)[1]
    path.write_text("\n")
    assert f"{path} has no rows" in fail(capsys, "--env", "lfd", "--data", path)[1]
    assert not (tmp_path / "out").exists()


def test_output_folder_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = lfd_stream(tmp_path, 3)
    (tmp_path / "file").write_text("in the way")
    code, line = fail(capsys, "--env", "lfd", "--data", data, "--output_dir", tmp_path / "file")
    assert code == 1 and "--output_dir chooses another place" in line


def test_missing_models(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = lfd_stream(tmp_path, 3)
    (tmp_path / "empty").mkdir()
    for option in ("--embedding_model_path", "--reranker_model_path"):
        arguments = ("--env", "lfd", "--data", data, "--output_dir", tmp_path / "out", option, tmp_path / "empty")
        assert main.main([str(argument) for argument in arguments]) == 1
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith(f"error: {option} {tmp_path / 'empty'}: cannot load it")
    assert not (tmp_path / "out").exists()


def test_a_refused_run_removes_only_what_it_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = lfd_stream(tmp_path, 3)
    (tmp_path / "mine").mkdir()
    where = ("--llm", "m", "--server", "::1", "--output_dir", tmp_path / "mine" / "out")
    assert main.main([str(word) for word in ("--env", "lfd", "--data", data, *where)]) == 2
    assert list((tmp_path / "mine").iterdir()) == []


# -- choices -----------------------------------------------------------------------------------------------------------


def begins(task: str) -> bool:
    """Whether the task shows its first row, or says that its packages are not installed."""
    try:
        return bool(make_env(task, "sample", limit=1).observe())
    except UserError as error:
        return "pip install -r requirements-envs.txt" in str(error)


def test_every_choice_is_tried_somewhere() -> None:
    """The tests that construct each choice; a new choice must be added here with its test."""
    tried = {
        "env": {name for name in ENV_DICT if begins(name)},  # here
        "agent": set(AGENTS),  # test_resume: combinations, and test_reinforce
        "bandit": set(POLICIES),  # test_resume: combinations
        "order": {"similar_last", "similar_first", "random"},  # test_methods
        "feedback": {"all", "correct", "incorrect", "hidden"},  # test_methods
        "keep": {"successes", "everything"},  # test_methods
        "judge": {"feedback", "self"},  # test_lessons
        "who": set(CHOOSERS),  # test_resume, test_choosing
        "retain": {"on", "off"},  # test_bank_cli
        "forget": {"oldest", "least_useful"},  # test_forgetting
        "final": {"small", "all", "none"},  # test_bank_cli
        "null_arm": {"off", "on", "explore"},  # test_resume: combinations
        "control": {"empty", "random"},  # test_methods, test_resume
        "discover_strategy": {"random", "ucb", "explore", "exploit", "failing", "ucb_failing"},  # test_resume
        "centre": {"off", "nearest", "mean"},  # test_neural_variants
        "bonus": {"paper", "posterior"},  # test_neural_variants
        "precision": {"float32", "bfloat16"},  # test_packing
        "refresh": {"sync", "overlap"},  # test_bounded_cost
        "serving_mode": {"embedded", "openai", "vllm", "hf"},  # test_resume, test_outage and test_local_llm
        "retrieval_method": {"bm25", "dense"},  # test_retrieval
        "judge_serving_mode": {"openai", "vllm"},  # test_twowiki
        "stream": {"dtlbench", "streambench"},  # test_streambench_data
        "device": {"auto", "cpu", "cuda", "mps"},  # test_device
        "on_refused": {"stop", "skip"},  # test_refused
        "track": {"none", "tensorboard", "wandb"},  # test_tensorboard, test_wandb
        "thinking": {"auto", "on", "off"},  # test_any_model
    }
    choices = {name: spec.metadata.get("choices") for name, spec in fields().items()}
    assert tried == {name: set(names) for name, names in choices.items() if names}
    assert set(CLIENTS) == tried["serving_mode"] and set(DEVICES) == tried["device"]
    assert set(TRACKERS) == tried["track"]


@pytest.mark.parametrize("name", DEVICES)
def test_device(name: str) -> None:
    import torch

    from memory.encoders import resolve_device

    here = {"cpu": True, "auto": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if here[name]:
        device = resolve_device(name)
        assert torch.ones(2, device=device).sum() == 2
        assert name in ("auto", device.type)
    else:
        with pytest.raises(UsageError, match=f"--device {name}: torch finds no such device here"):
            resolve_device(name)


def track(name: str, tmp_path: Path) -> int:
    data = lfd_stream(tmp_path, 3)
    with serving() as server:
        where = ("--llm", "m", "--port", server.port, "--output_dir", tmp_path / "out", "--agent", "icrl")
        command = ("--env", "lfd", "--data", data, *where, "--track", name)
        return main.main([str(word) for word in command])


def test_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    assert track("tensorboard", tmp_path) == 0
    folder = run_folder(tmp_path / "out")
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    rates = [(scalar.step, round(scalar.value, 5)) for scalar in events.Scalars("success_rate")]
    assert rates == [(step["step"], round(step["success_rate"], 5)) for step in steps(folder)]


def test_wandb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    assert track("wandb", tmp_path) == 0
    assert list(run_folder(tmp_path / "out").rglob("*.wandb"))


@pytest.mark.parametrize("name, module", [("tensorboard", "torch.utils.tensorboard"), ("wandb", "wandb")])
def test_missing_tracker(
    name: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, module, None)  # as if it were not installed
    assert track(name, tmp_path) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"error: --track {name} needs `pip install {name}`"
    assert not (tmp_path / "out").exists()


def test_output_without_unicode(tmp_path: Path) -> None:
    data = lfd_stream(tmp_path, 3)
    with serving() as server:
        where = ("--llm", "m", "--port", server.port, "--output_dir", tmp_path, "--agent", "ground-truth")
        done = run_cli("--env", "lfd", "--data", data, *where, env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert done.returncode == 0, done.stderr
    assert re.search(r"success rate +1\.000 +\(3 of 3\)", done.stdout)
