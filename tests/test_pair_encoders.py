"""Pair and text encoders: phi is what enters the last layer, whatever the model, and training moves only its own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer

from errors import UserError
from helpers.tiny_models import POSITIONS, WORDS, random_text, save_model
from memory.encoders import TextEncoder
from memory.pair_encoders import BiEncoder, CrossEncoder, Pair, PairEncoder
from memory.sentences import Sentences

CPU = torch.device("cpu")
KINDS = ["ModernBert", "Bert", "Roberta", "XLMRoberta", "DebertaV2", "MPNet", "Electra"]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], str]:
    """Folders of tiny classifiers by (kind, number of labels)."""
    root = tmp_path_factory.mktemp("models")
    return {
        (kind, labels): save_model(root / f"{kind}{labels}", kind, "ForSequenceClassification", labels)
        for kind in KINDS
        for labels in (1, 2)
    }


@pytest.fixture(autouse=True)
def no_progress_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TQDM_DISABLE", "1")


def cross(folder: str, seed: int = 0, learning_rate: float = 1e-2) -> CrossEncoder:
    return CrossEncoder(folder, CPU, learning_rate, 1e-2, seed)


def random_pairs(n: int, most_words: int = 12, seed: int = 0) -> list[Pair]:
    generator = torch.Generator().manual_seed(seed)
    return [(random_text(generator, most_words), random_text(generator, most_words)) for _ in range(n)]


def chunks(pairs: list[Pair], size: int) -> list[tuple[list[Pair], torch.Tensor]]:
    rewards = torch.tensor([i % 2 for i in range(len(pairs))], dtype=torch.float64)
    return [(pairs[i : i + size], rewards[i : i + size]) for i in range(0, len(pairs), size)]


def bce(encoder: PairEncoder, pairs: list[Pair]) -> float:
    """The loss of `encoder` on the rewards of `chunks`, without dropout."""
    logits = encoder.encode(pairs) @ encoder.head_weight()
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, chunks(pairs, len(pairs))[0][1].float()).item()


# -- CrossEncoder -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("labels", [1, 2])
def test_head_and_phi_give_the_models_own_logit(models: dict, kind: str, labels: int) -> None:
    folder = models[kind, labels]
    encoder = cross(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    bias = [value for name, value in model.named_parameters() if name.endswith("bias") and value.shape == (labels,)][-1]
    assert bias.abs().max() > 1e-3, "a bias that is dropped should be there"

    pairs = random_pairs(45)  # more than one batch
    phi = encoder.encode(pairs)
    assert phi.shape == (45, encoder.dim)
    assert phi.dtype == torch.float32
    assert not phi.requires_grad
    with torch.no_grad():
        for row, (query, case) in zip(phi, pairs):
            logits = model(**tokenizer(query, case, return_tensors="pt")).logits[0] - bias
            expected = logits[0] if labels == 1 else logits[1] - logits[0]
            assert (row @ encoder.head_weight()).item() == pytest.approx(expected.item(), abs=2e-5)
            assert torch.allclose(encoder.encode([(query, case)])[0], row, atol=1e-5)
    assert encoder.encode([]).shape == (0, encoder.dim)


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_step_changes_encoder_and_head(models: dict, kind: str) -> None:
    encoder, pairs = cross(models[kind, 1], learning_rate=3e-3), random_pairs(10)
    phi, head = encoder.encode(pairs), encoder.head_weight()
    before = bce(encoder, pairs)
    for _ in range(10):
        encoder.train_step(chunks(pairs, 4), "bce")
    assert bce(encoder, pairs) < before - 0.02
    assert not torch.allclose(encoder.encode(pairs), phi, atol=1e-3)
    assert not torch.equal(encoder.head_weight(), head)
    assert torch.equal(encoder.encode(pairs), encoder.encode(pairs)), "evaluation mode after training"


@pytest.mark.parametrize("loss", ["bce", "mse"])
def test_chunks_bound_memory_not_the_result(models: dict, loss: str) -> None:
    whole, parts = cross(models["ModernBert", 1]), cross(models["ModernBert", 1])
    pairs = random_pairs(10)
    logits = whole.encode(pairs) @ whole.head_weight()
    rewards = torch.tensor([0.0, 1.0] * 5)
    errors = {"bce": torch.nn.functional.softplus(logits) - rewards * logits, "mse": (logits - rewards) ** 2}
    losses = [whole.train_step(chunks(pairs, 10), loss), parts.train_step(chunks(pairs, 4), loss)]
    assert losses == pytest.approx([errors[loss].mean().item()] * 2, rel=1e-4)
    assert torch.allclose(whole.head_weight(), parts.head_weight(), atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_long_texts_are_cut_at_the_models_maximum(models: dict, kind: str) -> None:
    encoder = cross(models[kind, 1])
    limit = POSITIONS - 2 if kind in ("Roberta", "XLMRoberta", "MPNet") else POSITIONS
    words = (WORDS * 5)[: limit - 3]  # with three special tokens the longest pair that fits
    fits, query = (" ".join(words[:10]), " ".join(words[10:])), " ".join(words[:10])
    longer = (query, " ".join(words[10:] + ["w1"] * 100))
    shorter = (query, " ".join(words[10:-1]))
    phi = encoder.encode([fits, longer, shorter])
    assert torch.allclose(phi[0], phi[1], atol=1e-5)
    assert not torch.allclose(phi[0], phi[2], atol=1e-5)
    both_long = encoder.encode([(" ".join(["w2"] * 3000), " ".join(["w3"] * 3000))])
    assert torch.isfinite(both_long).all()


def test_cross_encoder_state_round_trip(models: dict, tmp_path: Path) -> None:
    folder, pairs = models["ModernBert", 2], random_pairs(9)
    encoder, restored = cross(folder), cross(folder)
    restored.load_state_dict(encoder.state_dict())
    assert torch.equal(restored.encode(pairs), encoder.encode(pairs))
    encoder.train_step(chunks(pairs, 3), "bce")
    torch.save(encoder.state_dict(), tmp_path / "state.pt")
    restored.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    for other in (encoder, restored):
        other.train_step(chunks(pairs, 3), "bce")
    assert torch.equal(restored.encode(pairs), encoder.encode(pairs))
    assert torch.equal(restored.head_weight(), encoder.head_weight())
    assert restored.version == 2


@pytest.mark.parametrize("kind", ["Bert", "Roberta"])  # their default dropout is 0.1
def test_dropout_is_drawn_from_the_seed_alone(models: dict, kind: str) -> None:
    pairs = random_pairs(8)
    trained = []
    for seed, process_seed in ((1, 10), (1, 11), (2, 10)):
        encoder = cross(models[kind, 1], seed)
        torch.manual_seed(process_seed)
        expected = torch.rand(4)
        torch.manual_seed(process_seed)
        encoder.train_step(chunks(pairs, 4), "bce")
        trained.append(encoder.encode(pairs))
        assert torch.equal(torch.rand(4), expected), "the process's random state is untouched"
    assert torch.equal(trained[0], trained[1])
    assert not torch.equal(trained[0], trained[2])


# -- models that will not do ------------------------------------------------------------------------------------------


@pytest.fixture
def broken(models: dict, tmp_path: Path) -> Path:
    """A copy of a model's folder to break."""
    return Path(shutil.copytree(models["Bert", 1], tmp_path / "model"))


@pytest.mark.parametrize(
    ("remove", "message"),
    [
        (["config.json"], "cannot load it .* with config, weights and tokenizer"),
        (["tokenizer.json", "tokenizer_config.json"], "it has no tokenizer"),
        (["model.safetensors"], "cannot load it .*model.safetensors"),
    ],
)
def test_a_folder_that_lacks_a_part(broken: Path, remove: list[str], message: str) -> None:
    for name in remove:
        (broken / name).unlink()
    with pytest.raises(UserError, match=f"--reranker_model_path .*{message}"):
        cross(str(broken))
    with pytest.raises(UserError, match=f"--embedding_model_path .*{message}"):
        TextEncoder(str(broken), CPU)


def test_torn_weights(broken: Path) -> None:
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(UserError, match="--reranker_model_path .*cannot load it"):
        cross(str(broken))
    with pytest.raises(UserError, match="--embedding_model_path .*cannot load it"):
        TextEncoder(str(broken), CPU)


def test_models_that_are_no_rankers(tmp_path: Path) -> None:
    for kind in ("Bert", "ModernBert", "Roberta"):
        base = save_model(tmp_path / kind, kind, "Model")
        with pytest.raises(UserError, match="no trained classifier .*choose a reranker"):
            cross(base)
    with pytest.raises(UserError, match="it has 3 labels; a ranker has one or two"):
        cross(save_model(tmp_path / "three", "Bert", "ForSequenceClassification", 3))


def test_a_path_that_does_not_exist(tmp_path: Path) -> None:
    missing = str(tmp_path / "nowhere")
    with pytest.raises(UserError, match="--reranker_model_path .*nowhere: cannot load it"):
        cross(missing)
    with pytest.raises(UserError, match="--embedding_model_path .*nowhere: cannot load it"):
        TextEncoder(missing, CPU)


# -- TextEncoder ------------------------------------------------------------------------------------------------------


def test_a_recall_model_without_pooling_configuration_takes_cls(tmp_path: Path) -> None:
    folder = save_model(tmp_path / "bert", "Bert", "Model")
    encoder = TextEncoder(folder, CPU)
    texts = [query for query, _ in random_pairs(7)] + ["w1"]
    embeddings = encoder.encode(texts)
    assert embeddings.shape == (8, encoder.dim) == (8, 16)
    assert embeddings.dtype == np.float32
    assert np.linalg.norm(embeddings, axis=1) == pytest.approx(np.ones(8), abs=1e-6)

    model, tokenizer = AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)
    for text, embedding in zip(texts, embeddings):
        with torch.no_grad():
            first = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0, 0]
        assert embedding == pytest.approx((first / first.norm()).numpy(), abs=1e-5)
    assert encoder.encode([]).shape == (0, 16)


def test_the_embedded_encoder_gives_unit_vectors_in_order(text_encoder: TextEncoder) -> None:
    texts = ["a lost card", "a card that was stolen from me on the train to work", "the weather"]
    embeddings = text_encoder.encode([*texts, texts[0]])
    assert embeddings.shape == (4, 384)
    assert np.linalg.norm(embeddings, axis=1) == pytest.approx(np.ones(4), abs=1e-6)
    assert np.array_equal(embeddings[0], embeddings[3])
    assert np.array_equal(text_encoder.encode([texts[2]])[0], embeddings[2])
    assert embeddings[0] @ embeddings[1] > embeddings[0] @ embeddings[2] + 0.2


# -- BiEncoder --------------------------------------------------------------------------------------------------------


@pytest.fixture
def recall_encoder(tmp_path: Path) -> TextEncoder:
    return TextEncoder(save_model(tmp_path / "recall", "Bert", "Model"), CPU)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Every text that a model encodes, in order."""
    texts: list[str] = []
    real = Sentences.encode

    def counted(sentences: Sentences, batch: list[str]) -> torch.Tensor:
        texts.extend(batch)
        return real(sentences, batch)

    monkeypatch.setattr(Sentences, "encode", counted)
    return texts


def bi(encoder: TextEncoder, seed: int = 0) -> BiEncoder:
    return BiEncoder(encoder, 1e-2, 1e-2, seed)


def test_bi_encoder_combines_the_two_embeddings(recall_encoder: TextEncoder) -> None:
    encoder, pairs = bi(recall_encoder), [*random_pairs(40), ("w1 w2", "w1 w2")]
    phi = encoder.encode(pairs)
    assert phi.shape == (41, encoder.dim) == (41, 32)
    u, v = (recall_encoder.encode([pair[side] for pair in pairs]) for side in (0, 1))
    assert phi.numpy() == pytest.approx(np.concatenate([u * v, np.abs(u - v)], axis=1), abs=1e-7)
    assert encoder.encode([]).shape == (0, 32)


def test_the_first_score_grows_with_the_cosine(text_encoder: TextEncoder) -> None:
    query = "my card was stolen"
    cases = ["my card was stolen", "my card got stolen", "I lost my card", "can I change my PIN", "rain in the north"]
    encoder = BiEncoder(text_encoder, 1e-5, 0.0, 0)
    logits = encoder.encode([(query, case) for case in cases]).double() @ encoder.head_weight().double()
    cosine = text_encoder.encode(cases) @ text_encoder.encode([query])[0]
    assert np.argsort(-cosine).tolist() == logits.argsort(descending=True).tolist()
    assert encoder.dim == 768
    assert logits[0] > 0 > logits[-1]


def test_nothing_is_encoded_twice_under_the_same_weights(recall_encoder: TextEncoder, encoded: list[str]) -> None:
    encoder, pairs = bi(recall_encoder), random_pairs(30)
    texts = {text for pair in pairs for text in pair}
    recall_encoder.encode([pairs[0][0]])
    for part in (pairs[:10], pairs[5:], pairs, pairs[::-1]):
        encoder.encode(part)
    assert sorted(encoded) == sorted(texts), "each text once, what recall had encoded not again"

    encoder.train_step(chunks(pairs, 8), "bce")
    encoded.clear()
    encoder.encode(pairs)
    encoder.encode(pairs)
    recall_encoder.encode(sorted(texts))
    assert sorted(encoded) == sorted(texts), "each text once more under the new weights, and recall has kept its own"


def test_training_leaves_recall_as_it_was(recall_encoder: TextEncoder) -> None:
    encoder, pairs = bi(recall_encoder), random_pairs(12)
    before = {name: value.clone() for name, value in recall_encoder.model.state_dict().items()}
    phi, head = encoder.encode(pairs), encoder.head_weight()
    loss = bce(encoder, pairs)
    for _ in range(6):
        encoder.train_step(chunks(pairs, 4), "bce")
    assert bce(encoder, pairs) < loss - 0.02
    assert not torch.allclose(encoder.encode(pairs), phi, atol=1e-3)
    assert not torch.equal(encoder.head_weight(), head)
    after = recall_encoder.model.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert not recall_encoder.model.training


def test_bi_encoder_dropout_is_drawn_from_the_seed_alone(recall_encoder: TextEncoder) -> None:
    pairs, trained = random_pairs(8), []
    for seed, process_seed in ((1, 10), (1, 11), (2, 10)):
        encoder = bi(recall_encoder, seed)
        torch.manual_seed(process_seed)
        expected = torch.rand(4)
        torch.manual_seed(process_seed)
        encoder.train_step(chunks(pairs, 4), "bce")
        trained.append(encoder.encode(pairs))
        assert torch.equal(torch.rand(4), expected), "the process's random state is untouched"
    assert torch.equal(trained[0], trained[1])
    assert not torch.equal(trained[0], trained[2])


def test_bi_encoder_state_round_trip(recall_encoder: TextEncoder, encoded: list[str], tmp_path: Path) -> None:
    encoder, restored, pairs = bi(recall_encoder), bi(recall_encoder), random_pairs(9)
    assert encoder.state_dict() == {}
    restored.load_state_dict({})
    encoder.train_step(chunks(pairs, 3), "bce")
    encoder.encode(pairs[:6])
    torch.save(encoder.state_dict(), tmp_path / "state.pt")
    encoded.clear()
    restored.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))
    assert torch.equal(restored.encode(pairs[:6]), encoder.encode(pairs[:6]))
    assert encoded == [], "the embeddings are part of the state"
    assert torch.equal(restored.encode(pairs), encoder.encode(pairs))
    for other in (encoder, restored):
        other.train_step(chunks(pairs, 3), "mse")
    assert torch.equal(restored.encode(pairs), encoder.encode(pairs))
    assert torch.equal(restored.head_weight(), encoder.head_weight())
