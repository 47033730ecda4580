#!/usr/bin/env bash
# Serve Qwen/Qwen3-4B as qwen3-4b. Options go to vllm; --dry-run prints the command.
source "$(dirname "${BASH_SOURCE[0]}")/serve_vllm.sh"
serve_model qwen3-4b Qwen/Qwen3-4B 1 8192 64 "$@"
