"""Texts without padding: the tokens of many texts one after the other, in one row.

Whatever a transformer does token by token (embeddings, linear layers, norms) needs no text to be as long as its
neighbour; only attention has to know where a text ends. So a batch is all tokens of its texts and no others, the texts
sorted by length, and attention runs once for each length: no mask, no wasted work.

`pack_body` makes the body of any Hugging Face classifier work so, where its attention goes through transformers'
attention interface; it sees what it always sees, padded texts go in and padded hidden states come out.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

ATTENTION = "packed"  # its name in transformers' table of attention functions
BUDGET = {"cpu": 2048, "cuda": 16_384}  # tokens in a batch: what measured fastest on a CPU, what fills a GPU


@dataclass(frozen=True)
class Group:
    """Neighbouring texts of one length: `count` texts of `length` tokens each, from token `start` on."""

    start: int
    count: int
    length: int

    @property
    def tokens(self) -> slice:
        return slice(self.start, self.start + self.count * self.length)


def grouped(lengths: Sequence[int]) -> list[Group]:
    """The groups of texts with these lengths, in order."""
    groups, start = [], 0
    for length, run in groupby(lengths):
        count = sum(1 for _ in run)
        groups.append(Group(start, count, length))
        start += count * length
    return groups


def positions(lengths: Sequence[int], device: torch.device) -> Tensor:
    """The place of each token in its text, from 0, [sum of lengths]."""
    counts = np.asarray(lengths)
    ends = counts.cumsum()
    return torch.from_numpy(np.arange(ends[-1]) - np.repeat(ends - counts, counts)).to(device)


def batches(lengths: Sequence[int], device: torch.device) -> Iterator[list[int]]:
    """The texts, by number, in batches of about as many tokens as the device likes, shortest texts first."""
    budget = BUDGET.get(device.type, BUDGET["cpu"])
    batch: list[int] = []
    tokens = 0
    for i in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and tokens + lengths[i] > budget:
            yield batch
            batch, tokens = [], 0
        batch.append(i)
        tokens += lengths[i]
    if batch:
        yield batch


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    groups: list[Group],
    scale: float | None = None,
    dropout: float = 0.0,
    window: int | None = None,
) -> Tensor:
    """Attention of each text to itself alone.

    Args:
        query, key, value: [tokens, heads, size].
        window: how far, in tokens, a token sees to either side, one more than that as transformers counts; None: all.

    Returns:
        [tokens, heads, size].
    """
    parts = []
    for group in groups:
        shape = (group.count, group.length, *query.shape[1:])
        q, k, v = (each[group.tokens].view(shape).transpose(1, 2) for each in (query, key, value))
        mask = None
        if window is not None and group.length > window:
            place = torch.arange(group.length, device=query.device)
            mask = (place[:, None] - place[None, :]).abs() < window
        out = nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, scale=scale)
        parts.append(out.transpose(1, 2).reshape(-1, *query.shape[1:]))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def pooled(hidden: Tensor, groups: list[Group], mean: bool) -> Tensor:
    """One vector for each text, of hidden states [tokens, size]: their mean, or the first one's."""
    texts = [hidden[group.tokens].view(group.count, group.length, -1) for group in groups]
    return torch.cat([text.mean(1) if mean else text[:, 0] for text in texts])


def reduced(device: torch.device, precision: torch.dtype) -> AbstractContextManager[Any]:
    """In the block the products of any model are of `precision`; float32 leaves all as it is."""
    return torch.autocast(device.type, precision, enabled=precision != torch.float32)


class PackedModel:
    """What the forward passes of our own share.

    Args:
        model: of transformers; it stays the owner of the weights, and `refresh` says that they have changed.

    Attributes:
        precision: of the products in `encode`; sums, norms and what comes out are float32.
    """

    def __init__(self, model: Any, precision: torch.dtype = torch.float32) -> None:
        self.model = model
        self.precision = precision
        self._kept: list[Any] | None = None  # of each layer the weights in the form that they are encoded with

    def refresh(self) -> None:
        """Forget what was made of the weights."""
        self._kept = None


def product(x: Tensor, weights: tuple[Tensor, Tensor | None]) -> Tensor:
    """x times weights [out, in], as nn.Linear has them, with their bias."""
    return nn.functional.linear(x, *weights)


def rounded_product(x: Tensor, weights: tuple[Tensor, Tensor | None]) -> Tensor:
    """x times weights of a lower precision, in theirs."""
    return nn.functional.linear(rounded(x, weights[0].dtype), *weights)[: len(x)]


def rounded(x: Tensor, precision: torch.dtype) -> Tensor:
    """x [n, size] in `precision`; on a CPU with rows of zeros up to a round number of them.

    oneDNN compiles a product for each number of rows that it meets, and keeps it: of texts that are packed, hundreds of
    megabytes.
    """
    if x.device.type != "cpu":
        return x.to(precision)
    round_to = 16 if len(x) <= 128 else 64
    rows = x.new_zeros((-(-len(x) // round_to) * round_to, *x.shape[1:]), dtype=precision)
    rows[: len(x)] = x
    return rows


# -- any body of transformers ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Batch:
    """The batch that a body is at work on: its groups, and which places of the padded [n, length] hold tokens."""

    groups: list[Group]
    places: Tensor
    shape: tuple[int, int]


_current: ContextVar[_Batch | None] = ContextVar("packed batch", default=None)


def pack_body(classifier: Any) -> None:
    """Let the body of a Hugging Face classifier run without padding, from now on.

    Raises ValueError for a model whose attention cannot be exchanged.
    """
    from transformers import AttentionInterface, AttentionMaskInterface

    body = classifier.base_model
    before = body.config._attn_implementation
    AttentionInterface.register(ATTENTION, _attention)
    AttentionMaskInterface.register(ATTENTION, _mask)
    classifier.set_attn_implementation(ATTENTION)
    if body.config._attn_implementation != ATTENTION:
        classifier.set_attn_implementation(before)
        raise ValueError("its attention is its own")
    body.register_forward_pre_hook(_pack, with_kwargs=True)
    body.register_forward_hook(_unpack, with_kwargs=True)


def unpack_body(classifier: Any) -> None:
    """Undo `pack_body`."""
    body = classifier.base_model
    for hooks in (body._forward_pre_hooks, body._forward_hooks):
        for number in [number for number, hook in hooks.items() if hook in (_pack, _unpack)]:
            del hooks[number]
    classifier.set_attn_implementation("sdpa")


def _pack(body: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    kwargs = dict(zip(inspect.signature(body.forward).parameters, args)) | kwargs
    mask = kwargs.get("attention_mask")
    _current.set(None)
    if mask is None:
        return (), kwargs
    lengths = mask.sum(1).tolist()
    places = mask.flatten().nonzero()[:, 0]
    _current.set(_Batch(grouped(lengths), places, tuple(mask.shape)))
    first = _first_position(body)
    packed = {"attention_mask": None, "position_ids": positions(lengths, mask.device)[None] + first}
    for name in ("input_ids", "token_type_ids"):
        if kwargs.get(name) is not None:
            packed[name] = kwargs[name].flatten()[places][None]
    return (), kwargs | packed


def _first_position(body: nn.Module) -> int:
    """What the body numbers a text's first token: RoBERTa and its kin count from behind the padding index."""
    embeddings = getattr(getattr(body, "embeddings", None), "position_embeddings", None)
    padding = getattr(embeddings, "padding_idx", None)
    return 0 if padding is None else padding + 1


def _unpack(body: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], output: Any) -> Any:
    batch = _current.get()
    if batch is None:
        return output
    _current.set(None)
    hidden = output.last_hidden_state[0]
    rows, length = batch.shape
    full = hidden.new_zeros((rows * length, hidden.shape[1])).index_copy(0, batch.places, hidden)
    output.last_hidden_state = full.view(rows, length, -1)
    if getattr(output, "pooler_output", None) is not None:
        pooler: Any = body.pooler
        output.pooler_output = pooler(output.last_hidden_state)
    return output


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it: query, key and value [1, heads, tokens, size]."""
    batch = _current.get()
    if batch is None:
        from transformers.integrations.sdpa_attention import sdpa_attention_forward

        result: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return result
    q, k, v = (each[0].transpose(0, 1) for each in (query, key, value))
    return attend(q, k, v, batch.groups, scaling, dropout, kwargs.get("sliding_window"))[None], None


def _mask(*args: Any, **kwargs: Any) -> Tensor | None:
    if _current.get() is not None:
        return None
    from transformers.masking_utils import sdpa_mask

    mask: Tensor | None = sdpa_mask(*args, **kwargs)
    return mask
