"""An endpoint of the OpenAI protocol that learns from feedback: `python scripts/serve.py --env banking77`."""

from __future__ import annotations

import sys

import _path  # noqa: F401

from errors import exit_code, missing_package

PACKAGES = ("starlette", "uvicorn", "prometheus_client")


def serve() -> int:
    """Import and run the endpoint. Raises UserError where its packages are not installed."""
    try:
        from serve.cli import main
    except ModuleNotFoundError as error:
        if error.name not in PACKAGES:
            raise
        raise missing_package(error, "requirements-serve.txt") from None
    return main(sys.argv[1:])


if __name__ == "__main__":
    sys.exit(exit_code(serve, "what was acknowledged is kept", debug="--debug" in sys.argv))
