"""A hub of data sets on loopback: enough of its API for huggingface_hub and datasets to find and load one."""

from __future__ import annotations

import hashlib
import http.server
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from .web import running

COMMIT = "a" * 40
Pages = dict[str, bytes | tuple[bytes, int]]


def hub(files: Mapping[str, bytes], repo: str = "guosy/DTLBench", commit: str = COMMIT) -> Pages:
    """What a hub answers for the data set `repo` with these files: its description, its trees, the files."""
    api = f"/api/datasets/{repo}"
    description = {"id": repo, "sha": commit, "siblings": [{"rfilename": path} for path in files]}
    tree = [
        {"type": "file", "path": path, "size": len(files[path]), "oid": hashlib.sha1(files[path]).hexdigest()}
        for path in files
    ]
    places = (api, f"{api}/revision/main", f"{api}/revision/{commit}")
    pages: Pages = {place: json.dumps(description).encode() for place in places}
    pages[f"{api}/tree/{commit}"] = json.dumps(tree).encode()
    return pages | {f"/datasets/{repo}/resolve/{commit}/{path}": content for path, content in files.items()}


@contextmanager
def serve(pages: Pages) -> Iterator[str]:
    """Serve `pages` on loopback; a page may come with a length that it does not have."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            page = pages.get(path)
            if page is None:
                self.send_response(404)
                kind = "Revision" if "/revision/" in path else "Entry" if "/resolve/" in path else "Repo"
                headers = {"Content-Length": 0, "X-Error-Code": f"{kind}NotFound"}
                content = b""
            else:
                content, length = page if isinstance(page, tuple) else (page, len(page))
                self.send_response(200)
                headers = {
                    "Content-Length": length,
                    "ETag": f'"{hashlib.sha1(content).hexdigest()}"',
                    "X-Repo-Commit": COMMIT,
                }
            for name, value in headers.items():
                self.send_header(name, str(value))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET

        def log_message(self, *arguments: object) -> None:
            """Keep the test's output clean."""

    with running(Handler) as address:
        yield address
