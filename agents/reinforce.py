"""`--agent reinforce`: the LLM itself learns from the rewards, by REINFORCE on LoRA weights.

The loss of an answer with reward r is -(r log pi - beta (log pi - log pi_ref)) / B. log pi is the log-probability of
the answer's tokens, its end token included, given the prompt, under the model's own distribution (temperature 1,
nothing cut off); pi_ref is the model as it came, which is the same one with its adapter off. The gradients of B answers
add up to one step of AdamW. An answer's text does not tell how it was tokenised, so its tokens are logged, and a
continued run repeats the same arithmetic on them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from agent import Agent, Parts
from clients.local import LocalClient, is_out_of_memory
from errors import LLMError, UserError
from llm import with_system
from memory.encoders import seeded
from step import Metrics, Step

if TYPE_CHECKING:
    from runs.checkpoint import Checkpoint

RANK, ALPHA, TARGETS = 8, 16, ("q_proj", "v_proj")
MAX_NORM = 1.0


class ReinforceTrainer:
    """LoRA weights on a local model and the training step of REINFORCE with a KL penalty.

    Args:
        client: its model gets the adapter, in place: what it generates from now on comes from the trained weights.
        batch_size: B, the answers whose gradients make one optimizer step.
        kl_coef: beta.
        checkpointing: compute activations again in the backward pass, which saves memory (default: on a GPU).
    """

    def __init__(
        self,
        client: LocalClient,
        learning_rate: float,
        weight_decay: float,
        batch_size: int,
        kl_coef: float,
        seed: int,
        checkpointing: bool | None = None,
    ) -> None:
        self._device = client.device
        self._batch_size = batch_size
        self._kl_coef = kl_coef
        self._seen = 0  # answers since the last optimizer step
        self._checkpointing = self._device.type == "cuda" if checkpointing is None else checkpointing
        self.model = add_lora(client, seed, self._checkpointing)
        self.weights = {name: p for name, p in self.model.named_parameters() if p.requires_grad}
        self._optimizer = torch.optim.AdamW(self.weights.values(), lr=learning_rate, weight_decay=weight_decay)

    def learn(self, prompt: list[int], answer: list[int], reward: int) -> Metrics:
        """Add the gradient of one answer's loss; every B answers also take the optimizer's step."""
        with self._recomputing():
            log_prob = self.log_prob(prompt, answer)
            with torch.no_grad(), self.model.disable_adapter():
                reference = self.log_prob(prompt, answer)
            kl = log_prob - reference
            loss = -(reward * log_prob - self._kl_coef * kl) / self._batch_size
            loss.backward()
        self._seen += 1
        metrics = {"train/loss": loss.item(), "train/log_prob": log_prob.item(), "train/kl": kl.item()}
        return metrics | self._step() if self._seen == self._batch_size else metrics

    def log_prob(self, prompt: list[int], answer: list[int]) -> Tensor:
        """log pi(answer | prompt), a scalar with its gradient; float32 whatever the model's type is."""
        tokens = torch.tensor([prompt + answer], device=self._device)
        output = self.model(input_ids=tokens, use_cache=False, logits_to_keep=len(answer) + 1)
        log_probs = output.logits[0, :-1].float().log_softmax(1)
        return log_probs.gather(1, tokens[0, len(prompt) :, None]).sum()

    def _step(self) -> Metrics:
        norm = nn.utils.clip_grad_norm_(self.weights.values(), MAX_NORM)
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._seen = 0
        return {"train/grad_norm": norm.item()}

    @contextmanager
    def _recomputing(self) -> Iterator[None]:
        """Gradient checkpointing, which transformers ties to a layer's training mode, without dropout below it."""
        layers = [layer for layer in self.model.modules() if isinstance(layer, GradientCheckpointingLayer)]
        for layer in layers:
            layer.training = self._checkpointing
        try:
            yield
        finally:
            for layer in layers:
                layer.training = False

    def state_dict(self) -> dict[str, Any]:
        return {
            "weights": {name: weight.detach() for name, weight in self.weights.items()},
            "gradients": {name: weight.grad for name, weight in self.weights.items()},
            "optimizer": self._optimizer.state_dict(),
            "seen": self._seen,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._optimizer.load_state_dict(state["optimizer"])
        self._seen = state["seen"]
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(state["weights"][name])
                gradient = state["gradients"][name]
                weight.grad = None if gradient is None else gradient.to(weight)


def add_lora(client: LocalClient, seed: int, checkpointing: bool) -> Any:
    """The client's model with fresh LoRA weights, the only ones that can be trained; as yet they change nothing.

    Raises UserError where peft is missing or the model has no such layers.
    """
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError as error:
        raise UserError("--agent reinforce needs `pip install -r requirements-local.txt`") from error
    endings = {name.rpartition(".")[2] for name, _ in client.model.named_modules()}
    missing = [target for target in TARGETS if target not in endings]
    if missing:
        raise UserError(
            f"{client.option} {client.path}: it has no layers named {' and '.join(missing)}, which --agent reinforce "
            "trains; Qwen, Llama, Mistral and Gemma models have them"
        )
    settings = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=list(TARGETS), lora_dropout=0.0, bias="none")
    with seeded(client.device, seed), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # of names that the next transformers changes
        model = get_peft_model(client.model, settings).eval()
        if checkpointing:
            client.model.gradient_checkpointing_enable({"use_reentrant": False})
    return model


class ReinforceAgent(Agent):
    """Shows nothing and retains nothing; what it learns is in the LLM's LoRA weights."""

    def __init__(self, parts: Parts) -> None:
        super().__init__(parts)
        config = parts.config
        client = parts.llm.client
        assert isinstance(client, LocalClient), "config.py lets this agent have no other"
        self._client = client
        self.trainer = ReinforceTrainer(
            self._client,
            config.learning_rate or 0.0,
            config.weight_decay,
            config.batch_size,
            config.kl_coef,
            config.seed,
        )

    def generate(self, step: Step) -> None:
        session = self.llm.session(step.number)
        try:
            reply = session.chat(self._messages(step))
        finally:
            step.charge(session)
        step.output, step.tokens = reply.text, reply.tokens

    def _messages(self, step: Step) -> list[dict[str, Any]]:
        return [{"role": "user", "content": self.render(self.env, step.task, [])}]

    def update(self, step: Step) -> None:
        """Learn from the reward. Raises LLMError where the memory does not suffice for it."""
        try:
            with step.measure("agent"):
                prompt = self._client.encode(with_system(self._messages(step), self.config.system_message))
                step.metrics |= self.trainer.learn(prompt, step.tokens or [], step.reward or 0)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise LLMError(
                "out of memory while training on an answer: a smaller model or --max_new_tokens needs less"
            ) from error

    def save(self, checkpoint: Checkpoint) -> None:
        super().save(checkpoint)
        checkpoint.put("reinforce", self.trainer.state_dict())

    def load(self, checkpoint: Checkpoint) -> None:
        super().load(checkpoint)
        self.trainer.load_state_dict(checkpoint.get("reinforce"))
