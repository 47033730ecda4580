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
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList
from transformers.generation import TemperatureLogitsWarper, TopPLogitsWarper

from config import Config
from errors import LLMError, UserError
from llm import LLM, AnswerCache, Message, Reply
from memory.encoders import LOAD_ERRORS, cannot_load, check_tokenizer, quiet_transformers, resolve_device

TEMPERATURE, TOP_P, TOP_K, PRESENCE_PENALTY = 0.1, 0.8, 20, 1.5
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

    def __init__(self, temperature: float, top_p: float, seeds: list[list[int]]) -> None:
        self._warpers = LogitsProcessorList([TemperatureLogitsWarper(temperature), TopPLogitsWarper(top_p)])
        self._generators = [np.random.default_rng(seed) for seed in seeds]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        best, tokens = scores.float().topk(min(TOP_K, scores.shape[1]))
        cumulative = self._warpers(input_ids, best).softmax(1).cumsum(1)
        draws = torch.tensor([[generator.random()] for generator in self._generators], dtype=best.dtype)
        rank = (cumulative <= draws.to(best.device) * cumulative[:, -1:]).sum(1, keepdim=True)
        chosen = tokens.gather(1, rank.clamp(max=best.shape[1] - 1))
        return torch.full_like(scores, -torch.inf).scatter_(1, chosen, 0.0)


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
        self.device = resolve_device(config.device)
        self.model, self.tokenizer = load_chat_model(self.path, self.option, self.device)
        self._ends = _end_tokens(self.model, self.tokenizer)
        self._context: int | None = getattr(self.model.config.get_text_config(), "max_position_embeddings", None)
        self._seed = config.seed
        # what the loss of reinforce weighs is the model's own distribution, so nothing is added to its logits
        penalty = 0.0 if config.agent == "reinforce" else PRESENCE_PENALTY
        self._sampling = {
            "temperature": TEMPERATURE if config.temperature is None else config.temperature,
            "top_p": TOP_P if config.top_p is None else config.top_p,
            "top_k": TOP_K,
            "presence_penalty": penalty,
            "max_new_tokens": config.max_new_tokens,
        }

    def details(self) -> dict[str, Any]:
        """What is run and how."""
        attention = getattr(self.model.config, "_attn_implementation", None)
        dtype = str(self.model.dtype).removeprefix("torch.")
        return {"model": self.path, "device": str(self.device), "dtype": dtype, "attention": attention}

    def request(self, messages: list[Message], tools: list[dict[str, Any]] | None) -> dict[str, Any]:
        request = {"model": self.path, "dtype": str(self.model.dtype), "messages": messages, **self._sampling}
        return request | ({"tools": tools} if tools else {})

    def drawn(self, request: dict[str, Any], step: int, call: int) -> dict[str, Any]:
        """`request` with the seed of its random draws, where it has any."""
        return request | {"draw": [self._seed, step, call]} if request["temperature"] else request

    def complete(self, request: dict[str, Any]) -> Reply:
        return self.complete_all([request])[0]

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
        """The tokens of a conversation in the model's chat template, thinking off, up to where its answer begins."""
        from jinja2 import TemplateError

        if tools:
            self._check_tools(tools)
        try:
            text = self.tokenizer.apply_chat_template(
                [_with_parsed_arguments(message) for message in messages],
                tools=tools,
                add_generation_prompt=True,
                enable_thinking=False,
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
        room, wanted = self._context - length, self._sampling["max_new_tokens"]
        if room < wanted:
            advice = f"--max_new_tokens {room} would fit" if room > 0 else "show fewer cases (a smaller --comk)"
            raise LLMError(
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
            processors.append(SeededSampler(sampling["temperature"], sampling["top_p"], seeds))
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
        calls: list[dict[str, Any]] = []
        if request.get("tools"):
            text, calls = read_tool_calls(text)
        return Reply(text, len(prompt), len(tokens), calls, tokens)


class LocalLLM(LLM):
    """An LLM whose client knows the step it answers in, and that answers the steps it knows ahead in batches."""

    def __init__(self, client: LocalClient, cache: AnswerCache | None, batch_size: int) -> None:
        super().__init__(client, cache)
        self.client = client
        self._batch_size = batch_size
        self._first = 0  # the step of the batch's first request
        self._batch: list[dict[str, Any]] = []
        self._replies: list[Reply] = []  # to the batch, once one of them was needed

    def look_ahead(self, prompt_of: Callable[[int], str], steps: int) -> None:
        first = (self._step - 1) // self._batch_size * self._batch_size + 1
        if self._batch_size == 1 or first == self._first:
            return
        self._first, self._batch, self._replies = first, [], []
        for step in range(first, min(first + self._batch_size, steps + 1)):
            request = self.client.request([{"role": "user", "content": prompt_of(step)}], None)
            self._batch.append(self.client.drawn(request, step, 0))
        company = hashlib.sha256(json.dumps(self._batch, sort_keys=True).encode()).hexdigest()
        self._batch = [request | {"company": company, "place": i} for i, request in enumerate(self._batch)]

    def _request(self, messages: list[Message], tools: list[dict[str, Any]] | None) -> dict[str, Any]:
        request = self.client.drawn(super()._request(messages, tools), self._step, self.spent.calls)
        expected = self._expected()
        known = expected is not None and all(expected.get(key) == value for key, value in request.items())
        return expected if known else request

    def _complete(self, request: dict[str, Any]) -> Reply:
        if request is not self._expected():
            return super()._complete(request)
        if not self._replies:
            self._replies = self.client.complete_all(self._batch)
        return self._replies[self._step - self._first]

    def _expected(self) -> dict[str, Any] | None:
        place = self._step - self._first
        return self._batch[place] if 0 <= place < len(self._batch) else None


def make_local_llm(config: Config, cache: AnswerCache | None) -> LocalLLM:
    """The LLM of `--serving_mode hf`. Raises UserError where its model does not load."""
    return LocalLLM(LocalClient(config), cache, config.generate_batch)


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
