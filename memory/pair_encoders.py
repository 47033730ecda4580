"""Pair encoders: (query, case task) -> phi in R^d, the vector that enters a classifier's last linear layer.

The policies rank with phi and may train the encoder; they never see what is behind it.

- `CrossEncoder` reads both texts together: any Hugging Face sequence classifier that ends in a linear layer.
- `BiEncoder` reads each text once per weight version and combines the two vectors, phi = [u * v, |u - v|]. A step then
  costs one query encoding instead of R pair encodings, which is what makes a CPU enough.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from config import EMBEDDED, Config
from errors import UserError
from memory.encoders import (
    LOAD_ERRORS,
    TextEncoder,
    asking_hub_once,
    cannot_load,
    check_tokenizer,
    quiet_transformers,
    seeded,
)
from memory.modernbert import PackedModernBert
from memory.packing import batches, grouped, pack_body, positions, reduced, unpack_body
from memory.tokens import TokenStore

if TYPE_CHECKING:
    from memory.sentences import Sentences

MAX_PAIR_TOKENS = 2048
Pair = tuple[str, str]  # (query, case task)


def make_pair_encoder(config: Config, text_encoder: TextEncoder) -> PairEncoder:
    """The ranking encoder of `config`; `text_encoder` is the recall encoder, shared where both are the embedded one."""
    training = (config.learning_rate or 0.0, config.weight_decay, config.seed)
    device, precision = text_encoder.device, config.precision
    if config.reranker_model_path != EMBEDDED:
        return CrossEncoder(config.reranker_model_path, device, *training, precision=precision)
    same = config.embedding_model_path == EMBEDDED and text_encoder.precision == precision
    return BiEncoder(text_encoder if same else TextEncoder(EMBEDDED, device, precision), *training)


class PairEncoder(ABC):
    """phi with a one-logit head without bias, and the training step of both.

    Attributes:
        dim: d.
        head: nn.Linear(d, 1, bias=False).
        version: counts training steps; equal versions mean equal weights.
        grows: the entries of `state_dict` that only get longer while the version is the same.
        keeps: whether what was encoded once is kept as long as the version is the same.
    """

    grows: tuple[str, ...] = ()
    keeps = False

    def __init__(self, head: nn.Linear, device: torch.device, learning_rate: float, weight_decay: float, seed: int):
        self.head = head.to(device)
        self.dim = head.in_features
        self.device = device
        self.version = 0
        self._learning_rate = learning_rate
        self._weight_decay = weight_decay
        self._seed = seed
        self._optimizer: torch.optim.Optimizer | None = None

    @abstractmethod
    def encode(self, pairs: list[Pair]) -> Tensor:
        """phi of each pair under the current weights, float32 [n, d], in evaluation mode, without gradients."""

    @abstractmethod
    def _features(self, pairs: list[Pair]) -> Tensor:
        """phi of each pair with gradients, [n, d], in the mode the module is in."""

    @abstractmethod
    def _trainable(self) -> nn.Module:
        """The encoder's module, this instance's own to train."""

    @abstractmethod
    def twin(self) -> PairEncoder:
        """An encoder with the same weights, to train while this one goes on encoding."""

    def frozen(self) -> PairEncoder:
        """An encoder that goes on encoding as this one does now, while this one is trained."""
        return self.twin()

    def head_weight(self) -> Tensor:
        """A copy of the head's weight, float32 [d]."""
        return self.head.weight.detach()[0].clone()

    def train_step(self, chunks: list[tuple[list[Pair], Tensor]], loss: str) -> float:
        """One AdamW step on encoder and head over chunks of (pairs, rewards [n]); returns the mean loss before it.

        Gradients accumulate chunk by chunk, so one chunk bounds the memory, and are averaged over all pairs. `loss` is
        `bce` (binary cross-entropy of the logit) or `mse` (squared error of the logit against the reward).
        """
        losses: dict[str, Callable[..., Tensor]] = {
            "bce": nn.functional.binary_cross_entropy_with_logits,
            "mse": nn.functional.mse_loss,
        }
        criterion = losses[loss]
        module, optimizer = self._trainable(), self._get_optimizer()
        n_pairs = sum(len(pairs) for pairs, _ in chunks)
        total = 0.0
        module.train()
        with seeded(self.device, self._seed * 1_000_003 + self.version):  # dropout
            for pairs, rewards in chunks:
                logits = self.head(self._features(pairs))[:, 0]
                share = criterion(logits, rewards.to(logits), reduction="sum") / n_pairs
                share.backward()
                total += share.item()
        optimizer.step()
        optimizer.zero_grad()
        module.eval()
        self.version += 1
        self._changed()
        return total

    def _changed(self) -> None:
        """The weights have changed."""

    def _get_optimizer(self) -> torch.optim.Optimizer:
        if self._optimizer is None:
            parameters = [p for p in self._trainable().parameters() if p is not self.head.weight] + [self.head.weight]
            self._optimizer = torch.optim.AdamW(
                parameters,
                lr=self._learning_rate,
                weight_decay=self._weight_decay,
                fused=self.device.type in ("cpu", "cuda"),
            )
        return self._optimizer

    def state_dict(self) -> dict[str, Any]:
        """What training has changed; empty before the first training step."""
        if self.version == 0:
            return {}
        return {
            "version": self.version,
            "module": self._trainable().state_dict(),
            "head": self.head.weight.detach(),
            "optimizer": self._get_optimizer().state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        if not state:
            return
        self._trainable().load_state_dict(state["module"])
        with torch.no_grad():
            self.head.weight.copy_(state["head"])
        if "optimizer" in state:  # a policy that another run has kept comes without
            self._get_optimizer().load_state_dict(state["optimizer"])
        self._trainable().eval()
        self.version = state["version"]
        self._changed()


class BiEncoder(PairEncoder):
    """phi(q, c) = [u * v, |u - v|] from the unit embeddings u of the query and v of the case, d = 2 * dim.

    Until its first training step it shares `text_encoder` and what that has encoded; then it trains a copy, so recall
    stays as it was. Texts are encoded once per weight version.
    """

    grows = ("texts", "embeddings")
    keeps = True

    def __init__(self, text_encoder: TextEncoder, learning_rate: float, weight_decay: float, seed: int) -> None:
        head = nn.Linear(2 * text_encoder.dim, 1, bias=False)
        with torch.no_grad():
            head.weight.copy_(cosine_head(text_encoder.dim))
        super().__init__(head, text_encoder.device, learning_rate, weight_decay, seed)
        self._text_encoder = text_encoder
        self._own: Sentences | None = None  # once it is trained
        self._row: dict[str, int] = {}  # text -> its row of _table, under the current weights
        self._table = torch.empty((0, text_encoder.dim), device=self.device)

    def encode(self, pairs: list[Pair]) -> Tensor:
        sides = [[pair[side] for pair in pairs] for side in (0, 1)]
        if self._own is None:
            return _combine(*(torch.from_numpy(self._text_encoder.encode(side)).to(self.device) for side in sides))
        new = [text for text in dict.fromkeys(text for pair in pairs for text in pair) if text not in self._row]
        if new:
            self._store(new, self._own.encode(new))
        return _combine(*(self._table[[self._row[text] for text in side]] for side in sides))

    def _store(self, texts: list[str], embeddings: Tensor) -> None:
        used, needed = len(self._row), len(self._row) + len(texts)
        if needed > len(self._table):
            grown = torch.empty((max(needed, 2 * len(self._table), 1024), self._table.shape[1]), device=self.device)
            grown[:used] = self._table[:used]
            self._table = grown
        self._table[used:needed] = embeddings
        self._row.update(zip(texts, range(used, needed)))

    def _trainable(self) -> nn.Module:
        return self._sentences().model

    def _sentences(self) -> Sentences:
        if self._own is None:
            self._own = self._text_encoder.sentences.twin({})
        return self._own

    def frozen(self) -> BiEncoder:
        used = len(self._row)
        frozen = copy.copy(self) if self._own is None else self.twin()
        frozen._row, frozen._table = dict(self._row), self._table[:used].clone()
        return frozen

    def twin(self) -> BiEncoder:
        twin = copy.copy(self)
        memo: dict[int, Any] = {}
        twin._own = (self._own or self._text_encoder.sentences).twin(memo)
        twin.head, twin._optimizer = copy.deepcopy((self.head, self._optimizer), memo)
        twin._row, twin._table = {}, self._table[:0]
        return twin

    def _features(self, pairs: list[Pair]) -> Tensor:
        texts = list(dict.fromkeys(text for pair in pairs for text in pair))
        row = {text: i for i, text in enumerate(texts)}
        embeddings = self._sentences().features(texts)
        u, v = (embeddings[[row[pair[side]] for pair in pairs]] for side in (0, 1))
        return _combine(u, v)

    def _changed(self) -> None:
        self._sentences().refresh()
        self._row.clear()

    def state_dict(self) -> dict[str, Any]:
        state = super().state_dict()
        if state:
            state |= {"texts": list(self._row), "embeddings": self._table[: len(self._row)].clone()}
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        if "texts" in state:
            self._store(state["texts"], state["embeddings"].to(self.device))


def _combine(u: Tensor, v: Tensor) -> Tensor:
    return torch.cat([u * v, (u - v).abs()], dim=1)


def cosine_head(dim: int) -> Tensor:
    """The bi-encoder's first head weight, [1, 2 * dim]: a logit that grows with the cosine of the two texts."""
    return torch.cat([torch.full((1, dim), 10.0), torch.full((1, dim), -0.5)], dim=1)


class CrossEncoder(PairEncoder):
    """A Hugging Face sequence classifier whose logits come out of a linear layer; phi is what enters that layer.

    A classifier with two labels becomes one with a single logit, the difference of the two; a bias is dropped. Where
    the model gives the same features without padding it runs without, a ModernBERT by a forward pass of our own.

    Args:
        precision: `float32` or `bfloat16`, of the products in `encode`; it is trained in float32.

    Attributes:
        packed: whether it runs without padding.
    """

    def __init__(
        self,
        model: str,
        device: torch.device,
        learning_rate: float,
        weight_decay: float,
        seed: int,
        precision: str = "float32",
    ) -> None:
        self._model, self._tokenizer = _load_classifier(model)
        max_tokens = _max_tokens(self._model, self._tokenizer)
        self._tokens = TokenStore(self._tokenizer, max_tokens)
        self._model.to(device).eval()
        inputs = self._tokenizer("query", "case", return_tensors="pt").to(device)
        name, layer = _last_linear(self._model, inputs, model)
        head = _one_logit(layer, model)
        self._model.set_submodule(name, head)
        self._phi: Tensor | None = None
        head.register_forward_pre_hook(self._keep_input)
        super().__init__(head, device, learning_rate, weight_decay, seed)
        self._precision = torch.float32
        self._own: PackedModernBert | None = None
        self.packed = self._try_packed(max_tokens)
        self._precision = getattr(torch, precision)
        if self._own is not None:
            self._own.precision = self._precision

    def _keep_input(self, module: nn.Module, args: tuple[Tensor, ...]) -> None:
        self._phi = args[0]

    def _try_packed(self, max_tokens: int) -> bool:
        """Run without padding if that changes no feature, of texts longer than any window of its attention too."""
        window = getattr(self._model.config, "sliding_window", None) or 8
        words = " ".join(["word"] * min(max_tokens, 4 * window))
        probes = [("a", "b"), ("a few words", words), ("more words than the first has", "and others")]
        expected = self.encode(probes)

        def is_right() -> bool:
            return torch.allclose(self.encode(probes), expected, rtol=1e-4, atol=1e-5)

        try:
            if PackedModernBert.can_run(self._model):
                self._own = PackedModernBert(self._model)
                if is_right():
                    return True
                self._own = None
            pack_body(self._model)
            if is_right():
                return True
        except (ValueError, TypeError, AttributeError, RuntimeError):  # what a body raises that takes no such input
            pass
        unpack_body(self._model)
        return False

    def encode(self, pairs: list[Pair]) -> Tensor:
        phi = torch.empty((len(pairs), self.dim), device=self.device)
        tokens = self._tokens.pairs(pairs)
        with torch.inference_mode():
            for batch in batches([each.shape[1] for each in tokens], self.device):
                phi[batch] = self._run([tokens[i] for i in batch]).float()
        return phi

    def _features(self, pairs: list[Pair]) -> Tensor:
        tokens = self._tokens.pairs(pairs)
        order = sorted(range(len(pairs)), key=lambda i: tokens[i].shape[1])
        place = torch.empty(len(pairs), dtype=torch.long, device=self.device)
        place[torch.tensor(order, device=self.device)] = torch.arange(len(pairs), device=self.device)
        return self._run([tokens[i] for i in order])[place]

    def _run(self, tokens: list[np.ndarray]) -> Tensor:
        """phi of pairs that come sorted by length, [n, d], in the mode and with the gradients of the moment."""
        if self._own is not None:
            lengths = [each.shape[1] for each in tokens]
            flat = torch.from_numpy(np.concatenate([each[0] for each in tokens])).to(self.device)
            run = self._own.features if torch.is_grad_enabled() else self._own.encode
            return run(flat, positions(lengths, self.device), grouped(lengths))
        with reduced(self.device, torch.float32 if torch.is_grad_enabled() else self._precision):
            self._model(**self._padded(tokens))
        phi, self._phi = self._phi, None
        assert phi is not None, "the head's hook has kept what entered it"
        return phi

    def _padded(self, tokens: list[np.ndarray]) -> dict[str, Tensor]:
        """What the model takes for these pairs: each of the tokenizer's fields and the mask, [n, longest]."""
        longest = max(each.shape[1] for each in tokens)
        fill = {"input_ids": self._tokenizer.pad_token_id, "token_type_ids": self._tokenizer.pad_token_type_id}
        fields = self._tokens.fields
        shape = (len(fields) + 1, len(tokens), longest)
        table = np.zeros(shape, np.int64)
        for row, name in enumerate(fields):
            table[row] = fill.get(name) or 0
        left = self._tokenizer.padding_side == "left"
        for i, each in enumerate(tokens):
            place = slice(longest - each.shape[1], None) if left else slice(each.shape[1])
            table[:-1, i, place] = each
            table[-1, i, place] = 1
        return dict(zip([*fields, "attention_mask"], torch.from_numpy(table).to(self.device)))

    def _trainable(self) -> nn.Module:
        return self._model

    def _changed(self) -> None:
        self._phi = None  # training goes through the head alone, whose hook has kept this, gradients and all
        if self._own is not None:
            self._own.refresh()

    def twin(self) -> CrossEncoder:
        shared = (self._tokenizer, self._tokens, self.device)
        return copy.deepcopy(self, {id(each): each for each in shared})


def _load_classifier(model: str) -> tuple[Any, Any]:
    quiet_transformers()
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    try:
        with asking_hub_once(model, "--reranker_model_path"):
            classifier, loading = AutoModelForSequenceClassification.from_pretrained(
                model, output_loading_info=True, dtype=torch.float32
            )
            tokenizer = AutoTokenizer.from_pretrained(model)
    except LOAD_ERRORS as error:
        raise cannot_load("--reranker_model_path", model, error) from error
    check_tokenizer(tokenizer, "--reranker_model_path", model)
    if loading["missing_keys"]:
        raise UserError(
            f"--reranker_model_path {model}: it has no trained classifier (missing "
            f"{sorted(loading['missing_keys'])[0]}); choose a reranker or another sequence-classification model"
        )
    return classifier, tokenizer


def _max_tokens(model: Any, tokenizer: Any) -> int:
    positions = getattr(model.config, "max_position_embeddings", None) or MAX_PAIR_TOKENS
    for name, module in model.named_modules():  # RoBERTa and its kin count positions from the padding index
        if name.endswith("position_embeddings") and getattr(module, "padding_idx", None) is not None:
            positions -= module.padding_idx + 1
    return min(MAX_PAIR_TOKENS, positions, tokenizer.model_max_length)


def _last_linear(model: Any, inputs: Any, name: str) -> tuple[str, nn.Linear]:
    """The (name, layer) whose output is the model's logits, found by running it once. Raises UserError if none is."""
    outputs: list[tuple[str, nn.Linear, Tensor]] = []
    hooks = [
        layer.register_forward_hook(lambda layer, _, output, path=path: outputs.append((path, layer, output)))
        for path, layer in model.named_modules()
        if isinstance(layer, nn.Linear)
    ]
    with torch.inference_mode():
        logits = model(**inputs).logits
    for hook in hooks:
        hook.remove()
    for path, layer, output in reversed(outputs):
        if output.shape == logits.shape and torch.equal(output, logits):
            return path, layer
    raise UserError(f"--reranker_model_path {name}: its logits do not come out of a linear layer: it has no features")


def _one_logit(layer: nn.Linear, name: str) -> nn.Linear:
    if layer.out_features > 2:
        raise UserError(f"--reranker_model_path {name}: it has {layer.out_features} labels; a ranker has one or two")
    weight = layer.weight.detach()
    head = nn.Linear(layer.in_features, 1, bias=False)
    with torch.no_grad():
        head.weight.copy_(weight if len(weight) == 1 else weight[1:] - weight[:1])
    return head
