"""Encoders without padding give what padded ones give, tokenise a text once, and train as they did."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from helpers.tiny_models import random_text, save_model
from memory import encoders, packing, tokens
from memory.encoders import EMBEDDED, TextEncoder, embedded_model_folder, identity_of, load_sentence_model, set_threads
from memory.minilm import MiniLM
from memory.packing import attend, batches, grouped, rounded, rounded_product, unpack_body
from memory.pair_encoders import BiEncoder, CrossEncoder, Pair, PairEncoder
from memory.sentences import Sentences
from memory.tokens import TokenStore

CPU = torch.device("cpu")
WINDOWED = {"local_attention": 8, "global_attn_every_n_layers": 2}
REWARDS = torch.tensor([0.0, 1.0] * 6)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    root = tmp_path_factory.mktemp("models")
    kinds: dict[str, tuple[str, dict[str, Any]]] = {
        "ModernBert": ("ModernBert", WINDOWED),
        "ModernBert, mean": ("ModernBert", {**WINDOWED, "classifier_pooling": "mean"}),
        **{kind: (kind, {}) for kind in ("Bert", "Roberta", "Electra", "DebertaV2", "MPNet")},
    }
    made = {
        name: save_model(root / name, kind, "ForSequenceClassification", **more) for name, (kind, more) in kinds.items()
    }
    return made | {"recall": save_model(root / "recall", "Bert", "Model")}


def random_pairs(n: int, seed: int = 0) -> list[Pair]:
    generator = torch.Generator().manual_seed(seed)
    return [(random_text(generator, 3 + 14 * (i % 2)), random_text(generator, 17)) for i in range(n)]


def without_dropout(module: torch.nn.Module) -> None:
    for each in module.modules():
        if isinstance(each, torch.nn.Dropout):
            each.p = 0.0


# -- batches and attention ---------------------------------------------------------------------------------------------


def test_batches_are_made_by_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(packing.BUDGET, "cpu", 20)
    lengths = [9, 3, 30, 3, 8, 1, 9, 19]
    made = list(batches(lengths, CPU))
    assert sorted(i for batch in made for i in batch) == list(range(8))
    assert [[lengths[i] for i in batch] for batch in made] == [[1, 3, 3, 8], [9, 9], [19], [30]]
    assert list(batches([], CPU)) == []
    groups = grouped([1, 3, 3, 8])
    assert [(group.start, group.count, group.length) for group in groups] == [(0, 1, 1), (1, 2, 3), (7, 1, 8)]


@pytest.mark.parametrize("window", [None, 3])
def test_each_text_attends_to_itself_alone(window: int | None) -> None:
    lengths = [2, 2, 5, 9]
    query, key, value = torch.randn((3, sum(lengths), 4, 6), generator=torch.Generator().manual_seed(0))
    result = attend(query, key, value, grouped(lengths), scale=0.5, window=window)
    texts = zip(*(each.split(lengths) for each in (query, key, value, result)), strict=True)
    for q, k, v, found in texts:
        scores = 0.5 * torch.einsum("qhs,khs->hqk", q, k)
        if window is not None:
            place = torch.arange(len(q))
            scores = scores.masked_fill((place[:, None] - place[None, :]).abs() >= window, float("-inf"))
        expected = torch.einsum("hqk,khs->qhs", scores.softmax(-1), v)
        assert torch.allclose(found, expected, atol=1e-5)


# -- packed as padded --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ModernBert", "ModernBert, mean", "Bert", "Roberta", "Electra"])
def test_a_packed_classifier_is_the_padded_one(folders: dict[str, str], kind: str) -> None:
    pairs = random_pairs(12)
    packed, padded = (CrossEncoder(folders[kind], CPU, 1e-2, 1e-2, 0) for _ in range(2))
    assert packed.packed
    unpack_body(padded._model)
    for encoder in (packed, padded):
        without_dropout(encoder._model)
    assert torch.allclose(packed.encode(pairs), padded.encode(pairs), atol=1e-5)
    one_by_one = torch.cat([packed.encode([pair]) for pair in pairs])
    assert torch.allclose(packed.encode(pairs), one_by_one, atol=1e-5)
    for _ in range(2):
        losses = [encoder.train_step([(pairs, REWARDS)], "bce") for encoder in (packed, padded)]
        assert losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert torch.allclose(packed.encode(pairs), padded.encode(pairs), atol=1e-3)


@pytest.mark.parametrize("kind", ["DebertaV2", "MPNet"])
def test_a_classifier_with_attention_of_its_own_stays_padded(folders: dict[str, str], kind: str) -> None:
    pairs = random_pairs(12)
    encoder = CrossEncoder(folders[kind], CPU, 1e-2, 1e-2, 0)
    assert not encoder.packed
    assert torch.allclose(encoder.encode(pairs), torch.cat([encoder.encode([pair]) for pair in pairs]), atol=1e-5)


def test_the_own_forward_pass_of_bert_is_transformers(folders: dict[str, str]) -> None:
    folder, texts = folders["recall"], [query for query, _ in random_pairs(12)]
    sentences = TextEncoder(folder, CPU).sentences
    assert sentences.packed
    model, tokenizer = AutoModel.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    for each in (model, sentences.model):
        without_dropout(each.train())
    sentences = sentences.twin({})
    sentences._body._dropout = sentences._body._attention_dropout = 0.0
    hidden = model(**tokenizer(texts, padding=True, return_tensors="pt")).last_hidden_state[:, 0]
    expected = torch.nn.functional.normalize(hidden, dim=1)
    found = sentences.features(texts)
    assert torch.allclose(found, expected, atol=1e-5)
    weights = torch.randn(found.shape, generator=torch.Generator().manual_seed(0))
    (found * weights).sum().backward()
    (expected * weights).sum().backward()
    theirs = dict(model.named_parameters())
    for name, parameter in sentences.model[0].auto_model.named_parameters():
        if "pooler" not in name:
            assert torch.allclose(parameter.grad, theirs[name].grad, atol=1e-5), name
    assert torch.allclose(sentences.encode(texts), expected, atol=1e-5)


def test_the_embedded_encoder_is_what_sentence_transformers_makes_of_it(text_encoder: TextEncoder) -> None:
    texts = ["a lost card", "a card that was stolen from me on the train to work " * 40, "the weather", ""]
    theirs = load_sentence_model(str(embedded_model_folder()), CPU)
    found = text_encoder.sentences.encode(texts)
    assert text_encoder.sentences.packed and isinstance(text_encoder.model, MiniLM)
    assert torch.allclose(found, Sentences(theirs)._encode_padded(texts), atol=1e-6)
    assert text_encoder.identity == identity_of(EMBEDDED, theirs)
    weights, own = theirs.state_dict(), text_encoder.model.state_dict()
    assert list(weights) == list(own) and all(torch.equal(weights[name], own[name]) for name in weights)
    assert [name for name, _ in theirs.named_parameters()] == [
        name for name, _ in text_encoder.model.named_parameters()
    ]


# -- tokens, twins, threads --------------------------------------------------------------------------------------------


def test_a_text_is_tokenised_once(folders: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    real = TokenStore._tokenize
    bare = TokenStore._tokenize_bare
    monkeypatch.setattr(TokenStore, "_tokenize", lambda self, *c: asked.append(len(c[0])) or real(self, *c))
    monkeypatch.setattr(TokenStore, "_tokenize_bare", lambda self, t: asked.append(len(t)) or bare(self, t))
    pairs = random_pairs(12)
    bi = BiEncoder(TextEncoder(folders["recall"], CPU), 1e-2, 1e-2, 0)
    cross = CrossEncoder(folders["ModernBert"], CPU, 1e-2, 1e-2, 0)
    distinct = {text for pair in pairs for text in pair}
    for encoder in (bi, cross):
        asked.clear()
        for _ in range(3):
            encoder.encode(pairs)
            encoder.train_step([(pairs, REWARDS)], "bce")
        assert sum(asked) == len(distinct)


def test_kept_tokens_are_bounded(folders: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    store = TokenStore(AutoTokenizer.from_pretrained(folders["recall"]), 40)
    monkeypatch.setattr(tokens, "KEPT", 40)
    texts = [" ".join(["w1"] * n) for n in range(1, 12)]
    first = store.texts(texts)
    assert 0 < store._size == sum(each.size for each in store._known.values()) <= 40
    assert list(store._known)[-1] == texts[-1]
    assert all((a == b).all() for a, b in zip(first, store.texts(texts)))


@pytest.mark.parametrize("kind", ["bi", "ModernBert"])
def test_a_twin_trains_alone(folders: dict[str, str], kind: str) -> None:
    def make() -> PairEncoder:
        if kind == "bi":
            return BiEncoder(TextEncoder(folders["recall"], CPU), 1e-2, 1e-2, 0)
        return CrossEncoder(folders[kind], CPU, 1e-2, 1e-2, 0)

    encoder, alone, pairs = make(), make(), random_pairs(12)
    for training in range(2):
        before, head = encoder.encode(pairs), encoder.head_weight()
        twin = encoder.twin()
        twin.train_step([(pairs, REWARDS)], "bce")
        alone.train_step([(pairs, REWARDS)], "bce")
        assert torch.equal(encoder.encode(pairs), before) and torch.equal(encoder.head_weight(), head)
        assert encoder.version == training and twin.version == training + 1
        assert torch.equal(twin.encode(pairs), alone.encode(pairs)), "its optimizer goes on, too"
        assert not torch.allclose(twin.encode(pairs), before, atol=1e-4)
        encoder = twin


def test_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    set_threads(0, [encoders.EMBEDDED])
    assert asked == [], "the environment decides"
    set_threads(1, ["a-large-model"])
    monkeypatch.delenv("OMP_NUM_THREADS")
    set_threads(0, [encoders.EMBEDDED, encoders.EMBEDDED])
    assert asked == [1, 1]
    set_threads(0, [encoders.EMBEDDED, "a-large-model"])
    assert asked == [1, 1], "torch's own choice"


# -- pairs from the tokens of their texts, precision -------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["ModernBert", "Roberta", "DebertaV2"])
def test_pairs_are_put_together_as_the_tokenizer_does(folders: dict[str, str], kind: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folders[kind])
    store = TokenStore(tokenizer, 40)
    assert store._frame is not None
    pairs = [*random_pairs(12), ("", "w1"), ("w1 " * 60, "w2"), ("w2", "w1 " * 38), ("[SEP] w1", " w2\n")]
    made = tokenizer(*map(list, zip(*pairs)), truncation=True, max_length=40)
    for i, found in enumerate(store.pairs(pairs)):
        assert [found[row].tolist() for row in range(len(store.fields))] == [made[name][i] for name in store.fields]


def test_a_tokenizer_that_joins_in_another_way_is_asked_for_each_pair(folders: dict[str, str]) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folders["ModernBert"])

    class Swapping:
        """Puts the second text first."""

        def __call__(self, one: Any, two: Any = None, **more: Any) -> Any:
            return tokenizer(one, **more) if two is None else tokenizer(two, one, **more)

    store = TokenStore(Swapping(), 40)
    assert store._frame is None
    (found,) = store.pairs([("w1", "w2 w3")])
    assert found[0].tolist() == tokenizer("w2 w3", "w1")["input_ids"]


def test_products_of_lower_precision_meet_few_numbers_of_rows() -> None:
    """oneDNN compiles one for each, and keeps it."""
    assert len({len(rounded(torch.ones(n, 1), torch.bfloat16)) for n in range(1, 2049)}) < 40
    x, weights = torch.randn(21, 8), (torch.randn(4, 8).bfloat16(), torch.randn(4).bfloat16())
    torch.testing.assert_close(rounded_product(x, weights), torch.nn.functional.linear(x.bfloat16(), *weights))


@pytest.mark.parametrize("kind", ["bi", "ModernBert", "Electra", "DebertaV2"])
def test_bfloat16_is_near_and_trains_in_float32(folders: dict[str, str], kind: str) -> None:
    def make(precision: str) -> PairEncoder:
        if kind == "bi":
            return BiEncoder(TextEncoder(folders["recall"], CPU, precision), 1e-2, 1e-2, 0)
        return CrossEncoder(folders[kind], CPU, 1e-2, 1e-2, 0, precision)

    pairs = random_pairs(12)
    rounded, exact = make("bfloat16"), make("float32")
    for _ in range(2):
        found, expected = rounded.encode(pairs), exact.encode(pairs)
        assert found.dtype == torch.float32 and not torch.equal(found, expected)
        assert torch.allclose(found, expected, atol=0.05 * float(expected.abs().max()))
        assert rounded.train_step([(pairs, REWARDS)], "bce") == exact.train_step([(pairs, REWARDS)], "bce")
        assert torch.equal(rounded.head_weight(), exact.head_weight())
    again = rounded.twin().encode(pairs)
    assert torch.equal(again, rounded.encode(pairs)) and not torch.equal(again, found), "the new weights"
