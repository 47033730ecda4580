"""The tasks.

Add yours with one line in ENV_DICT: its name -> its class, or a "module:Class" string that is imported when used.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import plugins
import settings
from errors import DataError, UsageError, unknown_choice

from .base import Env
from .data import locate, parse_columns, sample_stands_in
from .identity import hash_rows, task_code, templates_of

if TYPE_CHECKING:
    from config import Config
    from llm import LLM

__all__ = [
    "ENV_DICT",
    "Env",
    "describe_data",
    "describe_examples",
    "find_env",
    "make_env",
    "read_settings",
    "resolve_data",
    "task_code",
    "templates_of",
]
ENV_DICT: dict[str, type[Env] | str] = {
    "ddxplus": "env.ddxplus:DDXPlus",
    "mimic-iv-mr": "env.mimic_iv_mr:MimicMedication",
    "mimic-iv-msr": "env.mimic_iv_msr:MimicReferral",
    "mimic-iv-tlp": "env.mimic_iv_tlp:MimicTriage",
    "mud": "env.mud:MUD",
    "cmdl": "env.cmdl:CMDL",
    "banking77": "env.banking77:Banking77",
    "sentifin": "env.sentifin:SEntFiN",
    "rca": "env.rca:RCA",
    "lfd": "env.lfd:LFD",
    "spider": "env.spider:Spider",
    "bird": "env.bird:Bird",
    "ehr": "env.ehr:EHR",
    "alfworld": "env.alfworld:AlfWorld",
    "alfworld-react": "env.alfworld:AlfWorldReact",
    "scienceworld": "env.scienceworld:ScienceWorld",
    "scienceworld-react": "env.scienceworld:ScienceWorldReact",
    "2wiki": "env.twowiki:TwoWiki",
    "cosql": "env.cosql:CoSQL",
    "toolbench": "env.toolbench:ToolBench",
    "hotpotqa": "env.hotpotqa:HotpotQA",
    "ds1000": "env.ds1000:DS1000",
}
ENV_ALIASES = {"twowiki": "2wiki"}


def find_env(name: str) -> type[Env]:
    """The class of the task `name`, or at the place path/to/file.py:Class, imported now.

    Raises UsageError where there is no such task, UserError where its file cannot be loaded.
    """
    name = ENV_ALIASES.get(name, name)
    here = name in ENV_DICT
    env_class = ENV_DICT[name] if here else plugins.resolve(name)
    if not here and not plugins.is_outside(name):
        raise unknown_choice("--env", name, ENV_DICT)
    if isinstance(env_class, str):
        try:
            env_class = plugins.load(env_class)
        except ModuleNotFoundError as error:
            if here:
                raise
            raise plugins.missing_package(name, error) from error
    if not (isinstance(env_class, type) and issubclass(env_class, Env)):
        raise UsageError(f"--env {name} is no task: extend Env, LabelEnv or another task of env/")
    return env_class


def name_of(name: str) -> str:
    """What the task calls itself, and its rows and labels: its class's `name`, the name in ENV_DICT, or its file's."""
    own = find_env(name).name
    if own or not plugins.is_outside(name):
        return own or name
    place, _ = plugins.split(name)
    return Path(place).stem if place.endswith(".py") else place.rpartition(".")[2]


def home_of(name: str) -> Path | None:
    """The folder of a task outside env/, where its rows and labels are; None for those in it, and what extends one."""
    env_class = find_env(name)
    named = next((base for base in env_class.__mro__ if vars(base).get("name")), env_class)
    if not plugins.is_outside(name) or named.__module__.startswith(f"{__name__}."):
        return None
    return Path(str(sys.modules[named.__module__].__file__)).resolve().parent


def resolve_data(name: str, choice: str) -> str:
    """What `--data CHOICE` is in a run's name: `sample` where `auto` finds no other rows of the task `name`.

    So runs on the sample and runs on real rows that came later never share a folder.
    """
    if choice != "auto" or home_of(name) is not None:
        return choice
    stream = find_env(name).stream or name_of(name)
    return "sample" if sample_stands_in(stream) else choice


def read_settings(name: str, text: str | None) -> dict[str, Any]:
    """The values of the task's own settings, as `text` says or at their default. Raises UsageError."""
    declared = settings.of_class(find_env(name).Settings)
    return settings.read(text, declared, f"the task {plugins.label(name)}")


def make_env(
    name: str,
    data: str = "auto",
    shuffle_seed: int | None = None,
    limit: int | None = None,
    config: Config | None = None,
    make_llm: Callable[[Config], LLM] | None = None,
) -> Env:
    """Construct the task `name` and load its rows.

    Args:
        data: auto, official, sample, a folder, a .jsonl, .csv or .parquet file, or hf:OWNER/NAME[:SPLIT].
        shuffle_seed: order of the stream; None keeps the file's order.
        limit: keep the first N rows of the stream.
        config, make_llm: the command line, and what makes an LLM of one, for tasks with options of their own.
    Raises:
        UsageError: no such task. DataError: its rows are missing or malformed.
    """
    env_class, home = find_env(name), home_of(name)
    if home is not None:
        env_class.name, env_class.home = name_of(name), home  # known already when it is constructed
    env = env_class()
    env.name = env.name or name
    env.data = data
    if env_class.Settings is not None:
        env.settings = env_class.Settings(**read_settings(name, config.task_settings if config else None))
    if config is not None:
        env.columns = parse_columns(config.columns)
        env.prepare(config, make_llm or _no_llm)
    if env.dataset and (data != "auto" or env.columns):
        raise UsageError(f"the task {name} makes its rows itself: --data and --columns have no effect, drop them")
    if not env.dataset:
        env.init_env()
    env.check_prompts()
    if not len(env):
        raise DataError(f"the task {name} has no rows: its init_env() has to put them into self.dataset")
    if env.data_file is None:
        env.rows_sha256 = hash_rows(env.dataset)
    env.arrange(shuffle_seed, limit)
    return env


def _no_llm(config: Config) -> LLM:
    raise DataError("this task asks an LLM of its own, and there is none here")


def describe_data(env: Env) -> dict[str, Any]:
    """Where the task's rows come from: path, origin, sha256 (before they were put in order), rows in the stream."""
    if env.data_file is None:  # a task that loads its rows itself
        return {"path": None, "origin": "user", "sha256": env.rows_sha256, "rows": len(env)}
    return env.data_file.record() | {"rows": len(env)}


def describe_examples(config: Config) -> dict[str, str]:
    """The sha256 of the rows of --examples, where the run shows them; else nothing."""
    if config.examples is None or "examples" not in config.identity():
        return {}
    return {"examples_sha256": locate(name_of(config.env), config.examples, home_of(config.env)).sha256}
