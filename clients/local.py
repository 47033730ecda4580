"""`--serving_mode hf`: an LLM that this process runs itself, with transformers.

Sampling is that of the paper's vLLM mode: temperature, top-k, top-p and the presence penalty, which transformers lacks
and `PresencePenalty` adds. Random draws come from (run seed, step, call number within the step) and from nowhere else,
so a continued run draws what an unbroken one does, and the process's random state is neither read nor changed.

Several answers at once are faster, but the company an answer is generated in changes its logits in their last digits.
So steps are batched in fixed groups, 1 to N, N+1 to 2N and so on, and a group is always generated whole: a run that
continues in the middle of one generates it again and takes from it what it lacks.
"""

from __future__ import annotations

import gc
import hashlib
import json
import re
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList
from transformers.generation import TemperatureLogitsWarper, TopPLogitsWarper

from clients.sampling import sampling_of
from config import Config
from errors import LLMError, RefusedError, UserError
from llm import CUT, Message, Reply, split_reasoning, with_system
from memory.encoders import (
    LOAD_ERRORS,
    asking_hub_once,
    cannot_load,
    check_tokenizer,
    quiet_transformers,
    resolve_device,
)

KEPT_GROUPS = 64  # several may be on their way at once
SENT = ("temperature", "top_p", "top_k", "presence_penalty", "max_new_tokens")
TOOL_CALL = re.compile(r"<tool_call>(.*?)</tool_call>", re.S)


class PresencePenalty(LogitsProcessor):
    """Lowers the logit of every token that the answer already has, as servers of the OpenAI protocol do."""

    def __init__(self, penalty: float, prompt_length: int) -> None:
        self._penalty = penalty
        self._prompt_length = prompt_length

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        seen = torch.zeros_like(scores).scatter_(1, input_ids[:, self._prompt_length :], 1.0)
        return scores - self._penalty * seen


class SeededSampler(LogitsProcessor):
    """Samples each row's next token with that row's own generator, and leaves only it for greedy search to take."""

    def __init__(self, temperature: float, top_p: float, top_k: int, seeds: list[list[int]]) -> None:
        self._top_k = top_k
        self._warpers = LogitsProcessorList([TemperatureLogitsWarper(temperature), TopPLogitsWarper(top_p)])
        self._generators = [np.random.default_rng(seed) for seed in seeds]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        best, tokens = scores.float().topk(min(self._top_k, scores.shape[1]))
        cumulative = self._warpers(input_ids, best).softmax(1).cumsum(1)
        draws = torch.tensor([[generator.random()] for generator in self._generators], dtype=best.dtype)
        rank = (cumulative <= draws.to(best.device) * cumulative[:, -1:]).sum(1, keepdim=True)
        chosen = tokens.gather(1, rank.clamp(max=best.shape[1] - 1))
        return torch.full_like(scores, -torch.inf).scatter_(1, chosen, 0.0)


class Group:
    """Steps whose prompts are known and whose answers are generated together, once one of them is needed."""

    def __init__(self, requests: dict[int, dict[str, Any]]) -> None:
        """`requests`: by step; those that fit into the model's context."""
        self.requests = requests
        self.replies: list[Reply] = []
        together = json.dumps(list(requests.values()), sort_keys=True)
        self.company = hashlib.sha256(together.encode()).hexdigest()

    def place(self, step: int, request: dict[str, Any]) -> dict[str, Any]:
        """`request` with its company, which changes its answer's last digits, where it is the one known of `step`."""
        if self.requests.get(step) != request:
            return request
        return request | {"company": self.company, "place": list(self.requests).index(step)}


class LocalClient:
    """A causal language model with its tokenizer, in this process.

    Attributes:
        model, tokenizer: as transformers loads them.
        device: where the model is.
    """

    def __init__(self, config: Config) -> None:
        self.option, self.path = "--llm", config.llm
        if config.model_path:
            self.option, self.path = "--model_path", config.model_path
        self._lock = threading.RLock()  # one answer, or one batch, at a time
        self.device = resolve_device(config.device)
        self.model, self.tokenizer = load_chat_model(self.path, self.option, self.device)
        own = {name: getattr(self.model.generation_config, name, None) for name in ("temperature", "top_p")}
        self._ends = _end_tokens(self.model, self.tokenizer)
        self._context: int | None = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        sampling = sampling_of(config)
        left = {name: value or 1.0 for name, value in own.items() if getattr(sampling, name) is None}
        self._sampling = replace(sampling, **left)  # what is left to the model is what its generation_config.json says
        self._system = config.system_message
        self._batch_size = config.generate_batch
        self._groups: dict[int, Group] = {}  # by their first step, the latest KEPT_GROUPS

    @classmethod
    def from_config(cls, config: Config, recall_encoder: object = None) -> LocalClient:
        return cls(config)

    def details(self) -> dict[str, Any]:
        """What is run and how. Answers that were generated in another company may differ in their last digits."""
        attention = getattr(self.model.config, "_attn_implementation", None)
        dtype = str(self.model.dtype).removeprefix("torch.")
        where = {"model": self.path, "device": str(self.device), "dtype": dtype, "attention": attention}
        system = {} if self._system is None else {"system_prompt": self._system}
        return where | vars(self._sampling) | {"generate_batch": self._batch_size} | system

    # -- steps that are known ahead --------------------------------------------------------------------------------

    def look_ahead(self, step: int, prompt_of: Callable[[int], str], steps: int) -> None:
        """Note the prompts of the group of steps that `step` belongs to, to answer them as one batch."""
        first = self._first_of(step)
        with self._lock:
            if self._batch_size == 1 or first in self._groups:
                return
            requests = {}
            for other in range(first, min(first + self._batch_size, steps + 1)):
                request = self._alone([{"role": "user", "content": prompt_of(other)}], None, other, 0)
                if self._fits(request):  # one that does not is refused when it is asked, without its company
                    requests[other] = request
            self._groups[first] = Group(requests)
            while len(self._groups) > KEPT_GROUPS:
                del self._groups[next(iter(self._groups))]

    def _first_of(self, step: int) -> int:
        """The first step of the fixed group that `step` is in."""
        return (step - 1) // self._batch_size * self._batch_size + 1

    def request(
        self, messages: list[Message], tools: list[dict[str, Any]] | None, step: int = 0, call: int = 0
    ) -> dict[str, Any]:
        request, group = self._alone(messages, tools, step, call), self._groups.get(self._first_of(step))
        return group.place(step, request) if group else request

    def _alone(
        self, messages: list[Message], tools: list[dict[str, Any]] | None, step: int, call: int
    ) -> dict[str, Any]:
        sampling = self._sampling
        messages = with_system(messages, self._system)
        request = {"model": self.path, "dtype": str(self.model.dtype), "messages": messages}
        if sampling.enable_thinking:
            request["enable_thinking"] = True
        request |= {name: getattr(sampling, name) for name in SENT}
        if sampling.temperature:
            request["draw"] = [sampling.seed, step, call]
        return request | ({"tools": tools} if tools else {})

    def _fits(self, request: dict[str, Any]) -> bool:
        if self._context is None:
            return True
        return len(self.encode(request["messages"])) + self._sampling.max_new_tokens <= self._context

    # -- answers ---------------------------------------------------------------------------------------------------

    def complete(self, request: dict[str, Any]) -> Reply:
        with self._lock:
            group = next((each for each in self._groups.values() if each.company == request.get("company")), None)
            if group is None:
                return self.complete_all([request])[0]
            if not group.replies:
                group.replies = self.complete_all(list(group.requests.values()))
            return group.replies[request["place"]]

    def complete_all(self, requests: list[dict[str, Any]]) -> list[Reply]:
        """Answer requests of equal sampling as one batch. Raises LLMError where one does not fit."""
        prompts = [self.encode(request["messages"], request.get("tools")) for request in requests]
        for prompt in prompts:
            self._check_length(len(prompt))
        try:
            answers = self._generate(prompts, requests)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            advice = "a smaller --generate_batch or --max_new_tokens needs less, and so does a smaller model"
            raise LLMError(f"{self.option} {self.path}: out of memory on {self.device} ({advice})") from error
        return [self._reply(*each) for each in zip(prompts, answers, requests)]

    def encode(self, messages: list[Message], tools: list[dict[str, Any]] | None = None) -> list[int]:
        """The tokens of a conversation in the model's chat template, up to where its answer begins."""
        from jinja2 import TemplateError

        if tools:
            self._check_tools(tools)
        try:
            text = self.tokenizer.apply_chat_template(
                [_with_parsed_arguments(message) for message in messages],
                tools=tools,
                add_generation_prompt=True,
                enable_thinking=bool(self._sampling.enable_thinking),
                tokenize=False,
            )
        except TemplateError as error:
            raise LLMError(f"{self.option} {self.path}: its chat template refuses the prompt ({error})") from error
        return self.tokenizer(text, add_special_tokens=False)["input_ids"]

    def _check_tools(self, tools: list[dict[str, Any]]) -> None:
        template = self.tokenizer.get_chat_template(tools=tools)
        if "tools" not in template or "<tool_call>" not in template:
            raise LLMError(
                f"{self.option} {self.path}: its chat template has no tools in the form <tool_call>; this task needs a "
                "model that has them, like Qwen3, or --serving_mode vllm"
            )

    def _check_length(self, length: int) -> None:
        if self._context is None:
            return
        room, wanted = self._context - length, self._sampling.max_new_tokens
        if room < wanted:
            advice = f"--max_new_tokens {room} would fit" if room > 0 else "show fewer cases (a smaller --comk)"
            kind = RefusedError if wanted < self._context else LLMError  # the second, where nothing would ever fit
            raise kind(
                f"{self.option} {self.path}: a prompt of {length} tokens and --max_new_tokens {wanted} are more than "
                f"the model's context of {self._context}: {advice}, or choose a model with a longer context"
            )

    def _generate(self, prompts: list[list[int]], requests: list[dict[str, Any]]) -> list[list[int]]:
        """The new tokens of each prompt, the end token included where there is one."""
        width = max(map(len, prompts))
        sampling = requests[0]
        pad = self.tokenizer.pad_token_id or 0  # masked in prompts, cut off after an answer's end
        ids = torch.tensor([[pad] * (width - len(prompt)) + prompt for prompt in prompts])
        mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        processors = LogitsProcessorList()
        if sampling["presence_penalty"]:
            processors.append(PresencePenalty(sampling["presence_penalty"], width))
        if sampling["temperature"]:
            seeds = [request["draw"] for request in requests]
            processors.append(SeededSampler(sampling["temperature"], sampling["top_p"], sampling["top_k"], seeds))
        output = self.model.generate(
            input_ids=ids.to(self.device),
            attention_mask=mask.to(self.device),
            logits_processor=processors,
            generation_config=GenerationConfig(
                do_sample=False,
                max_new_tokens=sampling["max_new_tokens"],
                eos_token_id=self._ends or None,
                pad_token_id=pad,
            ),
        )
        return [self._until_end(row) for row in output[:, width:].tolist()]

    def _until_end(self, tokens: list[int]) -> list[int]:
        end = next((i for i, token in enumerate(tokens) if token in self._ends), len(tokens))
        return tokens[: end + 1]

    def _reply(self, prompt: list[int], tokens: list[int], request: dict[str, Any]) -> Reply:
        ended = bool(tokens) and tokens[-1] in self._ends
        text = self.tokenizer.decode(tokens[:-1] if ended else tokens, skip_special_tokens=True)
        if self.tokenizer.decode(prompt[-8:]).rstrip().endswith("<think>"):  # the template has opened a thought
            text = f"<think>{text}"
        reasoning, text = split_reasoning(text)
        calls: list[dict[str, Any]] = []
        if request.get("tools"):
            text, calls = read_tool_calls(text)
        finish = "stop" if ended else CUT
        return Reply(text, len(prompt), len(tokens), calls, tokens, finish_reason=finish, reasoning=reasoning)


def load_chat_model(path: str, option: str, device: torch.device) -> tuple[Any, Any]:
    """(model, tokenizer) of a Hugging Face id or folder; bfloat16 on a GPU, float32 elsewhere.

    Attention is flash attention where its package is installed, else the best of torch's own that the model has.
    Raises UserError where something is missing.
    """
    quiet_transformers()
    gc.collect()  # the model of a run before this one has reference cycles and would still hold its memory
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import is_flash_attn_2_available

    on_gpu = device.type == "cuda"
    attention = "flash_attention_2" if on_gpu and is_flash_attn_2_available() else None
    try:
        with asking_hub_once(path, option):
            tokenizer = AutoTokenizer.from_pretrained(path)
            model, loading = AutoModelForCausalLM.from_pretrained(
                path,
                dtype=torch.bfloat16 if on_gpu else torch.float32,
                attn_implementation=attention,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # they are reported below
            )
        model.to(device).eval()
    except LOAD_ERRORS as error:
        raise cannot_load(option, path, error) from error
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise UserError(f"{option} {path}: the model does not fit into the memory of {device}") from error
    check_tokenizer(tokenizer, option, path)
    if tokenizer.chat_template is None:
        raise UserError(f"{option} {path}: it has no chat template; choose a chat model (often named -Instruct)")
    unfit = sorted(loading["missing_keys"]) + sorted(key for key, *_ in loading["mismatched_keys"])
    if unfit:
        raise UserError(f"{option} {path}: its weights do not fit its config: {unfit[0]} is missing or of another size")
    return model, tokenizer


def is_out_of_memory(error: RuntimeError) -> bool:
    """Whether a GPU's or the CPU's allocator gave up."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)


def _end_tokens(model: Any, tokenizer: Any) -> list[int]:
    """The tokens that end an answer; and nothing else of the model's own settings for generating is kept."""
    ends = model.generation_config.eos_token_id
    ends = [ends] if isinstance(ends, int) else list(ends or [])
    if tokenizer.eos_token_id is not None and tokenizer.eos_token_id not in ends:
        ends.append(tokenizer.eos_token_id)
    model.generation_config = GenerationConfig()
    return ends


def _with_parsed_arguments(message: Message) -> Message:
    """`message` with its tool calls' arguments as objects, which is what chat templates write out."""
    if not message.get("tool_calls"):
        return message
    functions = [call["function"] for call in message["tool_calls"]]
    parsed = [function | {"arguments": json.loads(function["arguments"])} for function in functions]
    return message | {"tool_calls": [{"type": "function", "function": function} for function in parsed]}


def read_tool_calls(text: str) -> tuple[str, list[dict[str, Any]]]:
    """(the text before the calls, the calls) of an answer with <tool_call>{json}</tool_call>, the Hermes form.

    A call that is no such JSON object makes the whole answer plain text, as in vLLM's parser.
    """
    calls = []
    for number, written in enumerate(TOOL_CALL.findall(text), 1):
        try:
            call = json.loads(written)
            function = {"name": call["name"], "arguments": json.dumps(call["arguments"], ensure_ascii=False)}
        except (ValueError, TypeError, KeyError, RecursionError):
            return text, []
        calls.append({"id": f"call_{number}", "type": "function", "function": function})
    return (text.partition("<tool_call>")[0], calls) if calls else (text, [])
