#!/usr/bin/env bash
# The supplement: policies, more cases in the prompt, retaining the ground truth, discovery.
source "$(dirname "${BASH_SOURCE[0]}")/experiments.sh"
run_figure requirements.txt supplement "$@"
