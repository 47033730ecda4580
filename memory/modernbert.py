"""The forward pass of a ModernBERT classifier over packed pairs, by the weights of a transformers model.

What transformers' own does up to the last linear layer, in the same order, on tokens alone: no padding, no masks but
those of a window that a pair is longer than, each kind of rotation made once for a batch. transformers spends most of a
small model's time around the arithmetic.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .packing import Group, PackedModel, attend, pooled, product, rounded_product

Weights = tuple[Tensor, Tensor | None]


class PackedModernBert(PackedModel):
    """A transformers ModernBertForSequenceClassification, run packed up to what enters its classifier."""

    @staticmethod
    def can_run(model: Any) -> bool:
        """Whether `model` is a classifier that this reads."""
        is_one = type(model).__name__ == "ModernBertForSequenceClassification"
        return is_one and model.config.classifier_pooling in ("mean", "cls")

    def encode(self, tokens: Tensor, positions: Tensor, groups: list[Group]) -> Tensor:
        """What enters the classifier, [pairs, hidden], in evaluation mode, without gradients."""
        if self.precision == torch.float32:
            return self._run(tokens, positions, groups, self._weights(), product)
        if self._kept is None:
            self._kept = [[_rounded(weights, self.precision) for weights in layer] for layer in self._weights()]
        return self._run(tokens, positions, groups, self._kept, rounded_product)

    def features(self, tokens: Tensor, positions: Tensor, groups: list[Group]) -> Tensor:
        """The same with gradients; with dropout where the model is in training mode."""
        return self._run(tokens, positions, groups, self._weights(), product)

    def _weights(self) -> list[list[Weights]]:
        """Of each layer the weights of its four products."""
        layers = self.model.model.layers
        products = [(layer.attn.Wqkv, layer.attn.Wo, layer.mlp.Wi, layer.mlp.Wo) for layer in layers]
        return [[(product.weight, product.bias) for product in layer] for layer in products]

    def _run(
        self, tokens: Tensor, positions: Tensor, groups: list[Group], weights: list[list[Weights]], linear: Any
    ) -> Tensor:
        body, config = self.model.model, self.model.config
        x = body.embeddings(tokens)
        turns = {kind: body.rotary_emb(x, positions[None], kind) for kind in set(config.layer_types)}
        turns = {kind: [each[0, :, None, None] for each in turn] for kind, turn in turns.items()}
        for layer, (qkv, out, up, down) in zip(body.layers, weights, strict=True):
            attention, mlp = layer.attn, layer.mlp
            parts = linear(layer.attn_norm(x), qkv).view(len(x), 3, -1, attention.head_dim)
            query, key = _turn(parts[:, :2], *turns[layer.attention_type]).unbind(1)
            dropout = attention.attention_dropout if attention.training else 0.0
            seen = attend(query, key, parts[:, 2], groups, dropout=dropout, window=attention.sliding_window)
            x = x + attention.out_drop(linear(seen.reshape(len(x), -1), out))
            given, gate = linear(layer.mlp_norm(x), up).chunk(2, dim=-1)
            x = x + linear(mlp.drop(mlp.act(given) * gate), down)
        pairs = pooled(body.final_norm(x), groups, config.classifier_pooling == "mean")
        return self.model.drop(self.model.head(pairs))


def _turn(query_and_key: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions of both, [tokens, 2, heads, size]; cos and sin [tokens, 1, 1, size]."""
    both = query_and_key.float()
    one, two = both.chunk(2, dim=-1)
    return torch.addcmul(both * cos, torch.cat((-two, one), dim=-1), sin).to(query_and_key.dtype)


def _rounded(weights: Weights, precision: torch.dtype) -> Weights:
    weight, bias = weights
    return weight.detach().to(precision), None if bias is None else bias.detach().to(precision)
