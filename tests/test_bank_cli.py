"""scripts/bank.py, --bank_from and --policy_from on real runs: what was kept, cleaned and carried over."""

from __future__ import annotations

import functools
import json
import re
import shutil
from pathlib import Path

import pytest
import yaml

import main
from env.labels import load_labels
from errors import UserError
from helpers.fake_server import choose_option, serving
from helpers.runs import argv, lfd_stream, run_folder, steps
from helpers.tiny_models import save_bert_of_letters
from memory.encoders import TextEncoder
from memory.opening import open_bank
from memory.store import Store
from scripts.banks import commands

SIZE = 16


def mostly_right(prompt: str) -> str:
    """Right on three rows of lfd_stream in four, whatever else the prompt shows."""
    line, labels = int(re.findall(r"Line (\d+):", prompt)[-1]), load_labels("lfd")
    return choose_option(prompt) if line % 4 == 3 else f"\\boxed{{{labels[line * 7 % len(labels)]}}}"


@pytest.fixture(autouse=True)
def one_encoder(text_encoder: TextEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs and commands share the session's encoder; one of another path is loaded as ever."""
    monkeypatch.setattr(main, "make_load_encoder", lambda config: functools.cache(lambda: text_encoder))
    load = commands.load_encoder
    monkeypatch.setattr(
        commands, "load_encoder", lambda args: text_encoder if args.embedding_model_path == "embedded" else load(args)
    )


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory, text_encoder: TextEncoder) -> Path:
    """The folder of a finished run of cbr with LinLogUCB."""
    base = tmp_path_factory.mktemp("played")
    lfd_stream(base, SIZE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(main, "make_load_encoder", lambda config: functools.cache(lambda: text_encoder))
        with serving(mostly_right) as server:
            assert main.main(argv(server, base / "out", "--bandit", "LinLogUCB", "--comk", 2)) == 0
    return run_folder(base / "out")


def bank_py(*words: object) -> int:
    return commands.main([str(word) for word in words], "")


def start(base: Path, *more: object) -> Path:
    """A run in `base` on the same stream as `played`; returns its folder."""
    base.mkdir(exist_ok=True)
    lfd_stream(base, SIZE)
    with serving(mostly_right) as server:
        assert main.main(argv(server, base / "out", "--bandit", "LinLogUCB", "--comk", 2, *more)) == 0
    return run_folder(base / "out")


def test_a_finished_run_keeps_its_bank_with_the_records_of_its_log(played: Path) -> None:
    contents, logged = open_bank(played), steps(played)
    won = [step for step in logged if step["reward"]]
    assert [entry.step for entry in contents.entries] == [step["step"] for step in won]
    assert {entry.env for entry in contents.entries} == {"lfd"} and {entry.llm for entry in contents.entries} == {"m"}
    for entry in contents.entries:
        showing = [step for step in logged if entry.key in {case["key"] for case in step["cases"]}]
        assert (entry.shown, entry.won) == (len(showing), sum(step["reward"] for step in showing))
        assert 0 <= entry.expected <= entry.shown
    assert contents.vectors.shape == (len(won), 384) and contents.encoder.name == "embedded"
    assert (played / "checkpoint").exists() and not (played / "checkpoint.old").exists()  # for a longer run


def test_inspect_search_export_import_merge_remove(
    played: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bank, contents = tmp_path / "bank.sqlite", open_bank(played)
    n, keys = len(contents.entries), [entry.key for entry in contents.entries]
    assert bank_py("import", bank, played) == 0
    bank_py("export", bank, tmp_path / "bank.parquet")
    bank_py("export", played, tmp_path / "bank.jsonl", "--no_embeddings")
    assert open_bank(tmp_path / "bank.parquet").sha256 == contents.sha256
    bank_py("merge", bank, played, tmp_path / "bank.parquet", tmp_path / "bank.jsonl")
    capsys.readouterr()
    bank_py("inspect", bank)
    told = capsys.readouterr().out
    assert f"{n} cases, identity {contents.sha256[:16]}" in told and "lfd (" in told and "help and" in told
    text = contents.entries[3].case.task
    bank_py("search", bank, text, "--top", 2)
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"1.000  {keys[3]}") and float(second.split()[0]) < 1
    bank_py("remove", bank, keys[0], keys[2], "--dry_run")
    assert f"2 would be removed, {n - 2} cases left" in capsys.readouterr().out
    bank_py("remove", bank, keys[0], keys[2])
    told = capsys.readouterr().out
    assert keys[0] in told and keys[2] in told and f"2 removed, {n - 2} cases left" in told
    assert [entry.key for entry in open_bank(bank).entries] == [keys[1], *keys[3:]]
    bank_py("remove", bank, "--env", "another")
    bank_py("remove", bank, "--older_than", "2020-01-01")
    assert len(open_bank(bank).entries) == n - 2
    bank_py("remove", bank, "--older_than", "0m", "--llm", "m")
    assert open_bank(bank).entries == []


def test_misleading_cases_are_found_and_removed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"task": f"task {i}", "answer": "a", "shown": 10, "won": 2 if i == 3 else 8, "expected": 8} for i in range(9)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    bank_py("import", tmp_path / "bank.sqlite", tmp_path / "rows.jsonl")
    bank_py("remove", tmp_path / "bank.sqlite", "--misleading")
    assert "task 3 -> a" in capsys.readouterr().out
    assert [entry.case.task for entry in open_bank(tmp_path / "bank.sqlite").entries] == [
        f"task {i}" for i in range(9) if i != 3
    ]


@pytest.mark.parametrize("words, told", [
    (("inspect", "nothing"), "no such run folder or bank"), (("inspect", "."), "neither a run's folder nor a bank"),
    (("export", "RUN", "bank.csv"), "an export is a file in .jsonl or .parquet"),
    (("remove", "RUN", "--misleading"), "a run stays as it was played; .* import BANK.sqlite"),
    (("remove", "BANK"), "remove what"), (("remove", "BANK", "none"), "has no case none"),
    (("remove", "BANK", "--older_than", "soon"), "write 30d, 12h, 45m or a date"),
])  # fmt: skip
def test_what_does_not_work_says_what_does(
    words: tuple[str, ...], told: str, played: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    bank_py("import", "bank.sqlite", played)
    places = {"RUN": str(played), "BANK": "bank.sqlite"}
    with pytest.raises(UserError, match=told):
        bank_py(*(places.get(word, word) for word in words))


def test_another_encoder_is_refused_with_the_way_out(played: Path, tmp_path: Path) -> None:
    save_bert_of_letters(tmp_path / "letters")
    other = ("--embedding_model_path", tmp_path / "letters", "--device", "cpu")
    with pytest.raises(UserError, match=r"encoder embedded .* cannot be compared: .* --embed --embedding_model_path"):
        bank_py("search", played, "disk", *other)
    bank_py("import", tmp_path / "bank.sqlite", played, "--embed", *other)
    with pytest.raises(UserError, match="cannot be compared"):
        bank_py("merge", tmp_path / "bank.sqlite", played)
    ours, theirs = open_bank(tmp_path / "bank.sqlite"), open_bank(played)
    assert ours.encoder.dim != 384 and [e.key for e in ours.entries] == [e.key for e in theirs.entries]
    assert bank_py("search", tmp_path / "bank.sqlite", "disk", *other) == 0
    lfd_stream(tmp_path, 2)
    with serving() as server:
        assert main.main(argv(server, tmp_path / "out", "--bank_from", tmp_path / "bank.sqlite")) == 2


# -- starting from what another has learned ----------------------------------------------------------------------------


def test_a_run_starts_from_anothers_cases(played: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    n, keys = len(open_bank(played).entries), {entry.key for entry in open_bank(played).entries}
    folder = start(tmp_path, "--bank_from", played, "--retain", "off")
    shown = [case for step in steps(folder) for case in step["cases"]]
    assert len(shown) == 2 * SIZE and {case["id"] for case in shown} == {0} and {case["key"] for case in shown} <= keys
    assert json.loads((folder / "summary.json").read_text())["bank_size"] == n  # frozen
    identity = yaml.safe_load((folder / "config.yaml").read_text())["identity"]
    assert identity["bank_from"] == open_bank(played).sha256 and "retain=off" in str(folder)
    growing = start(tmp_path / "growing", "--bank_from", played)
    assert json.loads((growing / "summary.json").read_text())["bank_size"] > n


def test_the_hash_says_what_was_started_from(played: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bank = tmp_path / "bank.sqlite"
    bank_py("import", bank, played)
    folder = start(tmp_path, "--bank_from", bank)
    shutil.copy(bank, tmp_path / "elsewhere.sqlite")
    with Store.open(bank, write=True) as store:
        store.note([next(store.entries()).key], 1)
    assert start(tmp_path, "--bank_from", bank) == folder  # records change no step
    with Store.open(bank, write=True) as store:
        store.remove([next(store.entries()).key])
    capsys.readouterr()
    with serving(mostly_right) as server:
        more = ("--bandit", "LinLogUCB", "--comk", 2, "--bank_from", bank)
        assert main.main(argv(server, tmp_path / "out", *more)) == 2
    assert "holds another run (bank_from: " in capsys.readouterr().err


def test_a_run_with_a_start_and_a_limit_continues(played: Path, tmp_path: Path) -> None:
    limited = ("--bank_limit", 4, "--forget", "least_useful")
    more = ("--bandit", "LinLogUCB", "--comk", 2, "--bank_from", played, "--policy_from", played, *limited)
    lfd_stream(tmp_path, SIZE)
    with serving(mostly_right) as server:
        assert main.main(argv(server, tmp_path / "unbroken", *more)) == 0
        for seconds in (0, 600):  # from its checkpoint, and by replaying its log
            first = len(server.chats)
            server.fault = lambda number, first=first: "503" if number == first + 9 else None
            broken = argv(
                server, tmp_path / f"broken{seconds}", *more, "--max_retries", 0, "--checkpoint_seconds", seconds
            )
            assert main.main(broken) == 1
            assert main.main(broken) == 0
            assert steps(run_folder(tmp_path / f"broken{seconds}")) == steps(run_folder(tmp_path / "unbroken"))
    assert json.loads((run_folder(tmp_path / "unbroken") / "summary.json").read_text())["bank_size"] == 4


def test_a_policy_goes_on_where_another_run_has_left_it(played: Path, tmp_path: Path) -> None:
    fresh, taken = start(tmp_path / "fresh"), start(tmp_path / "taken", "--policy_from", played)
    exploring = [step["metrics"]["UCB/explore_mean"] for step in steps(fresh) if step["metrics"]]
    less = [step["metrics"]["UCB/explore_mean"] for step in steps(taken) if step["metrics"]]
    assert less[0] < exploring[0]  # it knows its arms
    assert yaml.safe_load((taken / "config.yaml").read_text())["identity"]["policy_from"] != str(played)


def test_a_policy_that_does_not_fit_is_refused(
    played: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lfd_stream(tmp_path, 3)
    for more, told in (
        (("--bandit", "Random", "--policy_from", played), "its policy is LinLogUCB, not Random"),
        (("--bandit", "LinLogUCB", "--policy_from", tmp_path), "no finished run that has kept its policy"),
        (("--bandit", "LinLogUCB", "--bank_from", tmp_path / "none"), "no such run folder or bank"),
    ):
        assert main.main(argv(None, tmp_path / "out", *more)) != 0
        assert told in capsys.readouterr().err


def test_final_none_keeps_nothing_and_says_so_later(tmp_path: Path) -> None:
    folder = start(tmp_path, "--final", "none", "--limit", 6)
    assert not (folder / "final").exists()
    with pytest.raises(UserError, match="--final none"):
        open_bank(folder)


def test_a_trained_encoder_is_kept_where_all_is_asked_for(tmp_path: Path) -> None:
    more = ("--bandit", "NeuralLinLogUCB", "--comk", 1, "--batch_size", 2, "--limit", 5)
    assert not [path.name for path in (start(tmp_path / "small", *more) / "final").glob("*.pt")]
    kept = start(tmp_path / "all", *more, "--final", "all")
    assert {path.name for path in (kept / "final").glob("*.pt")} == {"policy.pt", "weights.pt"}
    taken = start(tmp_path / "taken", *more, "--policy_from", kept)
    assert len(steps(taken)) == 5
