"""The published recipe for a task of one's own: two files and one line in ENV_DICT, and every agent runs on it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

from env import ENV_DICT, Env, make_env
from errors import DataError
from helpers.fake_server import serving
from helpers.runs import run_folder, run_folders, steps

PROMPTS = """
ZERO_SHOT_PROMPT = "Is the number even or odd? Answer with \\\\boxed{{even}} or \\\\boxed{{odd}}.\\nNumber: {task}"
CASE_PROMPT = "Number: {task}\\nAnswer: \\\\boxed{{{answer}}}\\n"
CBR_PROMPT = "Is the number even or odd?\\nSolved before:\\n{case_prompt}\\nNumber: {task}"
"""

TASK = """
import re

from .base import Env
from .prompts.parity_prompt import ZERO_SHOT_PROMPT, CASE_PROMPT, CBR_PROMPT


class Parity(Env):
    def __init__(self):
        super().__init__()
        self.ZERO_SHOT_PROMPT = ZERO_SHOT_PROMPT
        self.CASE_PROMPT = CASE_PROMPT
        self.CBR_PROMPT = CBR_PROMPT
        self.init_env()

    def init_env(self):
        self.dataset = [{"task": str(3 * n + 1), "label": "odd" if n % 2 == 0 else "even"} for n in range(12)]

    def __len__(self):
        return len(self.dataset)

    def observe(self):
        return self.dataset[self.index]["task"]

    def extraction(self, text):
        found = re.findall(r"\\\\boxed\\{(\\w+)\\}", text)
        return found[-1] if found else None

    def reward_function(self, answer):
        return 1 if answer == self.dataset[self.index]["label"] else 0

    def evaluate(self, generated_text):
        answer = self.extraction(generated_text)
        return answer, self.reward_function(answer)

    def get_zero_shot_prompt(self, problem):
        return self.ZERO_SHOT_PROMPT.format(task=problem)

    def get_case_based_prompt(self, problem, cases):
        case_prompt = "".join(self.CASE_PROMPT.format(task=case["task"], answer=case["answer"]) for case in cases)
        return self.CBR_PROMPT.format(case_prompt=case_prompt, task=problem)
"""

LOWER_CASE = {name: name.lower() for name in ("ZERO_SHOT_PROMPT", "CASE_PROMPT", "CBR_PROMPT")}
AGENTS = (
    "zero-shot",
    "icrl",
    "icrl-plus",
    "cbr",
    "cbrgt",
    "cbrdiscover",
    "ground-truth",
    "cot",
    "mem-prompt",
    "memento-np",
)
ALL_AGENTS = """
import sys
import main
port, output, *agents = sys.argv[1:]
for agent in agents:
    words = ["--env", "parity", "--agent", agent, "--llm", "m", "--port", port, "--output_dir", f"{output}/{agent}"]
    code = main.main([*words, "--skip_steps", "2", "--discover_strategy", "random", "--budget_ratio", "0.5"])
    assert code == 0, agent
"""


def copy_project(root: Path, *leave_out: str) -> None:
    shutil.copytree(ROOT, root, ignore=shutil.ignore_patterns("results", ".*", "__pycache__", *leave_out))


def write_task(root: Path, files: dict[str, str], line: str) -> None:
    """Copy the project's source to `root` and add a task as the recipe says: its files, and its line in ENV_DICT."""
    copy_project(root, "data", "tests")
    for path, source in files.items():
        (root / path).write_text(source, encoding="utf-8")
    registry = root / "env" / "__init__.py"
    text = registry.read_text()
    marker = "ENV_DICT: dict[str, type[Env] | str] = {\n"
    assert text.count(marker) == 1
    registry.write_text(text.replace(marker, marker + line))


def guess(prompt: str) -> str:
    """Always even; right on every second row."""
    assert prompt.startswith("Is the number even or odd?")
    return "The number is \\boxed{even}."


def with_lower_case_attributes(source: str) -> str:
    for name, lower in LOWER_CASE.items():
        source = source.replace(f"self.{name}", f"self.{lower}")
    return source


@pytest.mark.parametrize(
    "source, agents",
    [
        (TASK, AGENTS),
        (TASK.replace("        self.init_env()\n", ""), ("icrl", "ground-truth")),
        (with_lower_case_attributes(TASK), ("icrl", "icrl-plus", "ground-truth")),
    ],
    ids=["as published", "init_env left to the caller", "lower-case attributes"],
)
def test_recipe_task_runs_with_every_agent(source: str, agents: tuple[str, ...], tmp_path: Path) -> None:
    files = {"env/parity.py": source, "env/prompts/parity_prompt.py": PROMPTS}
    write_task(tmp_path / "tree", files, '    "parity": "env.parity:Parity",\n')
    with serving(guess) as server:
        command = [sys.executable, "-c", ALL_AGENTS, str(server.port), str(tmp_path / "out"), *agents]
        environment = os.environ | {"PYTHONPATH": str(tmp_path / "tree")}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=300)
        assert done.returncode == 0, done.stderr
    prompts = [chat["messages"][0]["content"] for chat in server.chats]
    runs = {agent: steps(run_folder(tmp_path / "out" / agent)) for agent in agents}
    for agent, run in runs.items():
        assert [step["task"] for step in run] == [str(3 * n + 1) for n in range(12)], agent
    assert {step["reward"] for step in runs["ground-truth"]} == {1}
    assert [step["reward"] for step in runs["icrl"]] == [0, 1] * 6
    assert any("Feedback: this answer was wrong" in prompt for prompt in prompts)
    if "cbrgt" in runs:
        assert all(step["cases"] for step in runs["cbrgt"][1:])
        assert runs["cbrdiscover"][-1]["metrics"]["NumDiscovery"] > 0
        assert any("Number: 1\nAnswer: \\boxed{odd}\n" in prompt for prompt in prompts)
        summary = json.loads((run_folder(tmp_path / "out" / "cbr") / "summary.json").read_text())
        assert summary["success_rate"] == 0.5 and summary["bank_size"] == 6


def printed_files(page: str) -> dict[str, str]:
    """The example task of a page: its code blocks by the path that each names in its first line."""
    blocks = re.findall(r"```python\n(# (env/\S+\.py)\n.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.S)
    return {path: source for source, path in blocks}


def test_printed_examples_run(tmp_path: Path) -> None:
    short, whole = printed_files("README.md"), printed_files("docs/tasks.md")
    assert set(short) == {"env/tickets.py", "env/prompts/tickets_prompt.py"}
    assert set(whole) == {"env/parity.py", "env/prompts/parity_prompt.py"}
    lines = '    "tickets": "env.tickets:Tickets",\n    "parity": "env.parity:Parity",\n'
    assert lines.splitlines()[0].strip() in (ROOT / "README.md").read_text(encoding="utf-8")
    write_task(tmp_path / "tree", short | whole, lines)
    script = "import sys, main; sys.exit(max(main.main(words.split()) for words in sys.argv[1:]))"
    runs = [("parity", "ground-truth"), *(("tickets", agent) for agent in ("zero-shot", "icrl", "ground-truth"))]
    words = [f"--env {env} --agent {agent} --output_dir {tmp_path / 'out'}" for env, agent in runs]
    command = [sys.executable, "-c", script, *words]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path / "tree", timeout=300)
    assert done.returncode == 0, done.stderr
    rates = {}
    for folder in run_folders(tmp_path / "out"):
        summary = json.loads((folder / "summary.json").read_text())
        rates[tuple(folder.relative_to(tmp_path / "out").parts[:2])] = summary["success_rate"]
    assert rates.keys() == set(runs)
    assert rates["parity", "ground-truth"] == rates["tickets", "ground-truth"] == 1.0
    assert min(rates.values()) > 0


PART = re.compile(r"^# (\S+\.py)(?:, (?:in (\w+)|at its end).*)?\n", re.M)
PLACES = {  # what a printed line "in NAME" is put behind
    **{name: f"{name}: dict[str, Row] = {{\n" for name in ("POLICIES", "RETRIEVALS")},
    "AGENTS": "AGENTS: dict[str, AgentRow] = {\n",
}


def printed_parts(page: str) -> list[tuple[str, str, str]]:
    """(file, the table or class that it goes into or "", source) of what a page adds to agents and policies."""
    parts = []
    for block in re.findall(r"```python\n(# .*?)```", (ROOT / page).read_text(encoding="utf-8"), re.S):
        pieces = PART.split(block)[1:]
        parts += [part for part in zip(pieces[::3], pieces[1::3], pieces[2::3]) if not part[0].startswith("env/")]
    return [(path, place or "", source) for path, place, source in parts]


def add_parts(root: Path, parts: list[tuple[str, str, str]]) -> None:
    """Put each part where its first line says: into a table, at the end of a file, or into a file of its own."""
    for path, place, source in parts:
        file = root / path
        text = file.read_text(encoding="utf-8") if file.exists() else ""
        if place == "Config":
            new = re.sub(r"(?m)^    llm: str", source + "\\g<0>", text, count=1)
        elif place:
            assert text.count(PLACES[place]) == 1
            new = text.replace(PLACES[place], PLACES[place] + source)
        else:
            new = f"{text}\n\n{source}" if text else source
        assert new != text
        file.write_text(new, encoding="utf-8")


def in_tree(root: Path, *arguments: str) -> str:
    command = [sys.executable, *arguments]
    environment = os.environ | {"PYTHONPATH": ""}
    done = subprocess.run(command, capture_output=True, text=True, cwd=root, env=environment, timeout=500)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def test_printed_policy_and_agents_run_and_continue_after_a_kill(tmp_path: Path) -> None:
    parts = printed_parts("docs/agents.md")
    assert [path for path, place, _ in parts if place == ""] == ["bandit.py", "agents/latest.py"]
    assert [place for _, place, _ in parts if place] == ["POLICIES", "Config", "AGENTS", "RETRIEVALS", "AGENTS"]
    root = tmp_path / "tree"
    copy_project(root)
    add_parts(root, parts)
    command = re.search(
        r"`python (-m pytest \S+) -k \"(.+?)\"`", (ROOT / "docs" / "agents.md").read_text(encoding="utf-8")
    )
    assert command is not None
    ours = f"{command[2]} or (cbr-latest and Pretrained)"
    said = in_tree(root, *command[1].split(), "-k", ours, "-p", "no:cacheprovider", "-rp")
    killed = set(re.findall(r"PASSED \S+is_the_same_run\[(\S+)-random\]", said))
    agents = ("cbr", "cbrgt", "cbrdiscover", "cbr-latest", "mam-cbr")
    assert killed == {*(f"{agent}-EpsilonGreedy" for agent in agents), "icrl-gt-Random", "cbr-latest-Pretrained"}

    script = "import sys, main; sys.exit(max(main.main(words.split()) for words in sys.argv[1:]))"
    out = root / "out"
    choices = ["cbr --bandit EpsilonGreedy --epsilon 1", "cbr --bandit EpsilonGreedy --epsilon 0"]
    choices += ["cbr --bandit Pretrained", "icrl-gt --comk 2", "cbr-latest --bandit LinLogUCB"]
    in_tree(root, "-c", script, *(f"--env lfd --limit 16 --output_dir {out} --agent {choice}" for choice in choices))
    runs = {folder.relative_to(out).parts[1]: steps(folder) for folder in run_folders(out)}
    assert len(runs) == 5
    greedy, chance = runs["cbr-EpsilonGreedy,epsilon=0.0"], runs["cbr-EpsilonGreedy,epsilon=1.0"]
    shown = {name: [[case["id"] for case in step["cases"]] for step in run] for name, run in runs.items()}
    assert shown["cbr-EpsilonGreedy,epsilon=0.0"] == shown["cbr-Pretrained"]
    assert [step["cases"] for step in greedy] != [step["cases"] for step in chance]
    assert shown["icrl-gt,comk=2"] == [[n for n in (step - 2, step - 1) if n > 0] for step in range(1, 17)]
    latest = shown["cbr-latest-LinLogUCB"]
    assert {len(set(cases)) for cases in latest} >= {0, 1, 2, 3} and len(latest[-1]) in (3, 4)
    assert all(len(set(cases)) == len(cases) for cases in latest)


class Bare(Env):
    """A task of rows without labels, or of none."""

    rows: list[dict[str, str]] = []

    def init_env(self) -> None:
        self.dataset = list(self.rows)


def test_a_task_without_rows_or_labels_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENV_DICT, "bare", Bare)
    with pytest.raises(DataError, match="the task bare has no rows"):
        make_env("bare")
    monkeypatch.setattr(Bare, "rows", [{"task": "a question"}])
    with pytest.raises(DataError, match="row 1 of bare has no label"):
        make_env("bare").get_ground_truth()
