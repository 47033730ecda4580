#!/usr/bin/env bash
# Set everything up, check format, style and types, and run the tests. Arguments go to pytest: `-k resume`, `-m quick`
# (what loads no model and starts no process), `-n 0` (one after another, in this process: for a debugger).
# ALL=1 also installs what the optional parts need (multi-turn tasks, local models, Ray); without it their tests skip.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
setup requirements-dev.txt
if [ "${ALL:-}" = 1 ]; then
    for optional in envs local ray; do
        setup "requirements-$optional.txt"
    done
fi
"$python" -m ruff format --check --quiet .
"$python" -m ruff check --quiet .
"$python" -m mypy
# tests that share a costly fixture stay on one worker
exec "$python" -m pytest -n auto --maxprocesses 4 --dist loadgroup "$@"
