"""2wiki: tools over MCP, retrieval over HTTP on loopback, a judge; models that search well and models that do not."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from conftest import ROOT, run_cli

import main
from clients.scripted import ScriptedClient
from config import Config
from env import make_env, twowiki
from env.tools.judge import TRIES, judge, make_judge, read_verdict
from env.tools.search.client import Outage, OwnService, call, health
from env.twowiki import MAX_CALLS, TwoWiki, describe, normalise
from errors import LLMError, UserError
from helpers.fake_server import serving
from helpers.runs import run_folder, steps
from helpers.web import pages
from llm import LLM, Reply, make_llm
from scripts.make_samples import make_sample

for package in ("mcp", "bm25s", "faiss"):
    pytest.importorskip(package, reason=f"the package {package} of requirements-envs.txt is missing")

SAMPLE = ROOT / "data" / "2wiki" / "sample"
needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are counted in /proc")
CORPUS = [json.loads(line) for line in (SAMPLE / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A retrieval service over the sample corpus, in a process of its own."""
    service = OwnService(SAMPLE / "corpus.jsonl", "bm25")
    yield service.url
    service.close()


@pytest.fixture(scope="module")
def env(url: str) -> Iterator[TwoWiki]:
    env = make_env("twowiki", "sample", config=Config(env="2wiki", retrieval_url=url))
    yield env
    env.close()


def tool_call(name: Any, arguments: Any) -> dict[str, Any]:
    return {"id": "same", "type": "function", "function": {"name": name, "arguments": arguments}}


def searches(*queries: str) -> Reply:
    return Reply("", tool_calls=[tool_call("retrieve", json.dumps({"query": query})) for query in queries])


class Recorder(ScriptedClient):
    """A scripted client that keeps the conversations it was sent."""

    def __init__(self, answers: Any) -> None:
        super().__init__(answers)
        self.requests: list[dict[str, Any]] = []

    def complete(self, request: dict[str, Any]) -> Reply:
        self.requests.append(json.loads(json.dumps(request)))
        return super().complete(request)


def play(env: TwoWiki, answers: Any) -> tuple[Recorder, Any, int]:
    """One step of the current row: (what was asked, answer, reward)."""
    client = Recorder(answers)
    output = env.interact(env.get_zero_shot_prompt(env.observe()), LLM(client))
    return client, *env.evaluate(output)


# -- the sample --------------------------------------------------------------------------------------------------------


def test_the_sample_is_what_its_script_makes(tmp_path: Path) -> None:
    make_sample("2wiki", tmp_path)
    for name in ("2wiki.jsonl", "corpus.jsonl"):
        assert (tmp_path / "2wiki" / "sample" / name).read_bytes() == (SAMPLE / name).read_bytes()
    rows = [json.loads(line) for line in (SAMPLE / "2wiki.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(rows) == len({row["task"] for row in rows}) == 60
    assert [passage["id"] for passage in CORPUS] == [str(number) for number in range(len(CORPUS))] and len(CORPUS) > 300
    for row in rows:
        first, second = (CORPUS[int(number)]["contents"] for number in row["evidence"])
        assert title(first) in row["task"]
        assert row["label"][0] in second or row["label"][0] == title(first)


def title(contents: str) -> str:
    return contents.partition("\n")[0].strip('"')


def test_a_client_that_searches_well_finds_every_answer(env: TwoWiki) -> None:
    env.reset()
    done = False
    while not done:
        titles = [title(CORPUS[int(number)]["contents"]) for number in env.row["evidence"]]
        script = [searches(titles[0]), searches(titles[1]), f"It is \\boxed{{{env.row['label'][0]}}}."]
        client, answer, reward = play(env, script)
        results = "\n".join(turn["result"] for turn in env.turns[:2])
        assert env.row["label"][0] in results, env.row
        assert (answer, reward) == (env.row["label"][0], 1)
        assert [turn.get("ok") for turn in env.turns] == [True, True, None]
        calls = [f'{i}. retrieve({{"query": "{query}"}})' for i, query in enumerate(titles, 1)]
        assert env.case_key(env.observe()) == "\n".join([env.observe(), "Tool calls:", *calls])
        done = env.step()
    env.reset()
    assert [tool["function"]["name"] for tool in client.requests[0]["tools"]] == ["retrieve"]
    assert client.requests[0]["tools"][0]["function"]["parameters"]["required"] == ["query"]


# -- hostile models ----------------------------------------------------------------------------------------------------

LABEL = "\\boxed{right}"
HOSTILE: dict[str, list[Reply | str]] = {
    "unknown tool": [Reply("", tool_calls=[tool_call("rm -rf /", "{}")])],
    "no name": [Reply("", tool_calls=[tool_call(None, None)])],
    "no function": [Reply("", tool_calls=[{"id": None, "type": "function", "function": None}, {}])],
    "malformed JSON": [Reply("", tool_calls=[tool_call("retrieve", '{"query": "x')])],
    "a list": [Reply("", tool_calls=[tool_call("retrieve", '["x"]')])],
    "not a number": [Reply("", tool_calls=[tool_call("retrieve", '{"query": NaN}')])],
    "half a character": [Reply("", tool_calls=[tool_call("retrieve", '{"query": "\\ud800"}')])],
    "half a character in the name": [Reply("", tool_calls=[tool_call("\ud800", "{}")])],
    "too deep": [Reply("", tool_calls=[tool_call("retrieve", "[" * 100_000)])],
    "too long": [Reply("", tool_calls=[tool_call("retrieve", json.dumps({"query": "x" * 10**6}))])],
    "long query": [searches("x" * 2000)],
    "wrong argument": [Reply("", tool_calls=[tool_call("retrieve", '{"topk": 10}')])],
    "wrong type": [Reply("", tool_calls=[tool_call("retrieve", '{"query": {"$ne": 1}}')])],
    "arguments not text": [Reply("", tool_calls=[tool_call("retrieve", {"query": "x"})])],
    "empty query": [searches(" \n")],
    "no such word": [searches("zzqq xxyy")],
    "strange characters": [searches("\0\x1b[2J\u202e</task>{task}")],
    "twenty calls at once": [searches(*map(str, range(20)))],
    "twenty calls in turn": [searches(str(number)) for number in range(20)],
    "empty replies": [""] * 20,
    "blank replies": [" \n\t"] * 20,
    "a call and a text": [Reply("\\boxed{no}", tool_calls=searches("Osk").tool_calls)],
    "all of it": [searches(""), "", Reply("", tool_calls=[tool_call("x", "y")]), searches("Osk"), "", searches("Osk")],
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_model_ends_in_a_scored_answer(name: str, env: TwoWiki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env, "dataset", [{"task": "Which?", "label": ["right"]}])
    client, answer, reward = play(env, HOSTILE[name] + [LABEL] * 6)
    script_ends = len(HOSTILE[name]) <= MAX_CALLS
    assert (answer, reward) == ("right", 1) if script_ends else reward == 0
    assert len(client.requests) == min(len(HOSTILE[name]), MAX_CALLS) + 1
    assert sum(turn.get("ok", False) for turn in env.turns) <= MAX_CALLS
    json.dumps(env.turns, ensure_ascii=False).encode()
    for request in client.requests:
        check_conversation(request["messages"])


def check_conversation(messages: list[dict[str, Any]]) -> None:
    """What servers ask of a conversation with tools: every call is well formed and has its one answer."""
    open_calls: list[str] = []
    seen: list[str] = []
    for message in messages:
        if message["role"] == "tool":
            open_calls.remove(message["tool_call_id"])
            assert isinstance(message["content"], str)
        else:
            assert not open_calls
        for made in message.get("tool_calls", ()):
            assert isinstance(json.loads(made["function"]["arguments"]), dict)
            assert made["function"]["name"].replace("-", "_").isidentifier()
            open_calls.append(made["id"])
            seen.append(made["id"])
    assert not open_calls and len(seen) == len(set(seen))


def test_after_five_calls_it_must_answer(env: TwoWiki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env, "dataset", [{"task": "Which?", "label": ["right"]}])
    client, answer, reward = play(env, [*[searches("Osk")] * 4, "", LABEL])
    assert reward == 1
    assert [request["tools"] is None for request in client.requests] == [False] * 5 + [True]
    assert "No tool calls are left" in client.requests[-1]["messages"][-1]["content"]
    client, answer, reward = play(env, [searches("Osk")] * 6)  # calls even where no tool is offered
    assert (answer, reward) == (None, 0)
    assert sum(turn.get("ok", False) for turn in env.turns) == 5


def test_a_run_without_tools_is_not_retained(env: TwoWiki, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(env, "dataset", [{"task": "Which?", "label": ["right"]}])
    assert play(env, [LABEL])[1:] == ("right", 1)
    assert env.case_key("Which?") is None
    assert play(env, [Reply("", tool_calls=[tool_call("nope", "{}")]), LABEL])[2] == 1
    assert env.case_key("Which?") is None
    env.turns = None
    assert env.case_key("Which?") is None


# -- scoring -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text, same", [
    ("The Lantern Keeper", "lantern keeper"), ("Sant  Oriel.", "sant oriel"), ("Čapek", "capek"), ("A", "a"),
    ("14-June 1946", "14 June, 1946"), ("“Yes”", "yes"), ("ＡＢＣ", "abc"), ("!", "!"),
])  # fmt: skip
def test_answers_compare_without_what_does_not_matter(text: str, same: str) -> None:
    assert normalise(text) == normalise(same) != ""


def test_any_alias_counts_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    env = make_env("2wiki", "sample")
    monkeypatch.setattr(env, "dataset", [{"task": "When?", "label": ["4 June 1924", "1924-06-04"]}])
    rewards = {text: env.evaluate(f"\\boxed{{{text}}}")[1] for text in ("1924-06-04", "June 1924", "4 june 1924", "")}
    assert list(rewards.values()) == [1, 0, 1, 0]
    assert env.evaluate("4 June 1924") == ("4 June 1924", 1)
    assert env.evaluate("") == (None, 0)
    assert env.evaluate("It was 4 June 1924.")[1] == 0


@pytest.mark.parametrize("text, verdict", [
    ("right", True), ("Wrong.", False), ("**Right**", True), ("It is right, quite right", True), ("", None),
    ("yes", None), ("right or wrong?", None), ("righteous", None), ("Not right.", None), ("It isn't wrong", None),
    ("Wrong: the answer does not name the river.", False),
])  # fmt: skip
def test_verdicts(text: str, verdict: bool | None) -> None:
    assert read_verdict(text) is verdict


def run(tmp_path: Path, *arguments: object) -> int:
    words = ("--env", "2wiki", "--data", "sample", "--max_retries", 0, "--output_dir", tmp_path / "out", *arguments)
    return main.main([str(word) for word in words])


def test_a_judge_decides_and_is_cached_apart(tmp_path: Path, url: str) -> None:
    judged: list[str] = []

    def answer(prompt: str) -> str:
        judged.append(prompt)
        return "right" if len(judged) % 2 else "Wrong!"

    with serving(answer) as server:
        arguments = ("--agent", "zero-shot", "--limit", 4, "--retrieval_url", url, "--judge_llm", "m", "--judge_port")
        arguments = (*arguments, server.port, "--cache", tmp_path / "cache.sqlite")
        assert run(tmp_path, *arguments) == 0
        assert {body["temperature"] for body in server.chats} == {0.0}
        assert "tools" not in server.chats[0]
        first = steps(run_folder(tmp_path / "out"))
        assert run(tmp_path, *arguments, "--overwrite") == 0  # from the cache
    log = steps(run_folder(tmp_path / "out"))
    assert len(judged) == 4
    assert [step["reward"] for step in log] == [step["reward"] for step in first] == [1, 0, 1, 0]
    judgements = [step["turns"][-1] for step in log[:2]]
    usage = {"prompt_tokens": 11, "completion_tokens": 3}  # as the judge's server counts
    cached = usage | {f"cached_{kind}": count for kind, count in usage.items()}
    spent = {"judge": "m", "calls": 1, "usage": cached}
    assert judgements == [spent | {"verdict": verdict} for verdict in ("right", "wrong")]
    assert log[0]["usage"] != usage  # that of the agent's LLM
    assert log[0]["answer"] in judged[0] and log[0]["task"] in judged[0]
    config = yaml.safe_load((run_folder(tmp_path / "out") / "config.yaml").read_text())
    assert config["starts"][0]["task"]["scoring"] == "judged by m"
    assert config["starts"][0]["task"]["retrieval"].startswith(f"bm25, {len(CORPUS)} passages of corpus.jsonl, sha256 ")
    assert config["identity"]["judge_llm"] == "m"


@pytest.mark.parametrize("mode", ["vllm", "openai"])
def test_a_judge_is_served_as_the_llm_is_or_as_it_says(mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(lambda prompt: "right") as server:
        monkeypatch.setenv("OPENAI_API_KEY", "key")
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.port}/v1")
        as_llm = Config(env="2wiki", llm="agent", serving_mode=mode, port=server.port, judge_llm="m")
        address = {"judge_server": "127.0.0.1", "judge_port": server.port}
        said = Config(env="2wiki", judge_llm="m", judge_serving_mode=mode, **address)
        for config in (as_llm, said):
            assert judge(make_judge(config, lambda judge: make_llm(judge, lambda: None)), "Which?", ["x", "y"], "z")
        assert [body["model"] for body in server.chats] == ["m", "m"]
        assert all(("presence_penalty" in body) == (mode == "vllm") for body in server.chats)
        assert "- x\n- y" in server.chats[0]["messages"][0]["content"]


def test_no_verdict_is_an_outage(tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(lambda prompt: "I would rather not say") as server:
        arguments = ("--agent", "zero-shot", "--limit", 2, "--retrieval_url", url, "--judge_llm", "m")
        arguments = (*arguments, "--judge_port", server.port, "--cache", tmp_path / "cache.sqlite")
        assert run(tmp_path, *arguments) == 1
        assert "gave no verdict in 3 tries" in capsys.readouterr().err
        assert len(server.chats) == TRIES and len(server.chats[-1]["messages"]) == 5
        assert not (tmp_path / "out").exists()  # a run without a step holds no folder
        server.answer = lambda prompt: "wrong"
        assert run(tmp_path, *arguments) == 0
    assert [step["reward"] for step in steps(run_folder(tmp_path / "out"))] == [0, 0]


def test_a_judge_that_is_not_there_stops_the_run_before_it_starts(
    tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "--retrieval_url", url, "--judge_llm", "m", "--judge_port", 9) == 1
    error = capsys.readouterr().err
    assert "the judge (--judge_llm, --judge_server, --judge_port): no answer from http://127.0.0.1:9" in error
    with serving() as server:
        assert run(tmp_path, "--retrieval_url", url, "--judge_llm", "n", "--judge_port", server.port) == 1
    assert "--judge_port): n: http://127.0.0.1:" in capsys.readouterr().err
    assert not list((tmp_path / "out").rglob("steps.jsonl"))


# -- services ----------------------------------------------------------------------------------------------------------


def test_an_outage_of_the_retrieval_service_is_not_a_wrong_answer(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = {"after": 5}

    def respond(path: str, headers: dict[str, str], body: Any) -> tuple[int, Any]:
        if path == "/health":
            return 200, health(url)
        broken["after"] -= 1
        return (503, "busy") if broken["after"] < 0 else (200, call(f"{url}{path}", body))

    with pages(respond) as address:
        arguments = ("--agent", "cbr", "--limit", 6, "--retrieval_url", address)
        assert run(tmp_path, *arguments) == 1
        line = capsys.readouterr().err.splitlines()[-1]
        assert "the tool retrieve does not answer" in line and "503" in line
        assert len(steps(run_folder(tmp_path / "out"))) == 2
        broken["after"] = 1000
        assert run(tmp_path, *arguments) == 0
        unbroken = tmp_path / "unbroken"
        assert run(unbroken, *arguments) == 0
    assert steps(run_folder(tmp_path / "out")) == steps(run_folder(unbroken / "out"))


def test_no_service_is_a_clear_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "--retrieval_url", "http://127.0.0.1:9") == 1
    assert "no retrieval service answers there; start one with `python scripts/serve" in capsys.readouterr().err
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"task": "Which?", "label": ["x"]}\n')
    with pytest.raises(UserError, match="there is no .*corpus.jsonl to search: start one with .*--retrieval_url URL"):
        make_env("2wiki", str(rows)).details()


def test_only_a_service_that_is_named_is_asked(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What else listens on this machine, even with the right corpus, decides nothing."""
    started: list[str] = []

    def start(corpus: Path, method: str) -> SimpleNamespace:
        started.append(method)
        return SimpleNamespace(url="http://127.0.0.1:9", info={"passages": 1}, close=lambda: None)

    asked: list[str] = []
    monkeypatch.setattr(twowiki, "OwnService", start)
    monkeypatch.setattr(twowiki, "health", lambda url: asked.append(url) or health(url))
    for method in ("bm25", "dense"):
        env = make_env("2wiki", "sample", config=Config(env="2wiki", retrieval_method=method))
        assert env._find_service() == "http://127.0.0.1:9"
    assert (started, asked) == (["bm25", "dense"], [])
    env = make_env("2wiki", "sample", config=Config(env="2wiki", retrieval_url=f"{url}/retrieve"))
    assert env._find_service() == url
    assert (started, asked) == (["bm25", "dense"], [url])


def test_what_a_service_says_of_itself_is_made_printable() -> None:
    said = describe({"passages": 3, "method": "bm25\x1b[2J", "corpus": "c" * 10**5, "sha256": ["x"], "encoder": None})
    assert said == f"bm25\ufffd[2J, 3 passages of {'c' * 200}, sha256 None"


def children(parent: int) -> set[int]:
    """The ids of the running processes that `parent` has started."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            state, its_parent = path.read_text().rpartition(")")[2].split()[:2]
            if int(its_parent) == parent and state != "Z":
                found.add(int(path.parent.name))
    return found


def running(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


@needs_proc
def test_a_killed_run_leaves_nothing_behind_and_goes_on(tmp_path: Path) -> None:
    arguments = ["--env", "twowiki", "--agent", "cbr", "--limit", "12", "--data", "sample", "--checkpoint_seconds", "0"]
    command = [sys.executable, "main.py", *arguments, "--output_dir", str(tmp_path / "killed")]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for(lambda: any(len(log.read_bytes().splitlines()) > 3 for log in (tmp_path / "killed").rglob("steps.jsonl")))
    started = children(process.pid)
    process.kill()
    process.wait()
    assert len(started) == 2  # the tool server and the retrieval service
    wait_for(lambda: not any(map(running, started)))
    assert len(steps(run_folder(tmp_path / "killed"))) < 12
    for output in ("killed", "whole"):
        done = run_cli(*arguments, "--output_dir", tmp_path / output)
        assert done.returncode == 0, done.stderr
    assert steps(run_folder(tmp_path / "killed")) == steps(run_folder(tmp_path / "whole"))
    log = steps(run_folder(tmp_path / "whole"))
    assert len(log) == 12 and all(step["turns"] for step in log)
    scoring = yaml.safe_load((run_folder(tmp_path / "whole") / "config.yaml").read_text())["starts"][0]["task"][
        "scoring"
    ]
    assert scoring == "equal to a label after normalisation (no --judge_llm)"


def wait_for(condition: Callable[[], bool], seconds: float = 180.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# -- web search --------------------------------------------------------------------------------------------------------


def test_web_search_asks_serper(tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def respond(path: str, headers: dict[str, str], body: Any) -> tuple[int, Any]:
        asked.append((headers["x-api-key"], body))
        organic = [{"title": f"T{number}", "link": "http://x", "snippet": f"S{number}"} for number in range(5)]
        if headers["x-api-key"] == "bad":
            return 401, {}
        return 200, {"answerBox": {"answer": "42"}, "organic": organic}

    with pages(respond) as address:
        monkeypatch.setenv("SERPER_URL", f"{address}/search")
        monkeypatch.setenv("SERPER_API_KEY", "the-secret")
        env = make_env("2wiki", "sample", config=Config(env="2wiki", web_search=True, retrieval_url=url))
        try:
            assert env.details()["tools"] == ["retrieve", "google_search"]
            result = env.tools.call("google_search", {"query": "what is six by seven"})
            assert result.ok and result.text == "[1] Answer\n42\n\n[2] T0\nS0\n\n[3] T1\nS1"
            assert asked == [("the-secret", {"q": "what is six by seven", "num": 3})]
        finally:
            env.close()
        assert run(tmp_path, "--agent", "zero-shot", "--limit", 1, "--web_search", "--retrieval_url", url) == 0
        monkeypatch.setenv("SERPER_API_KEY", "bad")
        env = make_env("2wiki", "sample", config=Config(env="2wiki", web_search=True, retrieval_url=url))
        try:
            with pytest.raises(UserError, match="google_search does not answer .*401"):
                env.tools.call("google_search", {"query": "x"})
        finally:
            env.close()
    written = [path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert written and not any(b"the-secret" in content for content in written)


def test_web_search_needs_a_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SERPER_API_KEY", raising=False)
    assert run(tmp_path, "--web_search") == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert line.startswith("error: --web_search needs a key") and "SERPER_API_KEY" in line
    assert not (tmp_path / "out").exists()


def test_agents_for_single_turn_tasks_refuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for agent in ("ground-truth", "cbrdiscover"):
        assert run(tmp_path, "--agent", agent) == 2
        assert f"--agent {agent}" in capsys.readouterr().err


# -- the tool server ---------------------------------------------------------------------------------------------------


def test_a_missing_package_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, url: str) -> None:
    from env.tools.search.index import open_index

    install = "is missing: `pip install -r requirements-envs.txt`"
    for package in ("mcp", "bm25s"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError, match=f"the package mcp {install}"):
        make_env("2wiki", "sample", config=Config(env="2wiki", retrieval_url=url)).details()
    with pytest.raises(UserError, match=f"the package bm25s {install}"):
        open_index(SAMPLE / "corpus.jsonl", tmp_path)


def test_a_tool_server_that_does_not_start_says_why(tmp_path: Path) -> None:
    from env.tools.search.mcp_client import MCPToolServer

    for script in ("import sys; sys.exit('no such thing')", "import sys; print('hello'); sys.exit('no such thing')"):
        with pytest.raises(UserError, match="the tool server did not start: no such thing"):
            MCPToolServer([sys.executable, "-c", script], tmp_path)
    with pytest.raises(UserError, match="the tool server did not start"):
        MCPToolServer([str(tmp_path / "nothing")], tmp_path)


@needs_proc
def test_a_tool_server_that_dies_is_an_outage(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "the-secret")
    before = children(os.getpid())
    env = make_env("2wiki", "sample", config=Config(env="2wiki", retrieval_url=url))
    try:
        assert env.tools.call("retrieve", {"query": "Osk"}).ok
        (pid,) = children(os.getpid()) - before
        assert b"the-secret" not in Path(f"/proc/{pid}/environ").read_bytes()
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(UserError, match="does not answer"):
            env.tools.call("retrieve", {"query": "Osk"})
    finally:
        env.close()


def test_an_llm_outage_passes_through(env: TwoWiki) -> None:
    with pytest.raises(LLMError):
        play(env, [searches("Osk")])
    with pytest.raises(Outage):
        call("http://127.0.0.1:9", tries=1)
