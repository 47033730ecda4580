"""Reading main.py's command line: what was typed, what a --config file has beside it, and the settings that a named
task or policy declares.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import shlex
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, get_type_hints

import plugins
import settings
from config import ABOUT, EMBEDDED, EMBEDDED_READER, FIELDS, Config, about, declared_by_policy
from env import find_env
from errors import UsageError, nearest
from options import flag, kind_of, reader_of
from registry import AGENTS, CLIENTS, POLICIES, defaults_of

OF_THE_METHOD = ("agent", "bandit", "llm", "llms", "serving_mode", "env")  # each brings defaults of its own
EXAMPLES = """examples, the first without an LLM and in a minute:
  python main.py --env banking77 --agent cbr --shuffle --limit 100
  python main.py --env ddxplus --agent zero-shot --llm qwen3-8b --port 8000
  python main.py --env ddxplus --serving_mode openai --llm o3 --temperature none
  python main.py --env lfd --data my.csv --columns task=text,label=category
  python main.py --env path/to/mine.py:MyTask --seed -1
The same command continues a run that was stopped. Tables, plots and a page:
  python scripts/report.py results/"""
NOT_REPEATED = ("overwrite", "debug")  # what a run was told to do once


def read_command_line(argv: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(the options that a command line names, those with what its --config file has beside them), by field.

    Raises UserError; prints and exits for --help, which lists the settings of the task and policy that are named, too.
    """
    first = Parser("main.py", "", add_help=False)
    for name in ("config", "env", "bandit", "agent", "llm", "serving_mode", "llms"):
        first.add_argument(f"--{name}")
    named = {name: value for name, value in vars(first.parse_known_args(argv)[0]).items() if value is not None}
    kept = read_options_file(Path(named.pop("config")), named) if "config" in named else {}
    parser = _main_parser()
    parser.add_argument(
        "--config",
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="take the options of this YAML file, which may be the config.yaml of a run; those typed go before its",
    )
    own = _add_settings(parser, kept | named)
    typed = vars(parser.parse_args(argv))
    typed.pop("config", None)
    for field_name, declared in own.items():
        words = {name: typed.pop(f"{field_name}.{name}") for name in declared if f"{field_name}.{name}" in typed}
        if words:
            text = typed.get(field_name, kept.get(field_name)) or ""
            typed[field_name] = shlex.join([*shlex.split(text), *(f"{name}={value}" for name, value in words.items())])
    return typed, kept | typed


def _add_settings(parser: argparse.ArgumentParser, named: dict[str, Any]) -> dict[str, dict[str, settings.Setting]]:
    """Let `parser` take what the named task and policy declare; returns it by the field that keeps it."""
    own: dict[str, dict[str, settings.Setting]] = {}
    if "env" in named:
        own["task_settings"] = settings.of_class(find_env(named["env"]).Settings)
    own["bandit_settings"] = declared_by_policy(named.get("bandit"))
    for field_name, declared in own.items():
        whose = plugins.label(named["env" if field_name == "task_settings" else "bandit"]) if declared else ""
        group = parser.add_argument_group(f"settings of {whose}")
        for name, one in declared.items():
            if f"--{name}" in parser._option_string_actions:
                raise UsageError(f"{whose} declares --{name}, which is an option of main.py: give it another name")
            help = f"{one.help} (default: {one.default})".replace("%", "%%")
            metavar = one.kind.__name__.upper()
            more: dict[str, Any] = {"nargs": "?", "const": "true"} if one.kind is bool else {}
            group.add_argument(
                f"--{name}",
                dest=f"{field_name}.{name}",
                default=argparse.SUPPRESS,
                help=help,
                metavar=metavar,
                type=one.read,
                **more,
            )
    return own


def read_options_file(path: Path, typed: Mapping[str, Any]) -> dict[str, Any]:
    """The options in a YAML file, by field: lines OPTION: VALUE, or the `options` of a run's config.yaml.

    Where an option `typed` brings defaults of its own, what a run had filled in for the one before is left open again.
    Raises UsageError that names every line which cannot be read.
    """
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = error.strerror if isinstance(error, OSError) else " ".join(str(error).split())
        raise UsageError(f"--config {path}: cannot be read ({reason})") from None
    of_run = isinstance(found, dict) and isinstance(found.get("identity"), dict)
    options = found.get("options") if of_run else found
    if not isinstance(options, dict):
        what = "this run's options are missing" if of_run else "expected lines OPTION: VALUE"
        raise UsageError(f"--config {path}: {what}")
    fields = {flag(spec): name for name, spec in FIELDS.items()} | {name: name for name in FIELDS}
    values, wrong = {}, []
    for name, value in options.items():
        try:
            field_name = fields[str(name)]
            values[field_name] = read_value(field_name, value)
        except KeyError:
            near = nearest(str(name), fields)
            wrong.append(f"there is no option {name}" + (f" (did you mean {near}?)" if near else ""))
        except ValueError:
            wrong.append(f"{name} cannot be {value!r}")
    if wrong:
        advice = "; take it out of a copy of the file" if of_run else ""
        raise UsageError(f"--config {path}: {', '.join(wrong)}{advice}")
    return _reopened({n: v for n, v in values.items() if n not in NOT_REPEATED}, typed) if of_run else values


def read_value(name: str, value: Any) -> Any:
    """What a YAML file has for a field, as its type wants it: YAML reads 2e-5 as a text. Raises ValueError."""
    hint = get_type_hints(Config)[name]
    kinds = getattr(hint, "__args__", (hint,))
    if value is None and type(None) in kinds:
        return None
    if bool in kinds or isinstance(value, bool | list | dict) or value is None:
        if bool in kinds and isinstance(value, bool):
            return value
        raise ValueError
    read = reader_of(hint)
    if read is int and isinstance(value, float):
        raise ValueError
    return read(value)


def _reopened(options: dict[str, Any], typed: Mapping[str, Any]) -> dict[str, Any]:
    """A run's options without what was filled in for the agent, policy, LLM or task that another is typed for."""
    changed = {name for name in OF_THE_METHOD if name in typed and typed[name] != options.get(name)}
    if not changed:
        return options
    filled = Config(**options).row_defaults()
    left = {name: value for name, value in options.items() if name not in filled or filled[name] != value}
    if changed & {"llm", "llms", "serving_mode", "agent"}:
        for name in ("llm", "serving_mode"):
            if left.get(name) in (EMBEDDED, EMBEDDED_READER) or options.get("llms"):
                left.pop(name, None)
    if "env" in changed:
        left.pop("task_settings", None)
    if "bandit" in changed:
        left.pop("bandit_settings", None)
    return left


def config_of(argv: list[str]) -> Config:
    """The options of a command line without --config or settings of its task's or policy's own. Raises UsageError;
    prints and exits for --help.
    """
    return Config(**typed_options(argv))


def typed_options(argv: list[str]) -> dict[str, Any]:
    """The options that a command line names, by field. Raises UsageError; prints and exits for --help."""
    return vars(_main_parser().parse_args(argv))


def _main_parser() -> Parser:
    """main.py's, with its help: usage and examples, every option in groups, a line on each agent and policy."""
    parser = Parser("main.py", "Deployment-time learning: run an agent on a task's stream and log every step.")
    parser.usage, parser.epilog = "python main.py [--env TASK] [--agent AGENT] [--llm NAME] [OPTION ...]", EXAMPLES
    add_options(parser)
    return parser


def add_options(parser: argparse.ArgumentParser, whose: str = "") -> None:
    """Let `parser` take every option, in groups; the namespace holds only those that a command line names.

    Its help has a line on each agent and policy, too.
    """
    hints = get_type_hints(Config)
    for subject, (heading, _) in ABOUT.items():
        group = parser.add_argument_group(whose + heading)
        for name in about(subject):
            _add_argument(group, FIELDS[name], hints[name])
    for title, table in (("agents, --agent", AGENTS), ("policies, --bandit", POLICIES)):
        parser.add_argument_group(title, "\n".join(f"{name:<24}{row.help}" for name, row in table.items()))


def _add_argument(parser: argparse._ActionsContainer, spec: dataclasses.Field[Any], hint: Any) -> None:
    metadata = spec.metadata
    names = [f"--{flag(spec)}"] + ([f"--{metadata['alias']}"] if "alias" in metadata else [])
    help = metadata["help"].replace("%", "%%")
    if spec.name in ("agent", "bandit"):
        help += ": one of those below"
    elif "choices" in metadata:
        help += f" {{{', '.join(metadata['choices'])}}}"
    if "places" in metadata:
        help += f", or {metadata['places']} of your own"
    if hint is bool:
        parser.add_argument(*names, dest=spec.name, action="store_true", default=argparse.SUPPRESS, help=help)
        return
    default = _described_default(spec)
    if default:
        help += f" (default: {default})"
    metavar = metadata.get("metavar", "NAME" if "choices" in metadata else kind_of(hint).__name__.upper())
    kind = reader_of(hint)
    parser.add_argument(*names, dest=spec.name, type=kind, default=argparse.SUPPRESS, help=help, metavar=metavar)


def _described_default(spec: dataclasses.Field[Any]) -> str:
    """The field's default, or those that the registry's rows have for it: "0.1, openai: 0.05"."""
    if spec.default is not None:
        return str(spec.default)
    of_agents = {name: defaults_of([row, *row.rules()], "") for name, row in AGENTS.items()}
    of_others = {name: row.defaults for table in (POLICIES, CLIENTS) for name, row in table.items()}
    named = {name: values[spec.name] for name, values in (of_others | of_agents).items() if spec.name in values}
    values = list(named.values())
    if not values:
        return ""
    usual = values[0]
    others: dict[Any, list[str]] = {}
    for name, value in named.items():
        if value != usual:
            others.setdefault(value, []).append(name)
    return "; ".join([str(usual), *(f"{', '.join(names)}: {value}" for value, names in others.items())])


class _Help(argparse.HelpFormatter):
    """Wraps between words alone, for names like zero-shot stay whole; a text of several lines keeps them."""

    def _split_lines(self, text: str, width: int) -> list[str]:
        return textwrap.wrap(text, width, break_on_hyphens=False)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if "\n" not in text:
            return super()._fill_text(text, width, indent)
        lines = []
        for line in text.splitlines():
            column = re.match(r"\S+ {2,}", line)  # of a table the second one
            further = indent + " " * (column.end() if column else 6)
            lines += textwrap.wrap(
                line, width, initial_indent=indent, subsequent_indent=further, break_on_hyphens=False
            )
        return "\n".join(lines)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are UsageErrors, with the nearest option where a name is unknown."""

    def __init__(self, prog: str, description: str, add_help: bool = True) -> None:
        super().__init__(
            prog=prog, description=description, add_help=add_help, allow_abbrev=False, formatter_class=_Help
        )

    def error(self, message: str) -> NoReturn:
        unknown = message.partition("unrecognized arguments: ")[2].split()
        options = [word for word in unknown if word.startswith("-")]
        meant = [near for word in options or unknown if (near := self._meant(word))]
        hint = f". Did you mean {', '.join(dict.fromkeys(meant))}?" if meant else ""
        raise UsageError(f"{message}{hint} (`python {self.prog} --help` lists the options)")

    def _meant(self, word: str) -> str | None:
        """The option that an unknown word may stand for: a misspelt one, or the one whose value it is."""
        if word.startswith("-"):
            return nearest(word.partition("=")[0], self._option_string_actions)
        taking = (spec for spec in FIELDS.values() if word in spec.metadata.get("choices", ()))
        spec = next(taking, None)
        spelled = f"--{flag(spec)}" if spec else ""
        return f"{spelled} {word}" if spelled in self._option_string_actions else None
