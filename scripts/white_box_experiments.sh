#!/usr/bin/env bash
# Figure 4a: qwen3-4b, 8b and 14b. One server at a time: --only llm=qwen3-4b --port 8000.
source "$(dirname "${BASH_SOURCE[0]}")/experiments.sh"
run_figure requirements-local.txt 4a "$@"
