"""Tiny, randomly initialised transformers in folders, as a user would have real ones."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, pre_tokenizers, processors, trainers
from tokenizers.models import BPE, WordLevel

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


# -- chat models -------------------------------------------------------------------------------------------------------

CHAT_SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
CHAT_TEMPLATE = """{%- if tools %}<|im_start|>system
Call tools as <tool_call>{"name": "...", "arguments": {}}</tool_call>
{% for tool in tools %}{{ tool | tojson }}
{% endfor %}<|im_end|>
{% endif %}{%- for message in messages %}<|im_start|>{{ message.role }}
{{ message.content }}{% for call in message.tool_calls or [] %}<tool_call>{{ call.function | tojson }}</tool_call>\
{% endfor %}<|im_end|>
{% endfor %}<|im_start|>assistant
{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}"""
CHAT_SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


def save_chat_model(folder: Path, kind: str = "Qwen3", template: str | None = CHAT_TEMPLATE, **options: Any) -> str:
    """Save a random `kind`ForCausalLM with a byte-level tokenizer trained on a few words; returns the folder."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    texts = ["Which team should take this ticket? network hardware accounts", "<options> <task> answer log server"]
    letters = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, special_tokens=CHAT_SPECIAL, initial_alphabet=letters)
    tokenizer.train_from_iterator(texts, trainer)
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=template
    )
    fast.save_pretrained(folder)
    grouped = {"num_key_value_heads": 1} if kind == "Qwen3" else {}
    ids = {"eos_token_id": 2, "pad_token_id": 0, "bos_token_id": None}
    settings = {"vocab_size": 320, "max_position_embeddings": 2048, **CHAT_SIZES, **grouped, **ids, **options}
    config = getattr(transformers, f"{kind}Config")(**settings)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = getattr(transformers, f"{kind}ForCausalLM")(config)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter.normal_(std=0.3)
    model.save_pretrained(folder)
    return str(folder)


def save_bert_of_letters(folder: Path) -> str:
    """Save a BERT of one layer with random weights that reads letters: it trains in milliseconds."""
    letters = string.ascii_lowercase + string.digits + string.punctuation
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    transformers.BertTokenizer(vocab={token: i for i, token in enumerate(tokens)}).save_pretrained(folder)
    shape = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = transformers.BertConfig(vocab_size=len(tokens), initializer_range=0.5, **shape)
        transformers.BertModel(config).save_pretrained(folder)
    return str(folder)
