"""ALFWorld's games: getting them with the package's own download, and making rows of those on disk."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from env.alfworld import HouseholdGame, first_observation
from errors import DataError, UsageError

SPLITS = ("valid_unseen", "valid_seen", "train")  # the usual one first
GAMES = "games"  # below the task's data folder


def find_games(release: Path, split: str | None) -> tuple[Path, dict[str, Path]]:
    """The split's folder in a release, and its games: path below the task's data folder -> file."""
    if split not in (None, *SPLITS):
        raise UsageError(f"alfworld has no split {split!r}; choose from: {', '.join(SPLITS)}")
    wanted = SPLITS if split is None else (split,)
    folders = [release / below / name for name in wanted for below in ("json_2.1.1", "")]
    root = next((folder for folder in folders if folder.is_dir()), None)
    if root is None:
        split_folders = " or ".join(wanted)
        raise DataError(f"{release} has no folder {split_folders}: --from takes the folder that ALFWORLD_DATA names")
    files = {f"{GAMES}/{file.relative_to(root.parent).as_posix()}": file for file in sorted(root.rglob("game.tw-pddl"))}
    if not files:
        raise DataError(f"{root} has no game.tw-pddl")
    return root, files


def game_rows(files: dict[str, Path]) -> list[dict[str, Any]]:
    """A row for every game, with the text that the engine begins it with; it takes about a second a game."""
    engine = HouseholdGame()
    rows = []
    for name, file in files.items():
        try:
            feedback = engine.begin(json.loads(file.read_text(encoding="utf-8"))).feedback
        except (ValueError, KeyError) as error:
            raise DataError(f"{file} is not a game file ({type(error).__name__}: {error})") from None
        rows.append({"task": first_observation(feedback), "game_file": name})
    return rows


def fetch_games(folder: Path) -> None:
    """Run `alfworld-download` where there are no games yet. Raises DataError that says what to do where it fails."""
    data = Path(os.environ.get("ALFWORLD_DATA") or "~/.cache/alfworld").expanduser()
    if any(data.glob("json_2.1.1/*/*/*/game.tw-pddl")):
        print(f"the games are in {data}")
        return
    script = Path(sys.executable).with_name("alfworld-download")
    by_hand = (
        "run `alfworld-download` of the package alfworld where there is a network, and name its folder with "
        "ALFWORLD_DATA or --alfworld_path; --data sample works without it"
    )
    if not script.is_file():
        raise DataError(f"the rows are there, but {script} is not: pip install -r requirements-envs.txt, or {by_hand}")
    print(f"{script.name} fetches the games to {data}; this takes a while")
    if subprocess.run([sys.executable, str(script), "--data-dir", str(data)], check=False).returncode != 0:
        raise DataError(f"the rows are there, but {script.name} could not fetch the games: {by_hand}")
    print(f"the games are in {data}")
