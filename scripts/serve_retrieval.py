r"""Serve a corpus over HTTP: POST /retrieve {"queries": [...], "topk": 3, "return_scores": true}.

    python scripts/serve_retrieval.py --corpus data/2wiki/sample/corpus.jsonl --method bm25
    python scripts/serve_retrieval.py --corpus wiki-18.jsonl --method dense --encoder intfloat/e5-base-v2 \
        --index e5_Flat.index

The corpus is JSON lines of {"id", "contents"}. Its index is built at the first start and kept under --index_dir.
"""

from __future__ import annotations

import argparse
import sys
import threading
from pathlib import Path

from _path import ROOT

from config import DEVICES, EMBEDDED
from env.tools.search.index import open_index
from env.tools.search.service import RetrievalService
from errors import UsageError, exit_code

INDEXES = ROOT / ".cache" / "retrieval"


def main(argv: list[str]) -> int:
    arguments = parse_arguments(argv)
    return exit_code(lambda: serve(arguments))


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--corpus", type=Path, required=True, metavar="FILE", help="JSON lines of {id, contents}")
    add("--method", choices=("bm25", "dense"), default="bm25", help="(default: %(default)s)")
    add("--encoder", default=EMBEDDED, metavar="MODEL", help="dense: a Hugging Face id or folder, or embedded")
    add("--index", type=Path, metavar="FILE", help="dense: a FAISS index of the corpus that is there already")
    add("--index_dir", type=Path, default=INDEXES, metavar="FOLDER", help="(default: %(default)s)")
    add("--device", choices=DEVICES, default="auto", help="dense: where the encoder runs")
    add("--host", default="127.0.0.1", help="(default: %(default)s)")
    add("--port", type=int, default=8765, help="0 takes a free one (default: %(default)s)")
    add("--until_stdin_ends", action="store_true", help="stop when standard input is closed")
    return parser.parse_args(argv)


def serve(arguments: argparse.Namespace) -> None:
    """Serve until interrupted; prints the address, and nothing else, to standard output once it can be asked."""
    if arguments.index is not None and not arguments.index.is_file():
        raise UsageError(f"--index {arguments.index}: there is no such file")
    encoder = None
    if arguments.method == "dense":
        from memory.passages import PassageEncoder

        encoder = PassageEncoder(arguments.encoder, arguments.device)
    corpus, index, info = open_index(arguments.corpus, arguments.index_dir, encoder, arguments.index)
    with RetrievalService((arguments.host, arguments.port), corpus, index, info) as service:
        if arguments.until_stdin_ends:
            threading.Thread(target=stop_with_stdin, args=[service], daemon=True).start()
        print(f"{info['passages']} passages of {info['corpus']}, {info['method']}", file=sys.stderr)
        print(service.url, flush=True)
        service.serve_forever(poll_interval=0.1)


def stop_with_stdin(service: RetrievalService) -> None:
    sys.stdin.buffer.read()
    service.shutdown()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
