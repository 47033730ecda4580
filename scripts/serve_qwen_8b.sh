#!/usr/bin/env bash
# Serve Qwen/Qwen3-8B as qwen3-8b. Options go to vllm; --dry-run prints the command.
source "$(dirname "${BASH_SOURCE[0]}")/serve_vllm.sh"
serve_model qwen3-8b Qwen/Qwen3-8B 1 8192 32 "$@"
