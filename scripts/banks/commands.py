"""The commands of scripts/bank.py: their options, and what they print."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from config import EMBEDDED
from errors import UsageError, UserError, printable
from memory.entries import Contents, Entry, check_encoder
from memory.exchange import write_file
from memory.index import ExactIndex
from memory.inspection import Twins, Verdict, judge, near_duplicates
from memory.opening import open_bank
from memory.store import Store

if TYPE_CHECKING:
    from memory.encoders import TextEncoder

WIDTH = 100  # of a case in a line
AGES = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}
AT_ONCE = 1000  # cases embedded and written in one go


def main(argv: list[str], about: str) -> int:
    """The command line. Raises UserError."""
    arguments = make_parser(about).parse_args(argv)
    arguments.run(arguments)
    return 0


def make_parser(about: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="bank.py", description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="{inspect,search,export,import,merge,remove}")

    def command(name: str, run: object, help: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=help, description=help)
        made.set_defaults(run=run)
        return made

    one = command("inspect", inspect, "what is in a bank, which cases help, which mislead, which are alike")
    one.add_argument("bank", metavar="RUN_OR_BANK")
    one.add_argument("--top", type=int, default=5, help="cases of each kind to show (default: %(default)s)")
    one = command("search", search, "the cases nearest to a text, with their cosines")
    one.add_argument("bank", metavar="RUN_OR_BANK")
    one.add_argument("text")
    one.add_argument("--top", type=int, default=10, help="how many (default: %(default)s)")
    _add_encoder(one)
    one = command("export", export, "write a bank as JSON lines or Parquet")
    one.add_argument("bank", metavar="RUN_OR_BANK")
    one.add_argument("file", type=Path, metavar="FILE.jsonl|FILE.parquet")
    one.add_argument("--no_embeddings", action="store_true", help="leave the vectors out")
    for name, sources in (("import", 1), ("merge", "+")):
        one = command(name, take_in, "take cases into a bank, which is made where there is none")
        one.add_argument("bank", type=Path, metavar="BANK")
        one.add_argument("sources", nargs=sources, metavar="RUN_OR_BANK_OR_FILE")
        one.add_argument("--embed", action="store_true", help="embed them anew, whatever vectors they come with")
        _add_encoder(one)
    one = command("remove", remove, "take cases out of a bank")
    one.add_argument("bank", type=Path, metavar="BANK")
    one.add_argument("keys", nargs="*", metavar="KEY", help="identities, as inspect and search print them")
    one.add_argument("--misleading", action="store_true", help="those that inspect says mislead")
    one.add_argument("--older_than", metavar="AGE", help="those retained longer ago, as in 30d, 12h or 2026-01-31")
    one.add_argument("--env", help="only those of this task")
    one.add_argument("--llm", help="only those answered by this LLM")
    one.add_argument("--duplicates", action="store_true", help="of near-duplicates with one answer the later one")
    one.add_argument("--dry_run", action="store_true", help="say which, and remove none")
    return parser


def _add_encoder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--embedding_model_path", default=EMBEDDED, metavar="MODEL", help="as main.py's")
    parser.add_argument("--device", default="auto", help="as main.py's")


# -- the commands ------------------------------------------------------------------------------------------------------


def inspect(arguments: argparse.Namespace) -> None:
    contents = open_bank(arguments.bank)
    entries = contents.entries
    print(f"{arguments.bank}: {len(entries):,} cases, identity {contents.sha256[:16]}")
    for name in ("env", "llm", "origin", "source"):
        print(f"  {name:<10} {_counts(getattr(entry, name) for entry in entries)}")
    print(f"  rewards    {_counts(entry.case.reward for entry in entries)}")
    times = sorted(entry.time for entry in entries if entry.time)
    print(f"  retained   {times[0]} to {times[-1]}" if times else "  retained   nobody knows when")
    texts = sum(len(entry.case.task) + len(str(entry.case.answer)) for entry in entries)
    vectors = contents.vectors.nbytes if contents.vectors is not None else 0
    print(
        f"  size       {texts / 1e6:.1f} MB of texts, {vectors / 1e6:.1f} MB of vectors by {contents.encoder or 'none'}"
    )
    print_verdicts(judge(entries), len(entries), arguments.top)
    print_twins(near_duplicates(contents), arguments.top)


def print_verdicts(verdicts: list[Verdict], n: int, top: int) -> None:
    harmful = [verdict for verdict in verdicts if verdict.misleads]
    helpful = [verdict for verdict in reversed(verdicts) if verdict.helps]
    counts = f"{len(helpful)} help and {len(harmful)} mislead"
    print(f"\n{len(verdicts):,} of {n:,} cases were shown; {counts}: the 90 % interval of their success rate")
    print("when shown, shrunk towards the one that was to be expected of these steps, lies on one side of that")
    for title, some in (("mislead", harmful), ("help", helpful)):
        for verdict in some[:top]:
            entry = verdict.entry
            interval = f"{verdict.rate:.2f} ({verdict.low:.2f} to {verdict.high:.2f}), expected {verdict.expected:.2f}"
            print(f"  {title:<8} {entry.key}  shown {entry.shown}, right {entry.won}: {interval}  {describe(entry)}")


def print_twins(twins: list[Twins], top: int) -> None:
    differ = [pair for pair in twins if not pair.agree]
    print(f"\n{len(twins):,} cases are near-duplicates of an earlier one, {len(differ)} of them with another answer")
    for pair in [*differ, *(pair for pair in twins if pair.agree)][:top]:
        print(f"  {pair.cosine:.3f} {pair.first.key} {describe(pair.first)}")
        print(f"        {pair.second.key} {describe(pair.second)}")


def search(arguments: argparse.Namespace) -> None:
    contents = open_bank(arguments.bank)
    if not contents.entries:
        raise UserError(f"{arguments.bank}: an empty bank")
    encoder = load_encoder(arguments)
    vectors = embedded(contents, encoder, arguments.bank)
    index = ExactIndex(encoder.dim)  # one search: no graph is worth building
    index.add(vectors)
    for position, cosine in index.search(encoder.encode([arguments.text])[0], arguments.top):
        entry = contents.entries[position]
        print(f"{cosine:.3f}  {entry.key}  shown {entry.shown}, right {entry.won}  {describe(entry)}")


def export(arguments: argparse.Namespace) -> None:
    contents = open_bank(arguments.bank)
    write_file(contents, arguments.file, embeddings=not arguments.no_embeddings)
    print(f"{arguments.file}: {len(contents.entries):,} cases")


def take_in(arguments: argparse.Namespace) -> None:
    """Into the bank, in pieces: the encoder is loaded only where something has to be embedded."""
    encoder: TextEncoder | None = None
    for source in arguments.sources:
        contents = open_bank(source)
        if arguments.embed or contents.vectors is None:
            encoder = encoder or load_encoder(arguments)
            contents = Contents(contents.entries, encode(encoder, contents.entries), encoder.identity)
        with Store.open(arguments.bank, contents.encoder, create=True) as store:
            before = len(store)
            new = store.merge(contents)
            known = len(contents.entries) - new
            print(
                f"{arguments.bank}: {before + new:,} cases, {new:,} of them new from {source}, {known:,} known before"
            )


def remove(arguments: argparse.Namespace) -> None:
    if arguments.bank.is_dir():
        run = f"`python scripts/bank.py import BANK.sqlite {arguments.bank}`"
        raise UsageError(f"{arguments.bank}: a run stays as it was played; {run} makes a bank of its cases to clean")
    rules = (arguments.keys, arguments.misleading, arguments.older_than, arguments.duplicates)
    if not any((*rules, arguments.env, arguments.llm)):
        raise UsageError("remove what? Name keys, or --misleading, --older_than, --duplicates, --env, --llm")
    with Store.open(arguments.bank, write=True) as store:
        contents = store.contents()
        unknown = sorted(set(arguments.keys) - {entry.key for entry in contents.entries})
        if unknown:
            raise UsageError(f"{arguments.bank}: has no case {', '.join(unknown)}")
        chosen = choose(contents, arguments)
        gone = chosen if arguments.dry_run else store.remove(entry.key for entry in chosen)
        for entry in gone:
            print(f"{entry.key}  shown {entry.shown}, right {entry.won}  {describe(entry)}")
        would = "would be " if arguments.dry_run else ""
        print(f"{len(gone):,} {would}removed, {len(contents.entries) - len(gone):,} cases left")


def choose(contents: Contents, arguments: argparse.Namespace) -> list[Entry]:
    """The entries that all of the named filters take; keys are one of them."""
    chosen = {entry.key: entry for entry in contents.entries}
    filters: list[set[str]] = []
    if arguments.keys:
        filters.append(set(arguments.keys))
    if arguments.misleading:
        filters.append({verdict.entry.key for verdict in judge(contents.entries) if verdict.misleads})
    if arguments.duplicates:
        filters.append({pair.second.key for pair in near_duplicates(contents) if pair.agree})
    if arguments.older_than:
        limit = before(arguments.older_than)
        filters.append({entry.key for entry in contents.entries if entry.time and parse_time(entry.time) < limit})
    for name in ("env", "llm"):
        if getattr(arguments, name):
            wanted = getattr(arguments, name)
            filters.append({entry.key for entry in contents.entries if getattr(entry, name) == wanted})
    return [entry for key, entry in chosen.items() if all(key in keys for keys in filters)]


# -- helpers -----------------------------------------------------------------------------------------------------------


def load_encoder(arguments: argparse.Namespace) -> TextEncoder:
    from memory.encoders import TextEncoder, resolve_device

    return TextEncoder(arguments.embedding_model_path, resolve_device(arguments.device))


def embedded(contents: Contents, encoder: TextEncoder, name: str) -> np.ndarray:
    """The bank's vectors where they are this encoder's, made here where it has none. Raises UsageError."""
    if contents.vectors is None or contents.encoder is None:
        return encode(encoder, contents.entries)
    check_encoder(name, contents.encoder, encoder.identity)
    return contents.vectors


def encode(encoder: TextEncoder, entries: list[Entry]) -> np.ndarray:
    """float32 [n, dim]"""
    parts = [
        encoder.encode([entry.case.task for entry in entries[start : start + AT_ONCE]])
        for start in range(0, len(entries), AT_ONCE)
    ]
    return np.concatenate(parts) if parts else np.zeros((0, encoder.dim), np.float32)


def before(age: str) -> datetime:
    """The moment that --older_than means. Raises UsageError."""
    relative = re.fullmatch(r"(\d+)([dhm])", age)
    try:
        if relative:
            return datetime.now(timezone.utc) - int(relative[1]) * AGES[relative[2]]
        return parse_time(age)
    except (ValueError, OverflowError):
        raise UsageError(f"--older_than {age}: write 30d, 12h, 45m or a date such as 2026-01-31") from None


def parse_time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


def describe(entry: Entry) -> str:
    """A case in a line that is safe for a terminal."""
    text = " ".join(f"{entry.case.task} -> {entry.case.answer}".split())
    return printable(text if len(text) <= WIDTH else f"{text[: WIDTH - 3]}...")


def _counts(values: Iterable[object]) -> str:
    found: dict[str, int] = {}
    for value in values:
        found[printable(str(value))] = found.get(printable(str(value)), 0) + 1
    most = sorted(found.items(), key=lambda item: -item[1])
    more = f" and {len(most) - 5} more" if len(most) > 5 else ""
    return ", ".join(f"{name} ({count:,})" for name, count in most[:5]) + more
