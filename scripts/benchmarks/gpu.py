"""What local models cost: answers generated in process, the retrieval policy with a cross-encoder: `benchmark.py gpu`.

    python scripts/benchmark.py gpu            # on a GPU, in the sizes of Qwen3-0.6B and gte-reranker-modernbert-base
    python scripts/benchmark.py gpu --tiny     # anywhere, in sizes that show only that it runs

The models have the real ones' architecture and random weights, so nothing is downloaded; memory and time depend on the
sizes alone. Texts are random words; a pair of B tokens is a query and a case of half as many each.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config import DEVICES, Config
from errors import UsageError
from llm import make_llm

if TYPE_CHECKING:
    import torch

BATCH = 32
PAIR_TOKENS = {False: (256, 1024, 2048), True: (32,)}  # by whether the sizes are tiny
QWEN3_06B = {"hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28, "num_attention_heads": 16,
             "num_key_value_heads": 8, "head_dim": 128, "vocab_size": 151_936, "tie_word_embeddings": True}  # fmt: skip
TINY_QWEN3 = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2,
              "num_key_value_heads": 1, "head_dim": 32, "vocab_size": 32_000}  # fmt: skip
MODERNBERT_BASE: dict[str, int] = {}  # its sizes are the config's defaults
TINY_MODERNBERT = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 2}
TEMPLATE = "{% for message in messages %}{{ message.content }}{% endfor %}"


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", default="auto", choices=DEVICES, help="where (default: %(default)s)")
    parser.add_argument("--tiny", action="store_true", help="in tiny sizes, which a CPU is enough for")


def report(arguments: argparse.Namespace) -> None:
    """Print both tables for `--device`; without a GPU only tiny sizes are measured."""
    import torch

    from memory.encoders import quiet_transformers, resolve_device

    quiet_transformers()
    device, tiny = resolve_device(arguments.device), arguments.tiny
    on_gpu = device.type == "cuda"
    if not (on_gpu or tiny):
        raise UsageError("no GPU here: `python scripts/benchmark.py gpu --tiny` shows that it runs, in tiny sizes")
    name = torch.cuda.get_device_name(device) if on_gpu else "CPU, no GPU: times in tiny sizes, no memory"
    print(f"{name}; torch {torch.__version__}{'; TINY models' if tiny else ''}\n")
    with tempfile.TemporaryDirectory() as folder:
        report_generation(Path(folder) / "llm", device, tiny)
        report_policy(Path(folder) / "reranker", device, tiny)


def report_generation(folder: Path, device: torch.device, tiny: bool) -> None:
    from transformers import Qwen3Config, Qwen3ForCausalLM

    new_tokens = 16 if tiny else 128
    no_end = {"eos_token_id": None, "bos_token_id": None, "pad_token_id": 0}
    save(Qwen3ForCausalLM(Qwen3Config(**(TINY_QWEN3 if tiny else QWEN3_06B), **no_end)), folder)
    config = Config(serving_mode="hf", llm=str(folder), device=device.type, max_new_tokens=new_tokens)
    client = make_llm(config, lambda: None).client
    how = client.details()
    print(f"generation: {how['dtype']}, attention {how['attention']}, 300 tokens in, {new_tokens} out")
    print("\n| batch | tokens a second | peak GPU memory |\n|---|---|---|")
    for size in (1, 8, 32):
        prompts = [[{"role": "user", "content": words(300, i)}] for i in range(size)]
        requests = [client.request(prompt, None, step) for step, prompt in enumerate(prompts, 1)]
        seconds, memory = timed(device, lambda requests=requests: client.complete_all(requests))
        print(f"| {size} | {size * new_tokens / seconds:.0f} | {memory} |", flush=True)


def report_policy(folder: Path, device: torch.device, tiny: bool) -> None:
    from transformers import ModernBertConfig, ModernBertForSequenceClassification

    from bandit import NeuralLinLogUCB
    from memory.pair_encoders import CrossEncoder
    from step import Case

    sizes = TINY_MODERNBERT if tiny else MODERNBERT_BASE
    config = ModernBertConfig(**sizes, num_labels=1, classifier_pooling="mean")
    save(ModernBertForSequenceClassification(config), folder)
    print(f"\nNeuralLinLogUCB, cross-encoder, R = B = {BATCH}")
    print("\n| tokens a pair | ms to rank 32 | s to train and encode 32 again | peak GPU memory |\n|---|---|---|---|")
    for tokens in PAIR_TOKENS[tiny]:
        features = CrossEncoder(str(folder), device, 2e-5, 1e-5, 0)
        policy = NeuralLinLogUCB(features, 0.1, 0.1, learning_rate=2e-5, batch_size=BATCH, comk=1)
        query, *tasks = (words(tokens // 2, i) for i in range(BATCH + 1))
        cases = [Case(task) for task in tasks]
        rank, ranking_memory = timed(device, lambda: policy.score(query, cases))  # noqa: B023
        for i in range(BATCH - 1):
            policy.update(query, [cases[i]], i % 2)
        train, training_memory = timed(device, lambda: policy.update(query, [cases[-1]], 1), repeats=1)  # noqa: B023
        memory = f"{ranking_memory} ranking, {training_memory} training"
        print(f"| {tokens} | {1000 * rank:.0f} | {train:.2f} | {memory} |", flush=True)


def save(model: Any, folder: Path) -> None:
    """`model` with random weights and the embedded encoder's tokenizer, as a folder that loads."""
    from transformers import AutoTokenizer

    from memory.encoders import embedded_model_folder

    model.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(embedded_model_folder())
    tokenizer.model_max_length, tokenizer.chat_template = 8192, TEMPLATE
    tokenizer.save_pretrained(folder)


def words(count: int, seed: int) -> str:
    """About `count` tokens of short, common words."""
    common = "the patient has a fever and pain in left arm since two days with no other history of illness".split()
    return " ".join(random.Random(seed).choices(common, k=count))


def timed(device: torch.device, work: Callable[[], Any], repeats: int = 3) -> tuple[float, str]:
    """(median seconds, peak GPU memory while working) of `work`, which runs once more before where it is repeated."""

    import torch

    def once() -> float:
        begin = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - begin

    if repeats > 1:
        once()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    seconds = statistics.median(once() for _ in range(repeats))
    peak = f"{torch.cuda.max_memory_allocated(device) / 2**30:.2f} GiB" if device.type == "cuda" else "-"
    return seconds, peak
