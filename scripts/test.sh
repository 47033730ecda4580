#!/usr/bin/env bash
# Set everything up and run the tests. Arguments go to pytest: `bash scripts/test.sh -k resume`.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
setup requirements-dev.txt
exec "$python" -m pytest "$@"
