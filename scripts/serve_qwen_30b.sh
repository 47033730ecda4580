#!/usr/bin/env bash
# Serve Qwen/Qwen3-30B-A3B as qwen3-30b-a3b. Options go to vllm; --dry-run prints the command.
source "$(dirname "${BASH_SOURCE[0]}")/serve_vllm.sh"
serve_model qwen3-30b-a3b Qwen/Qwen3-30B-A3B 4 24000 32 --enable-auto-tool-choice --tool-call-parser hermes "$@"
