#!/usr/bin/env bash
# Figure 3: the twelve single-turn tasks on qwen3-32b. A laptop's: --limit 50 --serving_mode embedded --data sample.
source "$(dirname "${BASH_SOURCE[0]}")/experiments.sh"
run_figure requirements-local.txt 3 "$@"
