"""The endpoint's page: one document that needs nothing else and asks only the endpoint itself."""

from __future__ import annotations

import base64
import functools
import hashlib
from pathlib import Path
from string import Template

WEB = Path(__file__).resolve().parent / "web"


@functools.cache
def page() -> str:
    """The page with its style and its script in it."""
    return Template(_read("page.html")).substitute(style=_read("style.css"), script=_read("page.js"))


def _read(name: str) -> str:
    return (WEB / name).read_text(encoding="utf-8")


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


# Our one script and our one style run, and nothing else, whatever a model or a user has written.
CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        f"script-src {_source(_read('page.js'))}",
        f"style-src {_source(_read('style.css'))}",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
