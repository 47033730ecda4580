"""The embedded encoder, read from its files alone.

A recall encoder of any name is loaded by sentence-transformers, whose import alone takes longer than a run's first
steps. The one that comes as a package is always the same small BERT, and packing.py and bert.py do its work; so here
are its weights and its tokenizer, and nothing else. Modules and weights have the names that sentence-transformers
gives them: hashes of the encoder, and checkpoints with a trained one, are the same whoever has loaded it.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn


class Linear(nn.Linear):
    def reset_parameters(self) -> None:
        """The weights come from a file: none are drawn."""


class Embedding(nn.Embedding):
    def reset_parameters(self) -> None:
        """As above."""


class Modules(nn.Module):
    """A module that is its named parts."""

    def __init__(self, /, **parts: nn.Module) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)


class Intermediate(Modules):
    intermediate_act_fn = staticmethod(nn.functional.gelu)


class BertModel(Modules):
    """The parts of a BERT, for `PackedBert` to run."""

    def __init__(self, config: SimpleNamespace) -> None:
        width, wide = config.hidden_size, config.intermediate_size

        def output(size: int) -> Modules:
            return Modules(dense=Linear(size, width), LayerNorm=norm())

        def norm() -> nn.LayerNorm:
            return nn.LayerNorm(width, eps=config.layer_norm_eps)

        def layer() -> Modules:
            attention = Modules(query=Linear(width, width), key=Linear(width, width), value=Linear(width, width))
            return Modules(
                attention=Modules(self=attention, output=output(width)),
                intermediate=Intermediate(dense=Linear(width, wide)),
                output=output(wide),
            )

        embeddings = Modules(
            word_embeddings=Embedding(config.vocab_size, width),
            position_embeddings=Embedding(config.max_position_embeddings, width),
            token_type_embeddings=Embedding(config.type_vocab_size, width),
            LayerNorm=norm(),
        )
        layers = nn.ModuleList(layer() for _ in range(config.num_hidden_layers))
        super().__init__(
            embeddings=embeddings, encoder=Modules(layer=layers), pooler=Modules(dense=Linear(width, width))
        )
        self.config = config


class Transformer(Modules):
    """The first module of a sentence encoder."""

    def __init__(self, bert: BertModel) -> None:
        super().__init__(model=bert)

    @property
    def auto_model(self) -> nn.Module:
        return self.get_submodule("model")


class Pooling(nn.Module):
    pooling_mode = "mean"


class Normalize(nn.Module):
    pass


class Tokenizer:
    """The package's tokenizer, as much of it as `TokenStore` asks for; copies of an encoder share it, threads too."""

    def __init__(self, path: Path) -> None:
        from tokenizers import Tokenizer as Backend

        self.backend_tokenizer = Backend.from_file(str(path))
        self.backend_tokenizer.no_padding()
        self._lock = threading.Lock()  # truncation is a state of the tokenizer, not an argument

    def __call__(self, texts: str | list[str], truncation: bool = False, max_length: int = 0) -> dict[str, Any]:
        backend = self.backend_tokenizer
        with self._lock:
            backend.enable_truncation(max_length) if truncation else backend.no_truncation()
            if isinstance(texts, str):
                return {"input_ids": backend.encode(texts).ids}
            return {"input_ids": [each.ids for each in backend.encode_batch(texts)]}

    def __deepcopy__(self, memo: dict[int, Any]) -> Tokenizer:
        return self


class MiniLM(nn.Sequential):
    """The sentence encoder in `folder`: mean-pooled and normalised. It is run by `Sentences`, not called."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        config = SimpleNamespace(**json.loads((folder / "config.json").read_text(encoding="utf-8")), is_decoder=False)
        bert = BertModel(config)
        super().__init__(Transformer(bert), Pooling(), Normalize())
        weights: dict[str, Tensor] = load_file(folder / "model.safetensors")
        weights.pop("embeddings.position_ids")  # 0, 1, 2 ...
        bert.load_state_dict(weights, assign=True)
        self._dim = int(config.hidden_size)
        self.to(device).eval()
        self.tokenizer = Tokenizer(folder / "tokenizer.json")
        settings = json.loads((folder / "sentence_bert_config.json").read_text(encoding="utf-8"))
        self.max_seq_length: int = settings["max_seq_length"]

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device

    def get_embedding_dimension(self) -> int:
        return self._dim
