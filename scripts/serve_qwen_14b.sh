#!/usr/bin/env bash
# Serve Qwen/Qwen3-14B as qwen3-14b. Options go to vllm; --dry-run prints the command.
source "$(dirname "${BASH_SOURCE[0]}")/serve_vllm.sh"
serve_model qwen3-14b Qwen/Qwen3-14B 2 8192 32 "$@"
