# Sourced by the *_experiments.sh scripts: run_figure REQUIREMENTS_FILE FIGURE [OPTION...] runs a figure of the paper.
# Options go to scripts/run_experiments.py and on to main.py; --dry-run prints the command lines and installs less.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

run_figure() {
    local requirements="$1"
    shift
    for argument in "$@"; do
        if [ "$argument" = --dry-run ]; then requirements=requirements.txt; fi
    done
    setup "$requirements"
    exec "$python" scripts/run_experiments.py "$@"
}
