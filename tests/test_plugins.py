"""What a command line names outside the checkout, and what a --config file says: every mistake is one clear line."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

import main
from command_line import read_command_line
from config import Config
from env import home_of, make_env, name_of, resolve_data
from errors import DataError, UsageError
from helpers.fake_server import serving
from helpers.runs import argv, lfd_stream, run_folder, steps
from registry import find_agent, find_policy

TASK = """
from dataclasses import dataclass
from env.base import Env
from settings import setting

@dataclass(frozen=True)
class Settings:
    size: int = setting(4, "how many rows", at_least=1)
    ordering: str = setting("up", "of the rows", choices=("up", "down"))
    loud: bool = setting(False, "in capitals")

class Counting(Env):
    Settings = Settings
    ZERO_SHOT_PROMPT = CASE_PROMPT = "{task}"
    CBR_PROMPT = "{case_prompt} {task}"

    def init_env(self):
        rows = [{"task": f"row {n}", "label": str(n)} for n in range(self.settings.size)]
        self.dataset = rows if self.settings.ordering == "up" else rows[::-1]
"""

BOLDER = """
from bandit import LinLogUCB

class Bolder(LinLogUCB):
    def __init__(self, encoder, regularization, exploration=0.7, steps=3):
        super().__init__(encoder, regularization, exploration)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "counting.py").write_text(TASK)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: str, text: str) -> str:
    Path(path).write_text(text)
    return path


def fail(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line on standard error with which a command ends."""
    assert main.main(list(arguments)) in (1, 2)
    (line,) = capsys.readouterr().err.splitlines()
    return line


# -- places ------------------------------------------------------------------------------------------------------------


def test_a_place_is_called_the_same_from_everywhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Config(env="counting.py:Counting")
    (folder / "below").mkdir()
    monkeypatch.chdir(folder / "below")
    there = Config(env="../counting.py:Counting")
    assert here == there and here.env == f"{folder / 'counting.py'}:Counting"
    assert here.identity()["env"] == "counting.Counting" and here.run_name().startswith("counting.Counting/")
    assert name_of(here.env) == "counting" and home_of(here.env) == folder
    assert resolve_data(here.env, "auto") == "auto"


def test_a_module_and_a_package_are_places_too(folder: Path) -> None:
    (folder / "tasks_of_mine").mkdir()
    write("tasks_of_mine/__init__.py", "")
    write("tasks_of_mine/base_task.py", TASK)
    write("tasks_of_mine/other.py", "from .base_task import Counting\nclass Other(Counting):\n    pass\n")
    for place in ("tasks_of_mine.other:Other", "tasks_of_mine/other.py:Other"):
        config = Config(env=place)
        assert config.identity()["env"] == "other.Other" and len(make_env(config.env)) == 4


def test_what_extends_a_task_that_ships_plays_its_rows(folder: Path) -> None:
    write("mine.py", "from env.lfd import LFD\nclass Stricter(LFD):\n    pass\n")
    env = make_env(Config(env="mine.py:Stricter").env, "sample", limit=3)
    assert env.name == "lfd" and len(env) == 3 and home_of("mine.py:Stricter") is None


@pytest.mark.parametrize("place, words", [
    ("counting.py:Countin", "counting.py has no Countin. Did you mean Counting?"),
    ("counting.py", "counting.py:CLASS, with one of Settings, Counting"),
    ("count.py:Counting", "count.py does not exist"),
    ("counting.py:Settings", "Settings is no task: extend Env"),
    ("no_such.module:Task", "there is no module no_such.module"),
    ("broken.py:Task", "broken.py:2: "),
    ("raises.py:Task", "raises.py cannot be loaded (ZeroDivisionError: division by zero)"),
    ("relative.py:Task", "outside the checkout, write `from env.base import Env`"),
    ("needs.py:Task", "needs.py imports no_such_package, which is neither installed nor beside it"),
])  # fmt: skip
def test_a_place_that_leads_nowhere(place: str, words: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write("broken.py", "class Task:\n    def (self): pass\n")
    write("raises.py", "1 / 0\n")
    write("relative.py", "from .base import Env\n")
    write("needs.py", "import no_such_package\n")
    assert words in fail(capsys, "--env", place)


@pytest.mark.parametrize("text, words", [
    ("retrive: latest", "unknown name 'retrive'. Did you mean 'retrieve'?"),
    ("retrieve: latst", "unknown retrieve 'latst'. Did you mean 'latest'?"),
    ("retrieve: [latest]", "retrieve has to be str, not ['latest']"),
    ("defaults: {comkk: 3}", "unknown option 'comkk'. Did you mean 'comk'?"),
    ("retain: mine.py:keep", "mine.py does not exist"),
    ("just a text", "expected lines NAME: VALUE"),
    ("retrieve: {", "cannot be read"),
])  # fmt: skip
def test_an_agents_file_that_cannot_be(text: str, words: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert words in fail(capsys, "--agent", write("own.yaml", text + "\n"))


def test_an_agent_needs_a_name_of_its_own_and_may_be_a_row_of_python(folder: Path) -> None:
    with pytest.raises(UsageError, match="there is an agent icrl already"):
        find_agent(write("icrl.yaml", "retrieve: latest\n"))
    write("rows.py", "from registry import AgentRow\nmine = AgentRow(retrieve='latest', retain='ground_truth')\n")
    config = Config(agent="rows.py:mine", comk=2)
    assert config.agent_row.retain == "ground_truth" and config.identity()["agent"] == "rows.mine"
    with pytest.raises(UsageError, match="is no row"):
        find_agent("counting.py:Counting")


def test_a_policy_has_the_options_and_defaults_of_what_it_extends(folder: Path) -> None:
    write("bolder.py", BOLDER)
    config = Config(bandit="bolder.py:Bolder", bandit_settings="steps=5")
    assert config.exploration == 0.7 and config.identity()["regularization"] == 0.1
    assert config.policy_settings == {"steps": 5} and "cbr-bolder.Bolder,steps=5" in config.run_name()
    assert Config(bandit="bolder.py:Bolder", bandit_settings="steps=3").bandit_settings is None
    assert "learning_rate" not in config.identity()
    with pytest.raises(UsageError, match="is no policy"):
        find_policy("counting.py:Counting")


# -- settings ----------------------------------------------------------------------------------------------------------


def test_settings_are_typed_checked_and_kept_off_their_default(folder: Path) -> None:
    def read(*words: str) -> Config:
        return Config(**read_command_line(["--env", "counting.py:Counting", *words])[1])

    assert read("--size", "4").task_settings is None and read("--size=4") == read()
    config = read("--ordering", "down", "--loud", "--size", "2")
    assert config.task_settings == "loud=True ordering=down size=2"
    assert config == read("--task_settings", "size=2 ordering=down loud=1")
    assert "counting.Counting,loud=True,ordering=down,size=2" in config.run_name()
    env = make_env(config.env, config=config)
    assert [row["task"] for row in env.dataset] == ["row 1", "row 0"] and env.settings.loud is True
    assert len(make_env(config.env)) == 4


@pytest.mark.parametrize("words, said", [
    ("--size x", "--size x: not int"),
    ("--size 0", "--size must be at least 1, not 0"),
    ("--ordering sideways", "unknown --ordering 'sideways'. Choose from: up, down"),
    ("--siz 3", "Did you mean --size?"),
    ("--task_settings sise=3", "the task counting.Counting has no setting 'sise'"),
    ("--task_settings size", "have to be NAME=VALUE"),
])  # fmt: skip
def test_settings_that_cannot_be(words: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said in fail(capsys, "--env", "counting.py:Counting", *words.split(" ", 1))


@pytest.mark.parametrize("field, said", [
    ("seed: int = setting(1, 'x')", "declares --seed, which is an option of main.py"),
    ("size: list = setting((), 'x')", "needs a default, and one of the types bool, int, float, str"),
    ("size: int", "needs a default"),
])  # fmt: skip
def test_a_setting_that_cannot_be_declared(
    field: str, said: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = "from dataclasses import dataclass\nfrom env.base import Env\nfrom settings import setting\n"
    source += f"class Own(Env):\n    @dataclass\n    class Settings:\n        {field}\n"
    assert said in fail(capsys, "--env", write("own.py", source) + ":Own")


# -- labels and prompts ------------------------------------------------------------------------------------------------

LABELS = "from env.base import LabelEnv\nclass Tickets(LabelEnv):\n    instruction = 'Which {team}?'\n"


def test_labels_that_are_missing_double_or_unknown(folder: Path) -> None:
    place = Config(env=write("tickets.py", LABELS) + ":Tickets").env
    with pytest.raises(DataError, match=r"tickets has no labels yet: write them to .*/tickets.txt, one a line"):
        make_env(place)
    write("tickets.txt", "network\nNetwork \n")
    with pytest.raises(DataError, match="tickets.txt has 'Network' twice"):
        make_env(place)
    write("tickets.txt", "network\nhardware\n")
    with pytest.raises(DataError, match=r"tickets has no rows yet: write them to .*/tickets.jsonl"):
        make_env(place)
    write("tickets.jsonl", '{"task": "no wifi", "label": "wifi"}\n')
    with pytest.raises(DataError, match=r"tickets.jsonl:1: unknown label 'wifi'; the labels are in .*/tickets.txt"):
        make_env(place)
    write("tickets.jsonl", '{"task": "no wifi", "label": "network"}\n')
    assert make_env(place).get_zero_shot_prompt("no {wifi}").startswith("Which {team}?\n\n<options>\n- network\n")


@pytest.mark.parametrize("name, template, said", [
    ("ZERO_SHOT_PROMPT", "Answer \\boxed{team}. {task}", "{team} is no place to fill in; it takes {task}"),
    ("CBR_PROMPT", "{case_prompt} a { brace {task}", "a stray brace"),
    ("CASE_PROMPT", "{task} {label}", "{label} is no place to fill in; it takes {answer}, {task}"),
])  # fmt: skip
def test_a_stray_brace_is_told_before_the_run(name: str, template: str, said: str, folder: Path) -> None:
    write("counting.py", TASK.replace("    def init_env", f"    {name} = {template!r}\n    def init_env"))
    with pytest.raises(DataError) as error:
        make_env(Config(env="counting.py:Counting").env)
    assert f"{name} of the task counting: " in str(error.value) and said in str(error.value)
    assert "a brace that is text is written twice, {{ or }}" in str(error.value)


# -- --config ----------------------------------------------------------------------------------------------------------


def test_a_run_is_repeated_from_its_own_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lfd_stream(tmp_path, 6)
    with serving() as server:
        first = argv(server, tmp_path / "one", "--agent", "icrl", "--comk", 2, "--shuffle", "--seed", 3, "--overwrite")
        assert main.main(first) == 0
        record = str(run_folder(tmp_path / "one") / "config.yaml")
        asked = len(server.chats)
        assert main.main(["--config", record]) == 0 and len(server.chats) == asked  # the same run: it is finished
        assert main.main(["--config", record, "--output_dir", str(tmp_path / "two")]) == 0
        more = ["--output_dir", str(tmp_path / "three"), "--agent", "icrl-plus", "--limit", "4"]
        assert main.main(["--config", record, *more]) == 0
    one, two, three = (run_folder(tmp_path / name) for name in ("one", "two", "three"))
    assert steps(one) == steps(two) and one.parts[-4:] == two.parts[-4:]
    assert "icrl-plus,comk=2" in str(three) and len(steps(three)) == 4
    assert "has no effect" not in capsys.readouterr().err


def test_another_method_takes_its_own_defaults_not_the_ones_filled_in(tmp_path: Path) -> None:
    record = tmp_path / "config.yaml"
    ran = Config(agent="memento-q", learning_rate=3e-5)
    record.write_text(yaml.safe_dump({"identity": ran.identity(), "options": vars(ran)}))

    def read(*words: str) -> Config:
        return Config(**read_command_line(["--config", str(record), *words])[1])

    assert read() == ran
    other = read("--agent", "cbr")
    assert (other.comk, other.bandit, other.learning_rate) == (1, "NeuralLinLogUCB", 3e-5)
    served = read("--llm", "qwen3-8b")
    assert served.serving_mode == "vllm" and served.comk == 4 and served.llm == "qwen3-8b"


def test_a_file_of_options_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("env: lfd\nnu: 2e-1\nlearning_rate: 1e-5\nshuffle: true\nlimit: 7\n")
    typed, options = read_command_line(["--config", str(path), "--limit", "3"])
    assert typed == {"limit": 3}
    assert options == {"env": "lfd", "exploration": 0.2, "learning_rate": 1e-5, "shuffle": True, "limit": 3}


@pytest.mark.parametrize("text, words", [
    ("agnet: cbr\nlimti: 3", "no option agnet (did you mean agent?), there is no option limti (did you mean limit?)"),
    ("limit: many", "limit cannot be 'many'"),
    ("limit: 2.5\nshuffle: 1", "limit cannot be 2.5, shuffle cannot be 1"),
    ("- agent", "expected lines OPTION: VALUE"),
    ("agent: [", "cannot be read"),
    ("identity: {env: lfd}", "this run's options are missing"),
    ("identity: {env: lfd}\noptions: {env: lfd, gone: 1}", "there is no option gone; take it out of a copy"),
])  # fmt: skip
def test_a_file_of_options_that_cannot_be(
    text: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(text)
    line = fail(capsys, "--config", str(path))
    assert words in line and str(path) in line


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert fail(capsys, "--config", "nowhere.yaml") == (
        "error: --config nowhere.yaml: cannot be read (No such file or directory)"
    )
