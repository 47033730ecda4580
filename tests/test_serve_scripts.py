"""The scripts that start vLLM: what they would run, by --dry-run."""

from __future__ import annotations

import os
import subprocess

import pytest
from conftest import ROOT

SCRIPTS = sorted((ROOT / "scripts").glob("serve_qwen_*.sh"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_server_without_a_key_listens_on_this_machine_only(script: os.PathLike[str]) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("HOST", "PORT")}

    def command(*options: str, **variables: str) -> list[str]:
        shell = ["bash", str(script), "--dry-run", *options]
        return subprocess.run(
            shell, env=environment | variables, capture_output=True, text=True, check=True
        ).stdout.split()

    words = command("--seed", "1")
    assert words[:2] == ["vllm", "serve"] and words[-2:] == ["--seed", "1"]
    assert words[words.index("--host") + 1] == "127.0.0.1" and words[words.index("--port") + 1] == "8000"
    words = command(HOST="0.0.0.0", PORT="9000")
    assert words[words.index("--host") + 1] == "0.0.0.0" and words[words.index("--port") + 1] == "9000"
