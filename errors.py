"""The few exceptions that reach the person at the terminal.

Each carries one clear line that says what is wrong and what to do; main.py prints it and picks the exit code.
Anything else that escapes is a bug and keeps its traceback.
"""

from __future__ import annotations

import difflib
import errno
import sys
import traceback
from collections.abc import Callable, Iterable

from stopping import Terminated


class UserError(Exception):
    """Something the user can mend: data, a model folder, a server address. Exit code 1."""

    exit_code = 1


class UsageError(UserError):
    """The command line itself is wrong. Exit code 2."""

    exit_code = 2


class DataError(UserError):
    """A data file is missing or malformed; the message names the file and, where there is one, the line."""


class CostError(UserError):
    """The run has cost what it may (--max_cost). It stops between two steps, to be continued."""


class LLMError(UserError):
    """The LLM did not answer: an outage, never a wrong answer. Nothing of the step is scored or learned."""


class RefusedError(LLMError):
    """This one prompt will not be answered, however often it is sent: too long, or stopped by a content filter.

    `--on_refused` decides what follows: the run stops, as at an outage, or it leaves the step out, unscored.
    """


def printable(text: str) -> str:
    """`text` from a model, a server or a file, safe for a terminal: what moves the cursor or hides text becomes \ufffd.

    Line ends and tabs stay.
    """
    return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text)


def exit_code(action: Callable[[], int | None], interrupted: str = "", debug: bool = False) -> int:
    """Carry out an `action`; what the user can mend becomes a line on standard error and an exit code.

    Args:
        interrupted: what to say after Ctrl-C.
        debug: show the traceback instead of the line.
    """
    try:
        return action() or 0
    except (UserError, OSError) as error:
        if debug:
            traceback.print_exc()
        else:
            print(f"error: {printable(_describe(error))}", file=sys.stderr)
        return error.exit_code if isinstance(error, UserError) else 1
    except KeyboardInterrupt as signal:
        terminated = isinstance(signal, Terminated)
        if interrupted:
            print(f"\n{'terminated' if terminated else 'interrupted'}: {interrupted}", file=sys.stderr)
        return 143 if terminated else 130


def _describe(error: Exception) -> str:
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error)
    where = f"{error.filename}: " if error.filename else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        kept = "what was logged is kept, and once there is room the same command goes on"
        return f"{where}no room left on the disk; {kept}"
    return f"{where}{error.strerror}"


def missing_package(error: ImportError, requirements: str = "requirements-envs.txt") -> UserError:
    """The error for a package of that file which is not installed."""
    return UserError(f"the package {error.name} is missing: `pip install -r {requirements}`")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """What of the `known` names whoever wrote `name` may have meant: another case, - for _, or a slip is forgiven."""
    by_letters = {_letters(one): one for one in known}
    near = difflib.get_close_matches(_letters(name), by_letters, n=1)
    return by_letters[near[0]] if near else None


def _letters(name: str) -> str:
    return name.strip("- ").casefold().replace("-", "_")


def unknown_choice(option: str, value: str, choices: Iterable[str]) -> UsageError:
    """The error for a name that is not among `choices`: it offers the nearest and lists them all."""
    names = list(choices)
    near = nearest(value, names)
    hint = f" Did you mean {near!r}?" if near else ""
    return UsageError(f"unknown {option} {value!r}.{hint} Choose from: {', '.join(names)}")
