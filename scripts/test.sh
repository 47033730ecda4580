#!/usr/bin/env bash
# Set everything up and run the tests. Arguments go to pytest: `bash scripts/test.sh -k resume`.
# ENVS=1 also installs what the multi-turn tasks need (some of it is compiled); without it their tests skip.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
setup requirements-dev.txt
if [ "${ENVS:-}" = 1 ]; then
    setup requirements-envs.txt
fi
exec "$python" -m pytest "$@"
