#!/usr/bin/env bash
# Serve Qwen/Qwen3-32B as qwen3-32b. Options go to vllm; --dry-run prints the command.
source "$(dirname "${BASH_SOURCE[0]}")/serve_vllm.sh"
serve_model qwen3-32b Qwen/Qwen3-32B 4 16000 32 "$@"
