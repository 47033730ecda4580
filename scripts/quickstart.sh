#!/usr/bin/env bash
# Set everything up and run the main job on the embedded default: no GPU, no key, no server.
# Further options go to main.py: `bash scripts/quickstart.sh --limit 100 --overwrite`.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"
setup requirements.txt
"$python" main.py --env ddxplus --agent zero-shot --seed 0 "$@"
"$python" main.py --env ddxplus --agent cbr --seed 0 "$@"
echo
echo "  from here on       source .venv/bin/activate; python main.py --help"
