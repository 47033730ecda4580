"""The forward pass of BERT over packed texts, by the weights of a transformers model.

What transformers' own does, in the same order, without what it is wrapped in: one product for query, key and value, and
no padding. A single short text, of which a step encodes two, costs half as much; so does a batch of many. For encoding
alone the weights are kept once more: as columns, which small batches are multiplied with twice as fast, or in bfloat16.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .packing import Group, PackedModel, attend, product, rounded, rounded_product

Product = Callable[[Tensor, tuple[Tensor, Tensor]], Tensor]


@dataclass(frozen=True)
class _Layer:
    """One layer's weights, [out, in] as nn.Linear has them, or in the form that they are multiplied in."""

    qkv: tuple[Tensor, Tensor]
    out: tuple[Tensor, Tensor]
    up: tuple[Tensor, Tensor]
    down: tuple[Tensor, Tensor]
    norms: tuple[nn.LayerNorm, nn.LayerNorm]
    activation: Any


class PackedBert(PackedModel):
    """A transformers BertModel, run packed."""

    def __init__(self, model: Any, precision: torch.dtype = torch.float32) -> None:
        super().__init__(model, precision)
        config = model.config
        self._heads: int = config.num_attention_heads
        self._dropout: float = config.hidden_dropout_prob
        self._attention_dropout: float = config.attention_probs_dropout_prob

    @staticmethod
    def can_run(model: Any) -> bool:
        """Whether `model` is a BERT that this reads: not one of its kin, nor with parts added."""
        return type(model).__name__ == "BertModel" and not model.config.is_decoder

    def encode(self, tokens: Tensor, positions: Tensor, groups: list[Group]) -> Tensor:
        """Hidden states [tokens, hidden] in evaluation mode, without gradients."""
        make, linear = self._form(tokens.device)
        if self._kept is None:
            self._kept = [_made(layer, make, self.precision) for layer in self._layers()]
        return self._run(tokens, positions, groups, self._kept, linear, training=False)

    def _form(self, device: torch.device) -> tuple[Callable[[Tensor], Tensor], Product]:
        """How a weight is kept for encoding, and what multiplies with it."""
        if self.precision == torch.float32:
            return _columns, _times_columns
        if device.type == "cpu" and torch.ops.mkldnn._is_mkldnn_bf16_supported():
            return torch.ops.mkldnn._reorder_linear_weight, _times_blocks
        return Tensor.contiguous, rounded_product

    def features(self, tokens: Tensor, positions: Tensor, groups: list[Group]) -> Tensor:
        """Hidden states with gradients; with dropout where the model is in training mode."""
        return self._run(tokens, positions, groups, self._layers(), product, self.model.training)

    def _layers(self) -> list[_Layer]:
        return [_layer(layer) for layer in self.model.encoder.layer]

    def _run(
        self,
        tokens: Tensor,
        positions: Tensor,
        groups: list[Group],
        layers: list[_Layer],
        linear: Product,
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


def _made(layer: _Layer, make: Callable[[Tensor], Tensor], precision: torch.dtype) -> _Layer:
    """The layer's weights for encoding alone."""

    def made(weights: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        weight, bias = (each.detach().to(precision) for each in weights)
        return make(weight), bias

    return _Layer(made(layer.qkv), made(layer.out), made(layer.up), made(layer.down), layer.norms, layer.activation)


def _drop(x: Tensor, share: float) -> Tensor:
    return F.dropout(x, share) if share else x


def _columns(weight: Tensor) -> Tensor:
    return weight.T.contiguous()


def _times_blocks(x: Tensor, weights: tuple[Tensor, Tensor]) -> Tensor:
    """x times bfloat16 weights that lie as oneDNN multiplies them: it would lay them out anew for each product."""
    made: Tensor = torch.ops.mkldnn._linear_pointwise(rounded(x, torch.bfloat16), *weights, "none", [], "")
    return made[: len(x)]


def _times_columns(x: Tensor, weights: tuple[Tensor, Tensor]) -> Tensor:
    return torch.addmm(weights[1], x, weights[0])
