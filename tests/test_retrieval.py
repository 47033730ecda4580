"""The retrieval service: its indexes are built once and find what they should, and it speaks real HTTP."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT

from config import EMBEDDED
from env.tools.search.client import Outage, OwnService, Refused, call, health
from env.tools.search.corpus import Corpus, line_starts
from env.tools.search.index import open_index, sha256_of
from env.tools.search.service import RetrievalService
from errors import DataError, UserError
from memory.passages import PassageEncoder
from scripts.benchmarks.retrieval import recall_at
from scripts.prepare import downloads

for package in ("bm25s", "faiss"):
    pytest.importorskip(package, reason=f"the package {package} of requirements-envs.txt is missing")

SAMPLE = ROOT / "data" / "2wiki" / "sample"
PASSAGES = ["Owls\nOwls hunt at night.", "Larks\nLarks sing at dawn.", "Größe\nÜber die Größe der Eulen."]


def write_corpus(path: Path, contents: list[str], ending: str = "\n") -> Path:
    lines = [json.dumps({"id": f"p{i}", "contents": text}, ensure_ascii=False) for i, text in enumerate(contents)]
    path.write_text("\n".join(lines) + ending, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def indexes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("indexes")


@pytest.fixture(scope="module", params=["bm25", "dense"])
def opened(request: pytest.FixtureRequest, indexes: Path) -> tuple[Corpus, Any, dict[str, Any]]:
    """The sample's corpus with each index."""
    return open_index(SAMPLE / "corpus.jsonl", indexes, PassageEncoder(EMBEDDED) if request.param == "dense" else None)


@pytest.fixture(scope="module")
def service(opened: tuple[Corpus, Any, dict[str, Any]]) -> Iterator[RetrievalService]:
    with RetrievalService(("127.0.0.1", 0), *opened) as service:
        thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield service
        service.shutdown()
        thread.join()


# -- the corpus --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["", "\n"])
def test_passages_are_read_by_number(ending: str, tmp_path: Path) -> None:
    corpus = Corpus(write_corpus(tmp_path / "c.jsonl", PASSAGES, ending))
    assert len(corpus) == 3
    assert [corpus[i] for i in (2, 0, 1)] == [{"id": f"p{i}", "contents": PASSAGES[i]} for i in (2, 0, 1)]
    assert list(corpus.texts()) == PASSAGES
    corpus.close()


def test_lines_that_straddle_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_corpus(tmp_path / "c.jsonl", PASSAGES)
    whole = line_starts(path)
    for block in (1, 7, 64):
        monkeypatch.setattr("env.tools.search.corpus.BLOCK", block)
        assert np.array_equal(line_starts(path), whole)


@pytest.mark.parametrize("content, words", [
    (b'{"id": "1", "contents": "x"}\n{"id": "2"}\n', ":2: the field 'contents' is missing"),
    (b'{"id": "1", "contents": 5}\n', ":1: the field 'contents' should be str"), (b"", "has no passages"),
    (b'{"id": "1", "contents": "x"}\nnot JSON\n', ":2: not valid JSON"),
    (b'{"id": "1", "contents": "!!!"}\n{"id": "2", "contents": "the of"}\n', "c.jsonl has no word to search by"),
])  # fmt: skip
def test_a_bad_corpus_is_named_by_line_and_leaves_no_index(content: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "c.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=words):
        open_index(tmp_path / "c.jsonl", tmp_path / "indexes")
    assert list((tmp_path / "indexes").iterdir()) == []


# -- indexes -----------------------------------------------------------------------------------------------------------


def test_recall_on_the_sample(opened: tuple[Corpus, Any, dict[str, Any]]) -> None:
    """The first passage of a question is always found by the question; the second mostly needs another query."""
    rows = [json.loads(line) for line in (SAMPLE / "2wiki.jsonl").read_text(encoding="utf-8").splitlines()]
    corpus, index, info = opened
    recall, first = recall_at(3, corpus, index, rows)
    assert first > 0.95 and 0.5 < recall < 0.9
    titles = [corpus[int(row["evidence"][1])]["contents"].partition("\n")[0] for row in rows]
    hits = index.search(titles, 3)
    found = sum(row["evidence"][1] in {corpus[n]["id"] for n, _ in hit} for row, hit in zip(rows, hits))
    assert found >= 58  # asking by name finds it


def test_hits_are_in_order_and_few_passages_are_enough(opened: tuple[Corpus, Any, dict[str, Any]]) -> None:
    corpus, index, info = opened
    (hits,) = index.search(["the river of Harrowick"], 10_000)
    scores = [score for _, score in hits]
    assert scores == sorted(scores, reverse=True) and len({number for number, _ in hits}) == len(hits) <= len(corpus)
    assert info["passages"] == len(corpus) and info["sha256"] == sha256_of(SAMPLE / "corpus.jsonl")
    assert index.search(["zzqq xxyy"], 3) == [[]] or info["method"] == "dense"
    index.search(["", "?", "the of", "\0", "ü" * 500], 3)


def test_an_index_is_built_once_and_again_when_the_corpus_changes(tmp_path: Path) -> None:
    path, root = write_corpus(tmp_path / "c.jsonl", PASSAGES), tmp_path / "indexes"

    def find(query: str) -> list[str]:
        corpus, index, _ = open_index(path, root)
        return [corpus[number]["id"] for number, _ in index.search([query], 3)[0]]

    assert find("owls at night")[0] == "p0"
    (folder,) = root.iterdir()
    built = (folder / "info.json").stat().st_mtime_ns
    assert find("dawn") == ["p1"]
    assert (folder / "info.json").stat().st_mtime_ns == built
    write_corpus(path, [*PASSAGES, "Dawn\nDawn dawn dawn."])
    assert find("dawn")[0] == "p3"
    assert len(list(root.iterdir())) == 2


def test_a_ready_made_index_is_used_and_checked(tmp_path: Path, text_encoder: Any) -> None:
    import faiss

    path = write_corpus(tmp_path / "c.jsonl", PASSAGES)
    for name, passages in (("whole", PASSAGES), ("short", PASSAGES[:2])):
        flat = faiss.IndexFlatIP(text_encoder.dim)
        flat.add(text_encoder.encode(passages))
        faiss.write_index(flat, str(tmp_path / name))
    corpus, index, info = open_index(path, tmp_path / "i", PassageEncoder(EMBEDDED), ready_made=tmp_path / "whole")
    assert [corpus[number]["id"] for number, _ in index.search(["birds that hunt in the dark"], 1)[0]] == ["p0"]
    assert not list((tmp_path / "i").rglob("*.faiss"))
    with pytest.raises(UserError, match="holds 2 vectors, .* 3 passages"):
        open_index(path, tmp_path / "i", PassageEncoder(EMBEDDED), ready_made=tmp_path / "short")


# -- the service -------------------------------------------------------------------------------------------------------


def test_retrieve_over_http(service: RetrievalService) -> None:
    queries = ["Who made The Lantern Keeper in Harrowick?", "Harrowick"]
    scored = call(f"{service.url}/retrieve", {"queries": queries, "topk": 2, "return_scores": True})["result"]
    plain = call(f"{service.url}/retrieve", {"queries": queries, "topk": 2})["result"]
    assert [[entry["document"] for entry in hits] for hits in scored] == plain
    assert all(set(entry) == {"document", "score"} for hits in scored for entry in hits)
    assert plain[0][0]["contents"].startswith('"The Lantern Keeper"') and [len(hits) for hits in plain] == [2, 2]
    assert call(f"{service.url}/retrieve", {"queries": []}) == {"result": []}
    assert len(call(f"{service.url}/retrieve", {"queries": ["Harrowick"]})["result"][0]) == 3
    assert health(service.url) == service.info


@pytest.mark.parametrize("body", [
    b"", b"{", b"[]", b'"x"', b"{}", b'{"queries": "x"}', b'{"queries": [1]}', b'{"queries": ["x"], "topk": 0}',
    b'{"queries": ["x"], "topk": 101}', b'{"queries": ["x"], "topk": true}', b'{"queries": ["x"], "topk": "3"}',
    b'{"queries": ["x"], "return_scores": 1}', b"[" * 100_000, b"\xff\xfe",
    json.dumps({"queries": ["x"] * 1001}).encode(), json.dumps({"queries": ["x" * 10_001]}).encode(),
])  # fmt: skip
def test_a_bad_request_is_refused_and_the_service_goes_on(body: bytes, service: RetrievalService) -> None:
    connection = http.client.HTTPConnection(*service.server_address, timeout=10)
    connection.request("POST", "/retrieve", body)
    response = connection.getresponse()
    assert response.status == 400 and json.loads(response.read())["error"]
    connection.request("POST", "/retrieve", b'{"queries": ["Harrowick"]}')  # on the same connection
    assert connection.getresponse().status == 200
    connection.close()


def test_other_pages_and_bodies_too_long(service: RetrievalService) -> None:
    for method, path in (("GET", "/"), ("GET", "/retrieve"), ("POST", "/health")):
        connection = http.client.HTTPConnection(*service.server_address, timeout=10)
        connection.request(method, path, b"{}")
        assert connection.getresponse().status == 404
        connection.close()
    for length in ("99999999999", "-1", "x"):
        with socket.create_connection(service.server_address, timeout=10) as connection:
            connection.sendall(
                f"POST /retrieve HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n".encode()
            )
            assert b" 400 " in connection.recv(4096).partition(b"\r\n")[0]
    with pytest.raises(Refused, match="topk"):
        call(f"{service.url}/retrieve", {"queries": ["x"], "topk": -1})


@pytest.mark.parametrize("hosts, answered", [
    (["localhost"], True), (["LOCALHOST:8765"], True), (["127.0.0.1"], True), (["[::1]:8765"], True), ([], False),
    (["evil.example"], False), (["evil.example:8765"], False), (["localhost.evil.example"], False), ([""], False),
    (["127.0.0.1.evil.example"], False), (["[::1"], False), (["10.0.0.1"], False),
    (["localhost", "evil.example"], False),
])  # fmt: skip
def test_only_requests_to_its_address_are_answered(hosts: list[str], answered: bool, service: RetrievalService) -> None:
    for method, path in (("GET", "/health"), ("POST", "/retrieve")):
        connection = http.client.HTTPConnection(*service.server_address, timeout=30)
        body = b'{"queries": ["Harrowick"]}'
        connection.putrequest(method, path, skip_host=True)
        for host in hosts:
            connection.putheader("Host", host)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        response = connection.getresponse()
        text = response.read()
        connection.close()
        assert response.status == (200 if answered else 403)
        assert answered or b"Harrowick" not in text and b"sha256" not in text and b"Host header" in text


def test_a_service_for_others_is_asked_by_the_address_that_they_know(
    opened: tuple[Corpus, Any, dict[str, Any]],
) -> None:
    with RetrievalService(("0.0.0.0", 0), *opened) as service:
        thread = threading.Thread(target=service.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        port = service.server_address[1]
        try:
            assert health(f"http://127.0.0.2:{port}", 30) == service.info
            with pytest.raises(Outage, match="403.*Host header"):
                call(f"http://127.0.0.2:{port}/health", headers={"Host": "127.0.0.3"})
        finally:
            service.shutdown()
            thread.join()


# -- what else may answer ----------------------------------------------------------------------------------------------

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
ODD_SERVICES: dict[str, tuple[bytes, bytes]] = {  # what is sent at once, and what is then sent again and again
    "silence": (b"", b""),
    "a drip": (b"", b"H"),
    "a dripping head": (HEAD, b"X-More: 1\r\n"),
    "a dripping body": (HEAD + b"Content-Length: 1000000\r\n\r\n", b" "),
    "a body without end": (HEAD + b"\r\n", b" " * (1 << 16)),
    "a bomb": (HEAD + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b" " * (1 << 26)), b""),
    "deep JSON": (HEAD + b"Content-Length: 60000\r\n\r\n" + b"[" * 60_000, b""),
    "another's JSON": (HEAD + b'Content-Length: 19\r\n\r\n{"passages": "all"}', b""),
    "a redirect": (b"HTTP/1.1 302 Found\r\nLocation: /health\r\nContent-Length: 0\r\n\r\n", b""),
}


@pytest.mark.timeout(300)  # in place of waiting for ever
@pytest.mark.parametrize("name", ODD_SERVICES)
def test_whatever_answers_is_waited_for_a_moment_and_read_a_little(name: str) -> None:
    at_once, again = ODD_SERVICES[name]
    sent, stop = [0], threading.Event()

    def talk(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.settimeout(1)
            connection.sendall(at_once)
            while not stop.wait(0 if len(again) > 100 else 0.05):
                connection.sendall(again)
                sent[0] += len(again)

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)

        def listen() -> None:
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    threading.Thread(target=talk, args=[server.accept()[0]], daemon=True).start()

        listener = threading.Thread(target=listen)
        listener.start()
        try:
            assert health(f"http://127.0.0.1:{server.getsockname()[1]}") is None
        finally:
            stop.set()
            listener.join()
    assert sent[0] < 1 << 26  # what fits between the two of them, not gigabytes


def test_many_at_once(service: RetrievalService) -> None:
    names = ["Harrowick", "Zelin", "Kolgrad", "Torvika"] * 5
    results: dict[int, str] = {}

    def ask(number: int) -> None:
        found = call(f"{service.url}/retrieve", {"queries": [names[number]], "topk": 1})["result"]
        results[number] = found[0][0]["contents"]

    threads = [threading.Thread(target=ask, args=[number]) for number in range(len(names))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 20 and all(names[number] in text for number, text in results.items())


# -- the script --------------------------------------------------------------------------------------------------------


def serve(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "serve_retrieval.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)


def test_the_script_says_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    packed = tmp_path / "c.jsonl.gz"
    packed.write_bytes(gzip.compress(b"{}"))
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"id": 1}\n')
    good = write_corpus(tmp_path / "c.jsonl", PASSAGES)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        cases = [
            ((tmp_path / "none.jsonl",), "none.jsonl does not exist", 1),
            ((packed,), "gunzip", 1),
            ((bad,), "bad.jsonl:1: the field 'contents' is missing", 1),
            ((good, "--method", "dense", "--index", tmp_path / "none"), "there is no such file", 2),
            ((good, "--port", taken.getsockname()[1]), "in use", 1),
        ]
        for arguments, words, code in cases:
            done = serve("--index_dir", tmp_path / "i", "--corpus", *arguments)
            assert (done.returncode, done.stdout) == (code, "")
            assert done.stderr.startswith("error: ") and words in done.stderr and done.stderr.count("\n") == 1


def test_a_service_of_one_s_own_starts_and_ends(tmp_path: Path) -> None:
    service = OwnService(write_corpus(tmp_path / "c.jsonl", PASSAGES), "bm25")
    info = health(service.url)
    assert info["corpus"] == "c.jsonl" and info["passages"] == 3 and info["method"] == "bm25"
    service.close()
    service.close()
    assert health(service.url) is None
    with pytest.raises(UserError, match="the retrieval service did not start: .*none.jsonl does not exist"):
        OwnService(tmp_path / "none.jsonl", "bm25")


# -- the official corpus -----------------------------------------------------------------------------------------------


def test_the_official_corpus_and_index_are_put_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = write_corpus(tmp_path / "c.jsonl", PASSAGES).read_bytes()
    files = {"wiki-18.jsonl.gz": gzip.compress(content), "part_aa": b"first ", "part_ab": b"second"}
    fetched = []

    def fetch(dataset: str, file: str, scratch: Path) -> Path:
        fetched.append((dataset, file))
        (scratch / file).write_bytes(files[file])
        return scratch / file

    monkeypatch.setattr(downloads, "fetch_hub_file", fetch)
    with monkeypatch.context() as patch:
        patch.setattr(downloads, "WIKI_ROOM", 10**18)
        with pytest.raises(DataError, match="the corpus needs 1000000000 GB"):
            downloads.fetch_wiki_corpus(tmp_path)
    monkeypatch.setattr(downloads, "WIKI_ROOM", 0)
    monkeypatch.setattr(downloads, "INDEX_ROOM", 0)
    downloads.fetch_wiki_corpus(tmp_path)
    source = tmp_path / "source"
    assert {path.name: path.read_bytes() for path in source.iterdir()} == {
        "wiki-18.jsonl": content, "e5_Flat.index": b"first second"
    }  # fmt: skip
    assert [file for _, file in fetched] == list(files) and fetched[0][0] == "PeterJinGo/wiki-18-corpus"
    downloads.fetch_wiki_corpus(tmp_path)
    assert len(fetched) == 3  # what is there is kept
    (source / "wiki-18.jsonl").unlink()
    files["wiki-18.jsonl.gz"] = files["wiki-18.jsonl.gz"][:20]
    with pytest.raises(DataError, match="not a whole gzip file"):
        downloads.fetch_wiki_corpus(tmp_path)
    assert [path.name for path in source.iterdir()] == ["e5_Flat.index"]


def test_a_file_that_the_hub_does_not_give_is_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **options: object) -> str:
        raise OSError("no route to host\nand more")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fail)
    with pytest.raises(DataError, match=r"^c of a/b could not be downloaded \(no route to host\): try again later$"):
        downloads.fetch_hub_file("a/b", "c", tmp_path)
