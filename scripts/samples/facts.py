"""The facts that a sample is drawn from: tables to read and edit, in data/<task>/sample/facts.yaml beside its rows."""

from __future__ import annotations

from types import SimpleNamespace

import yaml

from env.data import DATA_ROOT
from errors import DataError


def load_facts(task: str) -> SimpleNamespace:
    """The tables of `task`'s facts.yaml as attributes. Raises DataError where the file is no YAML mapping."""
    path = DATA_ROOT / task / "sample" / "facts.yaml"
    try:
        return SimpleNamespace(**yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError, TypeError) as error:
        raise DataError(f"{path} cannot be read: {' '.join(str(error).split())}") from error
