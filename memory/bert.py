"""The forward pass of BERT over packed texts, by the weights of a transformers model.

What transformers' own does, in the same order, without what it is wrapped in: one product for query, key and value, and
no padding. A single short text, of which a step encodes two, costs half as much; so does a batch of many. For encoding
alone the weights are kept once more as columns, which small batches are multiplied with twice as fast, or in bfloat16.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .packing import Group, attend, rounded_product


@dataclass(frozen=True)
class _Layer:
    """One layer's weights: [out, in] as nn.Linear has them, or [in, out] where they are columns."""

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

    Attributes:
        precision: of the products in `encode`; sums, norms and what comes out are float32.
    """

    def __init__(self, model: Any, precision: torch.dtype = torch.float32) -> None:
        self.model = model
        self.precision = precision
        config = model.config
        self._heads: int = config.num_attention_heads
        self._dropout: float = config.hidden_dropout_prob
        self._attention_dropout: float = config.attention_probs_dropout_prob
        self._kept: list[_Layer] | None = None

    @staticmethod
    def can_run(model: Any) -> bool:
        """Whether `model` is a BERT that this reads: not one of its kin, nor with parts added."""
        return type(model).__name__ == "BertModel" and not model.config.is_decoder

    def refresh(self) -> None:
        """Forget what was made of the weights."""
        self._kept = None

    def encode(self, tokens: Tensor, positions: Tensor, groups: list[Group]) -> Tensor:
        """Hidden states [tokens, hidden] in evaluation mode, without gradients."""
        as_columns = self.precision == torch.float32
        if self._kept is None:
            self._kept = [_made(layer, as_columns, self.precision) for layer in self._layers()]
        linear = _times_columns if as_columns else rounded_product
        return self._run(tokens, positions, groups, self._kept, linear, training=False)

    def features(self, tokens: Tensor, positions: Tensor, groups: list[Group]) -> Tensor:
        """Hidden states with gradients; with dropout where the model is in training mode."""
        return self._run(tokens, positions, groups, self._layers(), _times_rows, self.model.training)

    def _layers(self) -> list[_Layer]:
        return [_layer(layer) for layer in self.model.encoder.layer]

    def _run(
        self,
        tokens: Tensor,
        positions: Tensor,
        groups: list[Group],
        layers: list[_Layer],
        linear: Any,
        training: bool,
    ) -> Tensor:
        dropout = self._dropout if training else 0.0
        embeddings = self.model.embeddings
        x = embeddings.word_embeddings(tokens) + embeddings.token_type_embeddings.weight[0]
        x = _drop(embeddings.LayerNorm(x + embeddings.position_embeddings(positions)), dropout)
        for layer in layers:
            query, key, value = linear(x, layer.qkv).view(len(x), 3, self._heads, -1).unbind(1)
            seen = attend(query, key, value, groups, dropout=self._attention_dropout if training else 0.0)
            seen = _drop(linear(seen.reshape(len(x), -1), layer.out), dropout)
            x = layer.norms[0](x + seen)
            wide = layer.activation(linear(x, layer.up))
            x = layer.norms[1](x + _drop(linear(wide, layer.down), dropout))
        return x


def _layer(layer: Any) -> _Layer:
    attention, output = layer.attention.self, layer.attention.output
    parts = (attention.query, attention.key, attention.value)
    qkv = torch.cat([part.weight for part in parts]), torch.cat([part.bias for part in parts])
    out, up, down = ((part.weight, part.bias) for part in (output.dense, layer.intermediate.dense, layer.output.dense))
    norms = output.LayerNorm, layer.output.LayerNorm
    return _Layer(qkv, out, up, down, norms, layer.intermediate.intermediate_act_fn)


def _made(layer: _Layer, as_columns: bool, precision: torch.dtype) -> _Layer:
    """The layer's weights for encoding alone."""

    def made(weights: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        weight, bias = (each.detach().to(precision) for each in weights)
        return weight.T.contiguous() if as_columns else weight, bias

    return _Layer(made(layer.qkv), made(layer.out), made(layer.up), made(layer.down), layer.norms, layer.activation)


def _drop(x: Tensor, share: float) -> Tensor:
    return F.dropout(x, share) if share else x


def _times_rows(x: Tensor, weights: tuple[Tensor, Tensor]) -> Tensor:
    return F.linear(x, *weights)


def _times_columns(x: Tensor, weights: tuple[Tensor, Tensor]) -> Tensor:
    return torch.addmm(weights[1], x, weights[0])
