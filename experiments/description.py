"""A description of experiments of one's own: read, completed from what ships, and checked as a whole.

    figures:
      mine: {tasks: [banking77], methods: [zero-shot, cbr-LinLogUCB, close]}
    methods:
      close: {agent: cbr, nu: 0.01}

It says what it uses and no more. Methods and LLMs of experiments.yaml are known by name, an agent by its own, with a
policy as AGENT-POLICY, either also by a place outside the checkout; where no LLMs are named, the embedded reader
answers. The paper's encoders and tuned settings are not taken over. Every error is found before one is told.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

import plugins
from command_line import read_value
from config import EMBEDDED, EMBEDDED_READER, FIELDS, read_members
from env import ENV_ALIASES, ENV_DICT
from errors import UserError, nearest
from options import check, flag
from registry import AGENTS, POLICIES, defaults_of, method_rows
from runs.folder import write_atomically

EXPERIMENTS = Path(__file__).with_name("experiments.yaml")
GIVEN = "given"  # of a part's tasks and LLMs: those that the command line names
KEPT = "experiments.yaml"  # in --output_dir: the figures of one's own that have runs there
PLAN = "plan"  # the figure of --methods, --tasks and --llms
SHARED = ("seeds", "methods", "llms", "encoders", "tuned", "reinforce_learning_rate")
ANCHORS = ("tasks", "settings")  # where lists and options may stand that figures refer to
OF_A_PART = ("title", "tasks", "methods", "llms", "options", "controls", "without")
BY_FLAG = {flag(spec): name for name, spec in FIELDS.items()}
Described = dict[str, Any]


def read_description(path: Path) -> Described:
    """The mapping in a YAML file. Raises UserError."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise UserError(f"--experiments {path}: cannot be read ({reason})") from None
    if not isinstance(found, dict) or not isinstance(found.get("figures"), dict):
        form = "write `figures:`, and below it NAME: {tasks: [...], methods: [...]}"
        raise UserError(f"--experiments {path}: it has no figures; {form}")
    return found


def described_by(methods: str, tasks: str, llms: str | None) -> Described:
    """The description of one figure, of names with commas between them. An LLM may have options behind its name."""
    members = read_members(llms) if llms else []
    part = {"methods": _names(methods), "tasks": _names(tasks), "llms": [name for name, _ in members]}
    together = {"llms": llms} if llms and len(members) > 1 else {}
    served = {name: {"serving_mode": "vllm", **own} for name, own in members if name != EMBEDDED_READER}
    return {"figures": {PLAN: part | {"options": together, "llms": part["llms"] or [EMBEDDED_READER]}}, "llms": served}


def _names(text: str) -> list[str]:
    return [name for name in (piece.strip() for piece in text.split(",")) if name]


def complete(own: Described, where: str) -> Described:
    """`own` with what it leaves to what ships. Raises UserError that names everything that is wrong in it."""
    shipped = yaml.safe_load(EXPERIMENTS.read_text(encoding="utf-8"))
    entries = (*SHARED, *ANCHORS, "figures")
    problems = [_unknown("entry", name, entries) for name in own if name not in entries]
    for name in SHARED:
        if name != "seeds" and not isinstance(own.get(name, {}), dict):
            problems.append(f"{name} is not a mapping of names")
    if problems:
        raise _wrong(where, problems)
    rates = {"default": AGENTS["reinforce"].defaults["learning_rate"]}
    known_llms = shipped["llms"] | {EMBEDDED_READER: {"serving_mode": EMBEDDED}}
    made: Described = {
        "seeds": own.get("seeds", shipped["seeds"]),
        "encoders": own.get("encoders", {}),
        "tuned": own.get("tuned", {}),
        "reinforce_learning_rate": own.get("reinforce_learning_rate", rates),
        "methods": shipped["methods"] | _settings("method", own.get("methods", {}), problems),
        "llms": known_llms | _settings("llm", own.get("llms", {}), problems),
    }
    seeds = made["seeds"]
    if not isinstance(seeds, list) or not all(type(seed) is int and seed >= 0 for seed in seeds) or not seeds:
        problems.append(f"seeds: {seeds!r} is no list of whole numbers")
    made["figures"] = {str(name): _figure(str(name), figure, made, problems) for name, figure in own["figures"].items()}
    if problems:
        raise _wrong(where, problems)
    return made


def _wrong(where: str, problems: list[str]) -> UserError:
    if len(problems) == 1:
        return UserError(f"{where}: {problems[0]}")
    return UserError("\n  ".join([f"{where}: {len(problems)} things are wrong", *problems]))


def _unknown(what: str, name: Any, known: Iterable[str]) -> str:
    near = nearest(str(name), known)
    return f"there is no {what} {name}" + (f" (did you mean {near}?)" if near else "")


def _settings(what: str, described: Described, problems: list[str]) -> Described:
    """Options by the name of what has them, each value as its option takes it."""
    return {str(name): _options(f"{what} {name}", options, problems) for name, options in described.items()}


def _options(where: str, options: Any, problems: list[str]) -> Described:
    if not isinstance(options, dict):
        problems.append(f"{where}: {options!r} are no options; write {{agent: cbr, nu: 0.2}}")
        return {}
    read: Described = {}
    for name, value in options.items():
        if name not in BY_FLAG:
            problems.append(f"{where}: {_unknown('option', name, BY_FLAG)}")
            continue
        try:
            read[name] = read_value(BY_FLAG[name], value)
            check(FIELDS[BY_FLAG[name]], read[name])
        except ValueError:
            problems.append(f"{where}: {name} cannot be {value!r}")
        except UserError as error:
            problems.append(f"{where}: {error}")
    return read


def _figure(name: str, figure: Any, made: Described, problems: list[str]) -> Described:
    """A figure with its parts in full; one that has no `parts` is a single part itself."""
    if not isinstance(figure, dict):
        problems.append(f"figure {name}: {figure!r} is no figure; write {{tasks: [...], methods: [...]}}")
        return {}
    single = "parts" not in figure
    parts = (
        [{key: value for key, value in figure.items() if key not in ("title", "seeds")}] if single else figure["parts"]
    )
    if not isinstance(parts, list) or not parts:
        problems.append(f"figure {name}: its parts are no list")
        return {}
    whole = {"title": str(figure.get("title", name)), "parts": [_part(name, part, made, problems) for part in parts]}
    return whole | ({"seeds": figure["seeds"]} if "seeds" in figure else {})


def _part(figure: str, part: Any, made: Described, problems: list[str]) -> Described:
    where = f"figure {figure}"
    if not isinstance(part, dict):
        problems.append(f"{where}: {part!r} is no part; write {{tasks: [...], methods: [...]}}")
        return {}
    problems += [f"{where}: {_unknown('entry', name, OF_A_PART)}" for name in part if name not in OF_A_PART]
    part = {"llms": [EMBEDDED_READER]} | part
    for name in ("tasks", "methods", "llms"):
        if part.get(name) == GIVEN and name != "methods":
            continue
        if not isinstance(part.get(name), list) or not part[name]:
            problems.append(f"{where}: it names no {name}; write {name}: [...]")
            part[name] = []
    methods = [_method(where, str(name), made, problems) for name in part["methods"]]
    tasks = part["tasks"] if part["tasks"] == GIVEN else [_task(where, task, problems) for task in part["tasks"]]
    if part["llms"] != GIVEN:
        problems += [f"{where}: {_unknown('llm', n, made['llms'])}" for n in part["llms"] if n not in made["llms"]]
    options = _options(where, part.get("options", {}), problems)
    return part | {"methods": methods, "tasks": tasks, "options": options}


def _task(where: str, task: Any, problems: list[str]) -> Any:
    env = task.get("env") if isinstance(task, dict) else task
    if not isinstance(env, str) or not (env in ENV_DICT or env in ENV_ALIASES or plugins.is_outside(env)):
        problems.append(f"{where}: {_unknown('task', env, ENV_DICT)}")
        return task
    env = ENV_ALIASES.get(env, env)
    return _options(f"{where}, task {env}", task | {"env": env}, problems) if isinstance(task, dict) else env


def _method(where: str, name: str, made: Described, problems: list[str]) -> str:
    """What the method is called: its name, or that of the same options; an agent's own joins those that are made."""
    methods: Described = made["methods"]
    plain, _, control = name.rpartition(" ")
    if name in methods or (control in FIELDS["control"].metadata["choices"] and plain in methods):
        return name
    options = _agent_and_policy(name)
    if options is None:
        known = [*methods, *AGENTS, *(f"cbr-{policy}" for policy in POLICIES)]
        problems.append(f"{where}: {_unknown('method', name, known)}")
        return name
    filled = options | {key: value for key, value in _defaults(options).items() if key == "bandit"}
    for other, theirs in methods.items():
        if theirs in (options, filled):
            return str(other)
    methods[name] = options
    return name


def _agent_and_policy(name: str) -> Described | None:
    """`cbr-LinLogUCB` -> {agent: cbr, bandit: LinLogUCB}; an agent or a policy may be a place."""
    if name in AGENTS or plugins.is_outside(name):
        return {"agent": name}
    for agent in AGENTS:
        policy = name.removeprefix(f"{agent}-")
        if policy != name and (policy in POLICIES or plugins.is_outside(policy)):
            return {"agent": agent, "bandit": policy}
    return None


def _defaults(options: Described) -> Described:
    if options["agent"] not in AGENTS:
        return {}
    return defaults_of(method_rows(options["agent"], options.get("bandit"), ""), "") | options


def keep(own: Described, figures: Iterable[str], folder: Path) -> None:
    """Write what `own` says of these figures into `folder`, beside what is there, for reports to know them."""
    path = folder / KEPT
    before: Described = read_description(path) if path.exists() else {"figures": {}}
    kept = {name: before.get(name, {}) | own.get(name, {}) for name in ("methods", "llms")}
    chosen = {name: own["figures"][name] for name in figures if name in own["figures"]}
    text = yaml.safe_dump(kept | {"figures": before["figures"] | chosen}, sort_keys=False, allow_unicode=True)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text)
