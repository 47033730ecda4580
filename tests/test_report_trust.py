"""Reading a results folder runs no code that it names, unless the user says so."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml

from helpers.planted_runs import plant_run
from report import cli, plots

EVIL = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\n\nclass Evil:\n    pass\n"


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A results folder with a Python file beside its one run."""
    folder = plant_run(tmp_path / "theirs", [1, 0], "--agent", "zero-shot")
    (tmp_path / "theirs" / "evil.py").write_text(EVIL)
    return folder


def point(folder: Path, part: str, name: str, value: object) -> None:
    config = yaml.safe_load((folder / "config.yaml").read_text("utf-8"))
    config[part][name] = value
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")


@pytest.mark.parametrize("form", ["{root}/evil.py:Evil", "evil:Evil", "{root}/rules.yaml"])
def test_no_code_of_a_run_folder_is_loaded(
    form: str, foreign: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever config.yaml has a task, an agent or a policy, the name may be that of a file."""
    root = next(parent for parent in foreign.parents if (parent / "evil.py").is_file())
    (root / "rules.yaml").write_text(f"retrieve: {root}/evil.py:Evil\n")
    monkeypatch.setattr(plots, "picture", lambda figure, kind: b"")
    monkeypatch.chdir(root)
    monkeypatch.syspath_prepend(str(root))
    place = form.format(root=root)
    for i, part in enumerate(("options", "identity")):
        for j, name in enumerate(("env", "agent", "bandit")):
            folder = root / f"{part}-{name}"
            shutil.copytree(foreign, folder)
            point(folder, "identity", "seed", 3 * i + j + 1)
            point(folder, part, name, place)
            assert cli.main([str(folder)]) == 0
    capsys.readouterr()
    assert cli.main([str(root)]) == 0
    said = capsys.readouterr().err
    assert said.count("--trust_code") == 1 and f"not loaded: code that 3 runs name ({place})" in said
    cli.main([str(root), "--diagnose"])
    assert not (root / "ran").exists()


def test_trusted_code_is_loaded(foreign: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = next(parent for parent in foreign.parents if (parent / "evil.py").is_file())
    point(foreign, "options", "env", f"{root}/evil.py:Evil")
    assert cli.main([str(root), "--trust_code"]) == 0
    assert (root / "ran").exists() and "not loaded" not in capsys.readouterr().err
