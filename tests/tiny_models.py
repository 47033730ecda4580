"""Tiny, randomly initialised transformers in folders, as a user would have real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, pre_tokenizers, processors
from tokenizers.models import WordLevel

WORDS = [f"w{i}" for i in range(40)]
SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
POSITIONS = 40
SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
IDS = {"bos_token_id": 0, "cls_token_id": 0, "pad_token_id": 1, "eos_token_id": 2, "sep_token_id": 2}
DEBERTA = {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8}
EXTRA = {"DebertaV2": DEBERTA, "Electra": {"embedding_size": 16}}


def save_model(folder: Path, kind: str, suffix: str, n_labels: int = 1, seed: int = 0, **options: Any) -> str:
    """Save e.g. a `Bert` `ForSequenceClassification` with every weight random, biases too; returns the folder."""
    config = getattr(transformers, f"{kind}Config")(
        vocab_size=len(SPECIAL + WORDS),
        max_position_embeddings=POSITIONS,
        num_labels=n_labels,
        **SIZES,
        **IDS,
        **EXTRA.get(kind, {}),
        **options,
    )
    generator = torch.Generator().manual_seed(seed)
    model = getattr(transformers, kind + suffix)(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    model.save_pretrained(folder)
    save_tokenizer(folder)
    return str(folder)


def save_tokenizer(folder: Path) -> None:
    """A tokenizer of whole words: <s> query </s> case </s>."""
    tokenizer = Tokenizer(WordLevel({word: i for i, word in enumerate(SPECIAL + WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    names = {"cls_token": "<s>", "pad_token": "<pad>", "sep_token": "</s>", "unk_token": "<unk>"}
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_input_names=["input_ids", "attention_mask"], **names
    ).save_pretrained(folder)


def random_text(generator: torch.Generator, most_words: int) -> str:
    n = int(torch.randint(1, most_words + 1, (1,), generator=generator))
    return " ".join(WORDS[i] for i in torch.randint(len(WORDS), (n,), generator=generator).tolist())
