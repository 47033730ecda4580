"""What a benchmark has measured, as JSON beside its table."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from typing import Any

FOLDER = Path("results") / "benchmarks"


def keep(command: str, figures: Any) -> Path:
    """Write the figures of a command to results/benchmarks/COMMAND.json, with what they were measured on."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{command}.json"
    machine = {"cores": os.cpu_count(), "load": os.getloadavg()[0], "processor": platform.processor()}
    path.write_text(json.dumps({"machine": machine, "figures": figures}, indent=1) + "\n", encoding="utf-8")
    return path
