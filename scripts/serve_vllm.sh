# Sourced by the serve_qwen_*.sh scripts: serve_model NAME HF_ID TENSOR_PARALLEL CONTEXT SEQUENCES [OPTION...]
# starts vLLM with the settings of the paper's runs. PORT (default 8000) says where; CUDA_VISIBLE_DEVICES on which GPUs.
# It asks for no key, so it listens on this machine only: HOST=0.0.0.0 serves others too, whoever can reach it.
set -euo pipefail

serve_model() {
    local name="$1" model="$2" parallel="$3" context="$4" sequences="$5"
    shift 5
    local command=(vllm serve "$model" --served-model-name "$name" --host "${HOST:-127.0.0.1}" --port "${PORT:-8000}"
        --dtype bfloat16 --tensor-parallel-size "$parallel" --max-model-len "$context" --max-num-seqs "$sequences"
        --gpu-memory-utilization 0.95)
    local dry_run=""
    for argument in "$@"; do
        if [ "$argument" = --dry-run ]; then dry_run=1; else command+=("$argument"); fi
    done
    if [ -n "$dry_run" ]; then
        echo "${command[*]}"
        return
    fi
    if ! command -v vllm > /dev/null; then
        echo "error: vllm is not installed: pip install -r requirements-vllm.txt, in an environment of its own" >&2
        exit 1
    fi
    exec "${command[@]}"
}
