"""The yardstick: NeuralLinLogUCB as a first draft would have it, right and slow.

It tokenises what it has tokenised before, pads batches of 32, in the order in which texts come, to their longest,
encodes both texts of every pair whatever it has seen, the whole history after each training step, and builds and
inverts A anew for every ranking. It learns from what it is given and shares no code with bandit.py. Its cases are
recalled with sentence-transformers as it comes, each query encoded once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from step import Case

BATCH = 32


class NaivePolicy:
    """Stands in a policy's place in the agent of a benchmark.

    Args:
        config: the run's.
        sentences: the sentence-transformers model of a bi-encoder; its own to train.
        encoder: the pair encoder that it is the yardstick of: its class and first weights are taken, no more.
    """

    grows = ()
    encoder = None
    may_show_nothing = False

    def __init__(self, config: Any, sentences: Any, encoder: Any) -> None:
        import copy

        self.config = config
        self.is_cross = hasattr(encoder, "_model")
        if self.is_cross:
            from transformers import AutoModelForSequenceClassification, AutoTokenizer

            folder = config.reranker_model_path
            self.model = AutoModelForSequenceClassification.from_pretrained(folder)
            self.tokenizer = AutoTokenizer.from_pretrained(folder)
            self.model.classifier = torch.nn.Linear(encoder.dim, 1, bias=False)
        else:
            self.model = copy.deepcopy(sentences)
        self.head = torch.nn.Linear(encoder.dim, 1, bias=False)
        with torch.no_grad():
            self.head.weight.copy_(encoder.head_weight()[None])
        trained = [p for name, p in self.model.named_parameters() if not name.startswith("classifier")]
        settings = {"lr": config.learning_rate, "weight_decay": config.weight_decay}
        self.optimizer = torch.optim.AdamW([*trained, self.head.weight], **settings)
        self.w = self._head()
        self.history: list[tuple[str, str, int]] = []
        self.phi: list[np.ndarray] = []
        self.new = 0

    def _head(self) -> np.ndarray:
        return self.head.weight.detach().numpy()[0].astype(np.float64)

    def _forward(self, pairs: list[tuple[str, str]]) -> Tensor:
        queries, tasks = [query for query, _ in pairs], [task for _, task in pairs]
        if self.is_cross:
            tokens = self.tokenizer(queries, tasks, padding=True, truncation=True, max_length=512, return_tensors="pt")
            kept: list[Tensor] = []
            hook = self.model.classifier.register_forward_pre_hook(lambda module, given: kept.append(given[0]))
            self.model(**tokens)
            hook.remove()
            return kept[0]
        u, v = (self.model(self.model.preprocess(texts))["sentence_embedding"] for texts in (queries, tasks))
        return torch.cat([u * v, (u - v).abs()], dim=1)

    def _encode(self, pairs: list[tuple[str, str]]) -> np.ndarray:
        self.model.eval()
        with torch.no_grad():
            parts = [self._forward(pairs[start : start + BATCH]) for start in range(0, len(pairs), BATCH)]
        return torch.cat(parts).numpy().astype(np.float64)

    def score(self, query: str, cases: list[Case]) -> Any:
        from bandit import Scores

        rows = self._encode([(query, case.task) for case in cases])
        a = self.config.regularization * np.eye(rows.shape[1])
        if self.phi:
            past = np.array(self.phi)
            a += past.T @ past
        width = np.sqrt(np.einsum("nd,de,ne->n", rows, np.linalg.inv(a), rows, optimize=True))
        exploit = 1 / (1 + np.exp(-rows @ self.w))
        return Scores(torch.from_numpy(exploit), torch.from_numpy(self.config.exploration * width))

    def observe(self, step: Any) -> None:
        """Nothing is learned from what was not shown."""

    def update(self, query: str, cases: list[Case], reward: int, phi: Any = None) -> dict[str, float]:
        added = [(query, case.task) for case in cases]
        self.history += [(*pair, reward) for pair in added]
        self.new += len(added)
        if self.new >= self.config.batch_size * self.config.comk:
            self._train()
            return {}
        rows = self._encode(added)
        error = 1 / (1 + np.exp(-rows @ self.w)) - reward
        self.w = self.w - self.config.learning_rate / self.config.batch_size * rows.T @ error / len(rows)
        self.phi += list(rows)
        return {}

    def _train(self) -> None:
        buffer = self.history[-self.new :]
        self.model.train()
        logits = self.head(self._forward([(query, task) for query, task, _ in buffer]))[:, 0]
        rewards = torch.tensor([float(reward) for _, _, reward in buffer])
        self.optimizer.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(logits, rewards).backward()
        self.optimizer.step()
        self.phi = list(self._encode([(query, task) for query, task, _ in self.history]))
        self.w, self.new = self._head(), 0
