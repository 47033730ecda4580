"""Getting the official data, and saying what to do by hand where a program may not or cannot.

Everything arrives in a scratch folder first and is moved into place only when it is whole.
"""

from __future__ import annotations

import http.client
import re
import shutil
import tempfile
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

from errors import DataError

from .installing import install

HUB_DATASET = "guosy/DTLBench"
BIRD_URL = "https://bird-bench.oss-cn-beijing.aliyuncs.com/dev.zip"
SPIDER_URL = "https://drive.google.com/file/d/1403EGqzIDoHMdQF4c9Bkyl7dZLZ5Wt6J"
EHR_URL = "https://drive.google.com/file/d/1diCy549_IM-iXmXdhLEiDfv-X44-2ewz"
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
    "ehr": f"take its rows from https://huggingface.co/datasets/{HUB_DATASET} and put them in {{folder}}/ehr.jsonl; "
    f"take its tables in a browser from {EHR_URL} and unpack them into {{folder}}/source",
}


def fetch_rows(task: str, folder: Path, scratch: Path) -> Path:
    """Download the task's official rows, which belong in `folder`, and return their path below `scratch`."""
    from huggingface_hub import errors, snapshot_download

    page = f"https://huggingface.co/datasets/{HUB_DATASET}"
    try:
        snapshot_download(
            HUB_DATASET, repo_type="dataset", local_dir=scratch, allow_patterns=[f"{task}.jsonl", f"*/{task}.jsonl"]
        )
    except (OSError, errors.HTTPError) as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise DataError(
            f"{HUB_DATASET} could not be downloaded ({reason}). Check the network and run the command again, or "
            f"download {task}.jsonl in a browser from {page} and put it in {folder}; --data sample works without it"
        ) from None
    found = sorted(scratch.rglob(f"{task}.jsonl"))
    if not found:
        raise DataError(f"{HUB_DATASET} has no {task}.jsonl: look at {page} for where its rows are now")
    return found[0]


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


DATABASES: dict[str, Callable[[list[str], Path], None]] = {
    "bird": fetch_bird_databases,
    "spider": ask_for_spider_databases,
}
