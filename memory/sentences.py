"""Sentence encoders at work: texts -> unit vectors, each text's tokens kept, and no padding where it can be.

BERTs, the embedded encoder among them, run packed (see packing.py); others run as sentence-transformers has them, in
batches of about equal length.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from .bert import PackedBert
from .minilm import MiniLM
from .packing import batches, grouped, pooled, positions, reduced
from .tokens import TokenStore

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

ENCODE_BATCH = 32
PROBES = ("which of them is it?", "a text that is longer than the other one, and in other words", "a")


class Sentences:
    """A sentence encoder, encoding and trained.

    Args:
        model: stays the owner of the weights; after they have changed call `refresh`.
        precision: in which it multiplies while it encodes; it is trained in float32.

    Attributes:
        packed: whether it runs without padding.
    """

    def __init__(self, model: SentenceTransformer | MiniLM, precision: torch.dtype = torch.float32) -> None:
        self.model: Any = model
        self._precision = torch.float32
        self._body = self._as_bert()
        self._precision = precision
        if self._body is not None:
            self._body.precision = precision
            self.refresh()

    def twin(self, memo: dict[int, Any]) -> Sentences:
        """The same with weights of its own; `memo` as copy.deepcopy takes it."""
        twin = copy.copy(self)
        twin.model = copy.deepcopy(self.model, memo)
        twin._body = None if self._body is None else PackedBert(twin.model[0].auto_model, self._precision)
        return twin

    @property
    def packed(self) -> bool:
        return self._body is not None

    @property
    def device(self) -> torch.device:
        return self.model.device

    def encode(self, texts: list[str]) -> Tensor:
        """Unit embeddings of `texts` in evaluation mode, without gradients, [n, dim] on the model's device."""
        if self.model.training:
            self.model.eval()
        if self._body is None:
            return self._encode_padded(texts)
        tokens = self._tokens.texts(texts)
        lengths = [each.shape[1] for each in tokens]
        result = torch.empty((len(texts), self.model.get_embedding_dimension() or 0), device=self.device)
        with torch.inference_mode():
            for batch in batches(lengths, self.device):
                result[batch] = self._embed([tokens[i] for i in batch], training=False)
        return result

    def features(self, texts: list[str]) -> Tensor:
        """Unit embeddings with gradients, in the mode that the model is in."""
        if self._body is not None:
            tokens = self._tokens.texts(texts)
            order = sorted(range(len(texts)), key=lambda i: tokens[i].shape[1])
            place = torch.empty(len(texts), dtype=torch.long, device=self.device)
            place[torch.tensor(order, device=self.device)] = torch.arange(len(texts), device=self.device)
            return self._embed([tokens[i] for i in order], training=True)[place]
        made = self.model.preprocess(texts)
        inputs = {name: value.to(self.device) for name, value in made.items() if isinstance(value, Tensor)}
        return nn.functional.normalize(self.model(inputs)["sentence_embedding"], dim=1)

    def refresh(self) -> None:
        """The weights have changed."""
        if self._body is not None:
            self._body.refresh()

    def _embed(self, tokens: list[np.ndarray], training: bool) -> Tensor:
        """Unit embeddings of texts that come sorted by their number of tokens, [n, dim]."""
        assert self._body is not None
        lengths = [each.shape[1] for each in tokens]
        flat = torch.from_numpy(np.concatenate([each[0] for each in tokens])).to(self.device)
        groups = grouped(lengths)
        run = self._body.features if training else self._body.encode
        hidden = run(flat, positions(lengths, self.device), groups)
        return nn.functional.normalize(pooled(hidden, groups, self._takes_mean), dim=1)

    def _encode_padded(self, texts: list[str]) -> Tensor:
        with reduced(self.device, self._precision):
            found = self.model.encode(
                texts,
                batch_size=ENCODE_BATCH,
                convert_to_tensor=True,
                normalize_embeddings=True,
                show_progress_bar=False,
            )
        return found.float().clone()

    def _as_bert(self) -> PackedBert | None:
        """The model's body where it can run packed and then gives the same embeddings."""
        if isinstance(self.model, MiniLM):
            self._takes_mean = True
            self._tokens = TokenStore(self.model.tokenizer, self.model.max_seq_length)
            return PackedBert(self.model[0].auto_model)
        from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

        kinds = [type(module) for module in self.model]
        if kinds not in ([Transformer, Pooling], [Transformer, Pooling, Normalize]):
            return None
        pooling: Any = self.model[1]
        if pooling.pooling_mode not in ("mean", "cls") or not PackedBert.can_run(self.model[0].auto_model):
            return None
        self._takes_mean = pooling.pooling_mode == "mean"
        self._tokens = TokenStore(
            self.model.tokenizer, self.model.max_seq_length or self.model.tokenizer.model_max_length
        )
        self._body = None
        expected = self._encode_padded(list(PROBES))
        self._body = PackedBert(self.model[0].auto_model)
        return self._body if torch.allclose(self.encode(list(PROBES)), expected, atol=1e-5) else None
