#!/usr/bin/env bash
# Figure 4b: gemini-2.0-flash, by OPENAI_API_KEY and OPENAI_BASE_URL.
source "$(dirname "${BASH_SOURCE[0]}")/experiments.sh"
run_figure requirements.txt 4b "$@"
