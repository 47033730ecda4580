#!/usr/bin/env bash
# Set everything up and run the tests. Arguments go to pytest: `bash scripts/test.sh -k resume`.
# ALL=1 also installs what the optional parts need (multi-turn tasks, local models, Ray); without it their tests skip.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
setup requirements-dev.txt
if [ "${ALL:-}" = 1 ]; then
    for optional in envs local ray; do
        setup "requirements-$optional.txt"
    done
fi
exec "$python" -m pytest "$@"
