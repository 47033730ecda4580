#!/usr/bin/env bash
# Figure 6: deep search (qwen3-30b-a3b; SERPER_API_KEY for the web) and health records (qwen3-32b).
source "$(dirname "${BASH_SOURCE[0]}")/experiments.sh"
run_figure requirements-envs.txt 6 "$@"
