"""NeuralLinLogUCB on a tiny ModernBERT against a second, slow reading of the algorithm that shares no code with it.

The naive policy keeps nothing but its history: it encodes pairs one at a time by the model's own parts and builds and
inverts A from scratch at every step. Both must choose the same arms at every step, through several training steps.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from agents.case_values import MementoQ
from bandit import NeuralLinear, NeuralLinLogUCB
from helpers.tiny_models import random_text, save_model
from memory.pair_encoders import CrossEncoder
from step import Case

LAMBDA, NU, LEARNING_RATE, WEIGHT_DECAY, BATCH, RECALL = 0.1, 0.3, 2e-3, 1e-2, 4, 8


class Naive:
    """The algorithm as it is written down, with the bookkeeping of a first draft."""

    def __init__(self, folder: str, k: int) -> None:
        self.model = AutoModelForSequenceClassification.from_pretrained(folder)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        torch.nn.init.zeros_(self.model.classifier.bias)
        self.model.classifier.bias.requires_grad_(False)
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
        self.k = k
        self.w = self.head()
        self.history: list[tuple[str, str, int]] = []
        self.buffer: list[tuple[str, str, int]] = []
        self.trainings = 0

    def head(self) -> np.ndarray:
        return self.model.classifier.weight.detach().numpy()[0].astype(np.float64)

    def forward(self, query: str, task: str) -> torch.Tensor:
        """What enters the classifier, by the model's own parts: body, first token, head."""
        tokens = self.tokenizer(query, task, return_tensors="pt")
        hidden = self.model.model(**tokens).last_hidden_state
        return self.model.drop(self.model.head(hidden[:, 0]))[0]

    def phi(self, query: str, task: str) -> np.ndarray:
        self.model.eval()
        with torch.no_grad():
            return self.forward(query, task).numpy().astype(np.float64)

    def scores(self, query: str, tasks: list[str]) -> list[float]:
        a = LAMBDA * np.eye(len(self.w))
        for past_query, past_task, _ in self.history:
            row = self.phi(past_query, past_task)
            a += np.outer(row, row)
        inverse = np.linalg.inv(a)
        result = []
        for task in tasks:
            row = self.phi(query, task)
            result.append(1 / (1 + math.exp(-self.w @ row)) + NU * math.sqrt(row @ inverse @ row))
        return result

    def update(self, query: str, tasks: list[str], reward: int) -> None:
        added = [(query, task, reward) for task in tasks]
        self.history += added
        self.buffer += added
        if len(self.buffer) < BATCH * self.k:
            gradient = np.zeros(len(self.w))
            for _, task, _ in added:
                row = self.phi(query, task)
                gradient += (1 / (1 + math.exp(-self.w @ row)) - reward) * row / len(added)
            self.w = self.w - LEARNING_RATE / BATCH * gradient
        else:
            self.train()
            self.buffer = []
            self.w = self.head()

    def train(self) -> None:
        self.model.train()
        self.optimizer.zero_grad()
        for query, task, reward in self.buffer:
            logit = self.model.classifier(self.forward(query, task))[0]
            probability = torch.sigmoid(logit)
            loss = -torch.log(probability) if reward else -torch.log(1 - probability)
            (loss / len(self.buffer)).backward()
        self.optimizer.step()
        self.trainings += 1


class NaiveQ(Naive):
    """Memento's Q: the head's probability for the query and the case with its plan, and nothing besides."""

    def scores(self, query: str, tasks: list[str]) -> list[float]:
        head = self.head()
        return [1 / (1 + math.exp(-head @ self.phi(query, f"{task}\n{task[::-1]}"))) for task in tasks]

    def update(self, query: str, tasks: list[str], reward: int) -> None:
        self.buffer += [(query, f"{task}\n{task[::-1]}", reward) for task in tasks]
        if len(self.buffer) >= BATCH * self.k:
            self.train()
            self.buffer = []


def planted_reward(query: str, task: str) -> int:
    """1 where the two texts share a word: about a third of the pairs."""
    return int(bool(set(query.split()) & set(task.split())))


def with_plans(tasks: list[str]) -> list[Case]:
    """A case for each task, whose plan is the task backwards."""
    return [Case(task, task[::-1]) for task in tasks]


@pytest.mark.parametrize(
    ("kind", "k", "seed"), [(NeuralLinLogUCB, 1, 0), (NeuralLinLogUCB, 2, 1), (MementoQ, 1, 2), (MementoQ, 2, 0)]
)
def test_the_naive_reference_chooses_the_same_arms(kind: type[NeuralLinear], k: int, seed: int, tmp_path: Path) -> None:
    options = {"local_attention": 8, "global_attn_every_n_layers": 2, "classifier_pooling": "cls"}
    folder = save_model(tmp_path / "model", "ModernBert", "ForSequenceClassification", seed=seed, **options)
    encoder = CrossEncoder(folder, torch.device("cpu"), LEARNING_RATE, WEIGHT_DECAY, seed)
    learns_q = kind is MementoQ
    policy = kind(encoder, LAMBDA, 0.0 if learns_q else NU, LEARNING_RATE, BATCH, k)
    naive = NaiveQ(folder, k) if learns_q else Naive(folder, k)
    generator = torch.Generator().manual_seed(seed)
    bank: list[str] = []
    chosen_ranks, rewards, gaps = [], [], []

    for _ in range(48):
        query = random_text(generator, 6)
        if len(bank) <= k:  # all of them, unranked: fewer than k pairs at first
            chosen = list(bank)
        else:
            recalled = [bank[i] for i in torch.randperm(len(bank), generator=generator)[:RECALL].tolist()]
            scores = naive.scores(query, recalled)
            ranks = sorted(range(len(recalled)), key=lambda i: (-scores[i], i))[:k]
            gaps.append(rank_gap(scores, k))
            result = policy.score(query, with_plans(recalled))
            assert result.total.tolist() == pytest.approx(scores, abs=1e-4)
            assert result.top(k) == ranks
            chosen = [recalled[i] for i in ranks]
            chosen_ranks += ranks
        reward = max((planted_reward(query, task) for task in chosen), default=1)
        if chosen:
            policy.update(query, with_plans(chosen), reward)
            naive.update(query, chosen, reward)
        rewards.append(reward)
        if query not in bank:
            bank.append(query)

    assert naive.trainings == encoder.version >= 10
    assert policy.w.numpy() == pytest.approx(naive.head() if learns_q else naive.w, abs=1e-4)
    assert len(set(chosen_ranks)) >= 5, "the choice depended on the scores, not on the recall rank"
    assert 5 < sum(rewards) < 43
    assert sorted(gaps)[len(gaps) // 10] > 1e-4, "most choices were clear enough to tell a wrong score"


def rank_gap(scores: list[float], k: int) -> float:
    """The smallest difference of scores that decides the top k."""
    ordered = sorted(scores, reverse=True)
    return min(a - b for a, b in zip(ordered[:k], ordered[1:]))
