"""The forward pass of BERT over packed texts, by the weights of a transformers model.

What transformers' own does, in the same order, without what it is wrapped in: one product for query, key and value, and
no padding. A single short text, of which a step encodes two, costs half as much; so does a batch of many. For encoding
alone the weights are kept once more as columns, which small batches are multiplied with twice as fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .packing import Group, attend


@dataclass(frozen=True)
class _Layer:
    """One layer's weights: [out, in] as nn.Linear has them, or [in, out] where they are `columns`."""

    qkv: tuple[Tensor, Tensor]
    out: tuple[Tensor, Tensor]
    up: tuple[Tensor, Tensor]
    down: tuple[Tensor, Tensor]
    norms: tuple[nn.LayerNorm, nn.LayerNorm]
    activation: Any


class PackedBert:
    """A transformers BertModel, run packed.

    Args:
        model: it stays the owner of the weights; `refresh` says that they have changed.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        config = model.config
        self._heads: int = config.num_attention_heads
        self._dropout: float = config.hidden_dropout_prob
        self._attention_dropout: float = config.attention_probs_dropout_prob
        self._columns: list[_Layer] | None = None

    @staticmethod
    def can_run(model: Any) -> bool:
        """Whether `model` is a BERT that this reads: not one of its kin, nor with parts added."""
        return type(model).__name__ == "BertModel" and not model.config.is_decoder

    def refresh(self) -> None:
        """Forget what was made of the weights."""
        self._columns = None

    def encode(self, tokens: Tensor, positions: Tensor, groups: list[Group]) -> Tensor:
        """Hidden states [tokens, hidden] in evaluation mode, without gradients."""
        if self._columns is None:
            self._columns = self._layers(as_columns=True)
        return self._run(tokens, positions, groups, self._columns, training=False)

    def features(self, tokens: Tensor, positions: Tensor, groups: list[Group]) -> Tensor:
        """Hidden states with gradients; with dropout where the model is in training mode."""
        return self._run(tokens, positions, groups, None, self.model.training)

    def _layers(self, as_columns: bool) -> list[_Layer]:
        return [_layer(layer, as_columns) for layer in self.model.encoder.layer]

    def _run(
        self, tokens: Tensor, positions: Tensor, groups: list[Group], columns: list[_Layer] | None, training: bool
    ) -> Tensor:
        dropout = self._dropout if training else 0.0
        linear = _times_rows if columns is None else _times_columns
        embeddings = self.model.embeddings
        x = embeddings.word_embeddings(tokens) + embeddings.token_type_embeddings.weight[0]
        x = F.dropout(embeddings.LayerNorm(x + embeddings.position_embeddings(positions)), dropout)
        for layer in columns or self._layers(as_columns=False):
            query, key, value = linear(x, layer.qkv).view(len(x), 3, self._heads, -1).unbind(1)
            seen = attend(query, key, value, groups, dropout=self._attention_dropout if training else 0.0)
            seen = F.dropout(linear(seen.reshape(len(x), -1), layer.out), dropout)
            x = layer.norms[0](x + seen)
            wide = layer.activation(linear(x, layer.up))
            x = layer.norms[1](x + F.dropout(linear(wide, layer.down), dropout))
        return x


def _layer(layer: Any, as_columns: bool) -> _Layer:
    attention, output = layer.attention.self, layer.attention.output
    parts = (attention.query, attention.key, attention.value)
    qkv = torch.cat([part.weight for part in parts]), torch.cat([part.bias for part in parts])
    others = [(part.weight, part.bias) for part in (output.dense, layer.intermediate.dense, layer.output.dense)]
    weights = [qkv, *others]
    if as_columns:
        weights = [(weight.detach().T.contiguous(), bias.detach()) for weight, bias in weights]
    qkv, out, up, down = weights
    norms = output.LayerNorm, layer.output.LayerNorm
    return _Layer(qkv, out, up, down, norms, layer.intermediate.intermediate_act_fn)


def _times_rows(x: Tensor, weights: tuple[Tensor, Tensor]) -> Tensor:
    return F.linear(x, *weights)


def _times_columns(x: Tensor, weights: tuple[Tensor, Tensor]) -> Tensor:
    return torch.addmm(weights[1], x, weights[0])
