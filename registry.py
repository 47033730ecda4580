"""What can be chosen by name, one row each: strings alone, so that `--help` and a check of names import no model code.

A row says where its class is, which options can change what it does, which defaults of theirs are its own, and a line
of help. To add one, write the class and its row.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from errors import UserError


@dataclass(frozen=True)
class Row:
    """One choice.

    Attributes:
        where: "module:Class", imported when it is used.
        options: the Config fields that can change its results, beside those that every run has.
        defaults: what it takes for those that the command line leaves open (None).
        help: what it is, in a line.
        requirements: the file that names the packages it needs.
    """

    where: str
    options: tuple[str, ...] = ()
    defaults: Mapping[str, Any] = field(default_factory=dict)
    help: str = ""
    requirements: str = "requirements.txt"

    def load(self) -> Any:
        """The class itself. Raises UserError where a package that it needs is not installed."""
        module, _, name = self.where.partition(":")
        try:
            return getattr(importlib.import_module(module), name)
        except ModuleNotFoundError as error:
            if error.name is None or module == error.name or module.startswith(f"{error.name}."):
                raise  # a row that points nowhere
            missing = error.name.partition(".")[0]
            raise UserError(f"the package {missing} is missing: `pip install -r {self.requirements}`") from error


_SAMPLING = ("max_new_tokens", "temperature", "top_p")
_QWEN3 = {"temperature": 0.1, "top_p": 0.8}  # the paper's; clients/sampling.py has what no option sets

CLIENTS: dict[str, Row] = {
    "embedded": Row("clients.embedded:EmbeddedReader", help="a small reader in this process, which is no LLM"),
    "openai": Row(
        "clients.server:OpenAI",
        _SAMPLING,
        {"temperature": 0.05, "top_p": 0.8},
        "an API of the OpenAI protocol (OPENAI_API_KEY, OPENAI_BASE_URL)",
    ),
    "vllm": Row("clients.server:VLLM", _SAMPLING, _QWEN3, "a vLLM server (--server, --port)"),
    "hf": Row("clients.local:LocalClient", (*_SAMPLING, "model_path"), _QWEN3, "transformers, in this process"),
}
