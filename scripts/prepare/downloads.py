"""Getting the official data, and saying what to do by hand where a program may not or cannot.

Everything arrives in a scratch folder first and is moved into place only when it is whole.
"""

from __future__ import annotations

import gzip
import http.client
import re
import shutil
import tempfile
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from env.tools.ehr_tables import find_tables
from errors import DataError

from .alfworld_games import fetch_games
from .installing import install

HUB_DATASET = "guosy/DTLBench"
BIRD_URL = "https://bird-bench.oss-cn-beijing.aliyuncs.com/dev.zip"
SPIDER_URL = "https://drive.google.com/file/d/1403EGqzIDoHMdQF4c9Bkyl7dZLZ5Wt6J"
COSQL_URL = "https://yale-lily.github.io/cosql"
EHR_URL = "https://drive.google.com/file/d/1diCy549_IM-iXmXdhLEiDfv-X44-2ewz"
WIKI_CORPUS = "PeterJinGo/wiki-18-corpus", "wiki-18.jsonl.gz"  # dataset and file
WIKI_INDEX = "PeterJinGo/wiki-18-e5-index", ("part_aa", "part_ab")
WIKI_ROOM, INDEX_ROOM = 25 * 10**9, 100 * 10**9  # bytes free while the corpus and its index arrive
SECONDS = 30  # without a byte from a server before giving up

_MIMIC = (
    "it is made from MIMIC-IV, which PhysioNet gives to credentialed users only and nobody may pass on. Get access at "
    "https://physionet.org/content/mimiciv/, write {folder}/{task}.jsonl with one JSON object a line ("
)
_THEN_CHECK = "), then run this command again with --check"
BY_HAND = {
    "mimic-iv-mr": f"{_MIMIC}task: the record, label: the list of drug classes{_THEN_CHECK}",
    "mimic-iv-msr": f"{_MIMIC}task: the record, label: the list of specialties{_THEN_CHECK}",
    "mimic-iv-tlp": f"{_MIMIC}task: the record, label: the ESI level, 1 to 5{_THEN_CHECK}",
}


def fetch_rows(task: str, folder: Path, scratch: Path) -> Path:
    """Download the task's official rows, which belong in `folder`, and return their path below `scratch`."""
    page = f"https://huggingface.co/datasets/{HUB_DATASET}"
    fetch_snapshot(
        HUB_DATASET,
        [f"{task}.jsonl", f"*/{task}.jsonl"],
        scratch,
        f"download {task}.jsonl in a browser from {page} and put it in {folder}; --data sample works without it",
    )
    found = sorted(scratch.rglob(f"{task}.jsonl"))
    if not found:
        raise DataError(f"{HUB_DATASET} has no {task}.jsonl: look at {page} for where its rows are now")
    return found[0]


def fetch_snapshot(dataset: str, patterns: list[str], scratch: Path, otherwise: str) -> None:
    """Download the files of a data set on the hub that match. Raises DataError, which ends with what else can be done.

    No file matching is no error.
    """
    from huggingface_hub import errors, snapshot_download

    try:
        snapshot_download(dataset, repo_type="dataset", local_dir=scratch, allow_patterns=patterns)
    except (OSError, errors.HTTPError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise DataError(
            f"{dataset} could not be downloaded ({reason}). Check the network and run the command again, or {otherwise}"
        ) from None


def fetch_file(url: str, path: Path) -> None:
    """Download `url` to `path`, piece by piece. Raises DataError where it does not arrive whole."""
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as response, path.open("wb") as file:
            shutil.copyfileobj(response, file)
            expected = int(response.headers.get("Content-Length") or file.tell())
            if file.tell() != expected:
                raise ConnectionError(f"it broke off after {file.tell()} of {expected} bytes")
    except (OSError, http.client.HTTPException) as error:
        raise DataError(f"{url} could not be downloaded ({error}): check the network and try again") from None


def unpack_databases(archive: Path, target: Path) -> int:
    """Write every <db_id>/<db_id>.sqlite of a zip file, and of zip files inside it, to `target`; return how many.

    Paths are built from the databases' names, so whatever else an archive's paths say has no effect.
    """
    count = 0
    try:
        with zipfile.ZipFile(archive) as members:
            for member in members.infolist():
                database = re.search(r"(?:^|/)([\w-]+)/\1\.sqlite$", member.filename)
                if database and "__MACOSX" not in member.filename:
                    with members.open(member) as source:
                        install(source, target / database[1] / f"{database[1]}.sqlite")
                    count += 1
                elif re.search(r"(?:^|/)\w*databases\w*\.zip$", member.filename):
                    with tempfile.TemporaryDirectory(dir=archive.parent) as folder:
                        inner = Path(folder) / "inner.zip"
                        with members.open(member) as source:
                            install(source, inner)
                        count += unpack_databases(inner, target)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise DataError(f"{archive.name} is not a whole zip file ({error}): run the command again") from None
    return count


def fetch_bird_databases(missing: list[str], root: Path) -> None:
    """Download BIRD's development databases and unpack them below `root`."""
    with tempfile.TemporaryDirectory() as scratch:
        archive = Path(scratch) / "dev.zip"
        print(f"downloading {BIRD_URL}; this takes a while")
        fetch_file(BIRD_URL, archive)
        count = unpack_databases(archive, root)
    print(f"{root}: {count} databases from {BIRD_URL}")


def ask_for_spider_databases(missing: list[str], root: Path) -> None:
    """Google Drive shows programs a page instead of a large file: the person's browser has to fetch it."""
    names = ", ".join(missing[:3]) + ", ..." * (len(missing) > 3)
    raise DataError(
        f"the rows are there, but {len(missing)} databases are not ({names}): download {SPIDER_URL} in a browser, "
        f"unpack it, and move the folders in its folder of databases into {root}, so that "
        f"{root}/{missing[0]}/{missing[0]}.sqlite exists; then run this command again with --check"
    )


def ask_for_cosql_databases(missing: list[str], root: Path) -> None:
    raise DataError(
        f"the rows are there, but {len(missing)} databases are not ({', '.join(missing[:3])}): download CoSQL from "
        f"{COSQL_URL} in a browser, unpack it, and move the folders in its folder of databases into {root}; then run "
        "this command again with --check"
    )


def ask_for_ehr_tables(folder: Path) -> None:
    """Google Drive shows programs a page instead of a large file: the person's browser has to fetch the tables."""
    source = folder / "source"
    if not any(path.suffix.lower() == ".csv" for path in source.rglob("*")):
        raise DataError(
            f"the rows are there, but the hospital's tables are not: download {EHR_URL} in a browser, unpack it into "
            f"{source}, then run this command again with --check"
        )
    find_tables(source)


def fetch_wiki_corpus(folder: Path) -> None:
    """Download what 2wiki searches: Wikipedia's 21 million passages and their E5 vectors. What is there is kept.

    Raises DataError where there is no room or no network.
    """
    source = folder / "source"
    source.mkdir(parents=True, exist_ok=True)
    corpus, index = source / "wiki-18.jsonl", source / "e5_Flat.index"
    with tempfile.TemporaryDirectory(dir=source) as name:
        scratch = Path(name)
        if not corpus.is_file():
            _need_room(source, WIKI_ROOM, "the corpus")
            packed = fetch_hub_file(*WIKI_CORPUS, scratch)
            try:
                with gzip.open(packed) as passages:
                    install(passages, corpus)
            except (gzip.BadGzipFile, zlib.error, EOFError) as error:
                raise DataError(f"{packed.name} is not a whole gzip file ({error}): run the command again") from None
            packed.unlink()
        if not index.is_file():
            _need_room(source, INDEX_ROOM, "its index")
            dataset, parts = WIKI_INDEX
            first, *others = [fetch_hub_file(dataset, part, scratch) for part in parts]
            with first.open("ab") as whole:
                for part in others:
                    with part.open("rb") as file:
                        shutil.copyfileobj(file, whole, 1 << 24)
                    part.unlink()
            first.replace(index)
    print(
        f"the corpus and its index are in {source}; serve them before a run with\n  python scripts/serve_retrieval.py "
        f"--corpus {corpus} --method dense --encoder intfloat/e5-base-v2 --index {index}"
        "\nand name them in the run's command with --retrieval_url http://127.0.0.1:8765"
    )


def fetch_hub_file(dataset: str, file: str, scratch: Path) -> Path:
    """Download one file of a dataset on the hub into `scratch`. Raises DataError."""
    from huggingface_hub import errors, hf_hub_download

    print(f"downloading {file} of {dataset}; this takes a while")
    try:
        return Path(hf_hub_download(dataset, file, repo_type="dataset", local_dir=scratch))
    except (OSError, errors.HTTPError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise DataError(f"{file} of {dataset} could not be downloaded ({reason}): try again later") from None


def _need_room(folder: Path, room: int, what: str) -> None:
    free = shutil.disk_usage(folder).free
    if free < room:
        raise DataError(
            f"{folder}: {what} needs {room / 1e9:.0f} GB while it arrives, {free / 1e9:.0f} GB are free. The rows are "
            "there; `scripts/serve_retrieval.py --corpus FILE` serves any other corpus"
        )


# What a task needs beside its rows, by name: fetched after them, into its data folder or where its package looks.
CORPORA: dict[str, Callable[[Path], None]] = {
    "2wiki": fetch_wiki_corpus,
    "alfworld": fetch_games,
    "ehr": ask_for_ehr_tables,
}
DATABASES: dict[str, Callable[[list[str], Path], None]] = {
    "bird": fetch_bird_databases,
    "spider": ask_for_spider_databases,
    "cosql": ask_for_cosql_databases,
}
