#!/usr/bin/env bash
# Figure 5: household games and science labs.
source "$(dirname "${BASH_SOURCE[0]}")/experiments.sh"
run_figure requirements-envs.txt 5 "$@"
