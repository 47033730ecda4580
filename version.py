"""The project's version: pyproject.toml reads it, and every run records it."""

VERSION = "0.9.0"
