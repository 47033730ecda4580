"""How the embedded reader answers where a script is asked for: by the shown script, or by the plainest one."""

from __future__ import annotations

import difflib
import re

from env.parsing import last_code_block

_TOKEN = re.compile(r"\w+(?:[.'-]\w+)*|[^\w\s]")
_TABLE = re.compile(r"^- (\w+): (.+)$", re.MULTILINE)
_PATIENT = re.compile(r"\bpatient (\d+)")
_COUNTS = re.compile(r"\bhow many times\b", re.IGNORECASE)


def write_script(task: str, tables: str, case: tuple[str, str] | None) -> str | None:
    """The case's script with its values exchanged for the task's, else a plain look-up; None where neither is possible.

    Args:
        tables: the prompt's schema, lines "- table: COLUMN, COLUMN". case: the shown case's task and answer.
    """
    shown = last_code_block(case[1], "python") if case else None
    script = exchange_values(shown, case[0], task) if shown else None
    script = script or _plain_script(task, tables)
    return None if script is None else f"```python\n{script}\n```"


def exchange_values(script: str, old: str, new: str) -> str | None:
    """`script` with the words in which the question `new` differs from `old`; None where some are not in it."""
    for gap in (0, 1):
        exchanges = _differences(old, new, gap)
        if not exchanges:
            return script
        if all(phrase and other and _whole(phrase).search(script) for phrase, other in exchanges.items()):
            return _replace(script, exchanges)
    return None


def _replace(script: str, exchanges: dict[str, str]) -> str:
    return _whole(*exchanges).sub(lambda match: exchanges[match[0]], script)


def _whole(*phrases: str) -> re.Pattern[str]:
    """Any of the phrases, the longest that fits, where no word goes on before or after it."""
    longest_first = sorted(phrases, key=len, reverse=True)
    return re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")


def _differences(old: str, new: str, gap: int) -> dict[str, str]:
    """The stretches of `old` that read otherwise in `new`; at most `gap` tokens between two make them one."""
    before, after = list(_TOKEN.finditer(old)), list(_TOKEN.finditer(new))
    matcher = difflib.SequenceMatcher(None, [t[0] for t in before], [t[0] for t in after], autojunk=False)
    stretches: list[list[int]] = []
    for tag, i1, i2, j1, j2 in matcher.get_opcodes():
        if tag == "equal":
            continue
        if stretches and i1 - stretches[-1][1] <= gap:
            stretches[-1][1], stretches[-1][3] = i2, j2
        else:
            stretches.append([i1, i2, j1, j2])
    return {_text(old, before[i1:i2]): _text(new, after[j1:j2]) for i1, i2, j1, j2 in stretches}


def _text(question: str, tokens: list[re.Match[str]]) -> str:
    return question[tokens[0].start() : tokens[-1].end()] if tokens else ""


def _plain_script(task: str, tables: str) -> str | None:
    """Look up the one patient that the question names: the column that it names, or how often they are in the table."""
    patient, words = _PATIENT.search(task), _stems(task) - {"patient"}
    if patient is None:
        return None
    columns = {name: row.split(", ") for name, row in _TABLE.findall(tables) if "SUBJECT_ID" in row}
    if _COUNTS.search(task):
        table = next((name for name in columns if _stems(name) & words), None)
        return None if table is None else f"answer = len(FilterDB(LoadDB('{table}'), 'SUBJECT_ID={patient[1]}'))"
    for table, names in columns.items():
        for column in names:
            if column.lower() in words and column != "SUBJECT_ID":
                return f"answer = GetValue(FilterDB(LoadDB('{table}'), 'SUBJECT_ID={patient[1]}'), '{column}')"
    return None


def _stems(text: str) -> set[str]:
    """Words in small letters without the endings that tables and questions differ in (admissions, admitted)."""
    words = re.findall(r"[a-z]+", text.lower())
    return {re.sub(r"(?:t?ted|ssions?|s)$", "", word) for word in words if len(word) > 2} | set(words)
