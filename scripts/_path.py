"""Puts the project's root on the path, so that a script finds our modules wherever it is started from.

Every entry point of scripts/ imports this before them. `python scripts/report.py` begins with scripts/ on the path, and
there `report` is the script, so the root comes first.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) != sys.path[0]:
    sys.path.insert(0, str(ROOT))
