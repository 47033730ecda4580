"""`--serving_mode hf`: a tiny random chat model answers in this process, seeded, in batches, and resumable."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import run_cli
from transformers import AutoModelForCausalLM, AutoTokenizer

import main
from clients.local import PresencePenalty, SeededSampler, load_chat_model, read_tool_calls
from config import Config
from errors import LLMError, RefusedError, UserError
from helpers.local_runs import Letters, interrupting, local_argv, use
from helpers.runs import lfd_stream, run_folder, run_folders, steps
from helpers.tiny_models import CHAT_TEMPLATE, save_chat_model
from llm import LLM, make_llm

ENDS = [2, *range(150, 220)]  # so many tokens end an answer that answers differ in length
PROMPTS = ["log ticket 1", "Which team should take this ticket? network", "server"]
TOOLS = [{"type": "function", "function": {"name": "lookup", "parameters": {"type": "object", "properties": {}}}}]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_chat_model(tmp_path_factory.mktemp("chat"), eos_token_id=ENDS)


@pytest.fixture(autouse=True)
def letters(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Letters)


def config(model: str, **options: Any) -> Config:
    settings = {"max_new_tokens": 6, "temperature": 1.0, "device": "cpu"} | options
    return Config(serving_mode="hf", llm="tiny", model_path=model, **settings)


def local_llm(model: str, **options: Any) -> LLM:
    return make_llm(config(model, **options), lambda: None)


def run(*arguments: Any) -> list[dict[str, Any]]:
    """The steps of a run of main.py that ends well."""
    assert main.main(local_argv(*arguments)) == 0
    return steps(run_folder(arguments[1]))


def fail(capsys: pytest.CaptureFixture[str], *arguments: Any) -> tuple[int, str]:
    """(exit code, last line on stderr) of a run that does not end well."""
    code = main.main(local_argv(*arguments))
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return code, error.splitlines()[-1]


# -- runs --------------------------------------------------------------------------------------------------------------


def test_a_process_answers_without_server_or_key(model: str, tmp_path: Path) -> None:
    data = lfd_stream(tmp_path, 3)
    done = run_cli(*local_argv(model, tmp_path / "out", "--data", data, "--agent", "zero-shot"))
    assert done.returncode == 0, done.stderr
    assert "llm:  tiny (hf)" in done.stderr and "Warning" not in done.stderr
    folder = run_folder(tmp_path / "out")
    assert folder.parent.name == "tiny,max_new_tokens=6,temperature=1.0"
    record = yaml.safe_load((folder / "config.yaml").read_text())
    sampling = {"temperature": 1.0, "top_p": 0.8, "top_k": 20, "presence_penalty": 1.5, "enable_thinking": False}
    assert record["starts"][0]["llm"] == {
        "model": model, "device": "cpu", "dtype": "float32", "attention": "sdpa",
        **sampling, "max_new_tokens": 6, "seed": 0, "generate_batch": 8,
    }  # fmt: skip
    assert "generate_batch" not in record["identity"]
    tokenizer = AutoTokenizer.from_pretrained(model)
    for step in steps(folder):
        assert step["usage"]["prompt_tokens"] > 100
        counted = len(tokenizer(step["output"])["input_ids"])
        assert abs(step["usage"]["completion_tokens"] - counted) <= 6 and step["usage"]["completion_tokens"] <= 6


@pytest.mark.parametrize("agent", ["icrl", "cbr"])
def test_agents_that_retain(agent: str, model: str, tmp_path: Path) -> None:
    made = run(model, tmp_path / "out", "--agent", agent, "--bandit", "Random")
    assert 0 < sum(step["reward"] for step in made) < len(made)
    assert any(step["cases"] for step in made)
    plain = run(model, tmp_path / "plain", "--agent", "zero-shot")
    with_cases = [i for i, step in enumerate(made) if step["cases"]]
    assert all(made[i]["usage"]["prompt_tokens"] > plain[i]["usage"]["prompt_tokens"] for i in with_cases)
    assert len({step["output"] for step in made}) > 3


def test_batches_answer_as_single_requests_do(model: str, tmp_path: Path) -> None:
    single = run(model, tmp_path / "1", "--agent", "zero-shot", "--generate_batch", 1)
    assert len({step["usage"]["completion_tokens"] for step in single}) > 2
    for size in (3, 8, 64):
        assert run(model, tmp_path / str(size), "--agent", "zero-shot", "--generate_batch", size) == single


def test_batches_are_asked_once_each(model: str) -> None:
    llm, sizes = local_llm(model, generate_batch=4), []
    complete_all = llm.client.complete_all
    llm.client.complete_all = lambda requests: sizes.append(len(requests)) or complete_all(requests)
    for step in range(1, 11):
        ask = llm.session(step)
        ask.look_ahead(lambda step: f"log {step}", 10)
        assert ask(f"log {step}" if step != 7 else "something else") is not None
    assert sizes == [4, 4, 1, 2]  # the prompt that was not as foreseen is asked alone


@pytest.mark.parametrize("agent", ["zero-shot", "icrl"])
def test_interrupted_and_continued_is_the_same_run(
    agent: str, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unharmed = run(model, tmp_path / "unharmed", "--agent", agent)
    arguments = local_argv(model, tmp_path / "cut", "--agent", agent, "--checkpoint_seconds", 0)
    for before, after in ((3, None), (None, 8), (None, 13), (14, None)):
        with monkeypatch.context() as patch:
            patch.setattr(main, "RunLog", interrupting(before, after))
            assert main.main(arguments) == 130
    assert main.main(arguments) == 0
    assert steps(run_folder(tmp_path / "cut")) == unharmed


def test_cache(model: str, tmp_path: Path) -> None:
    kept = ("--cache", tmp_path / "answers.sqlite", "--generate_batch", 3, "--limit", 7)
    for agent in ("zero-shot", "icrl"):
        first = run(model, tmp_path / f"{agent}1", "--agent", agent, *kept)
        again = run(model, tmp_path / f"{agent}2", "--agent", agent, *kept)
        assert not any(step["cached"] for step in first) and all(step["cached"] for step in again)
        usage = [{name: step["usage"][name] for name in first[0]["usage"]} for step in again]
        assert [step | {"cached": False, "usage": spent} for step, spent in zip(again, usage)] == first
    for name, value in (("--seed", 1), ("--temperature", 0.9), ("--top_p", 0.7), ("--max_new_tokens", 5)):
        other = run(model, tmp_path / name, "--agent", "icrl", *kept, name, value)
        assert not any(step["cached"] for step in other), name


def test_seeds_draw_differently_and_temperature_zero_does_not_draw(model: str, tmp_path: Path) -> None:
    def outputs(name: str, *more: object) -> list[list[str]]:
        arguments = local_argv(model, tmp_path / name, "--agent", "zero-shot", "--limit", 5, *more)
        assert main.main(arguments) == 0
        return [[step["output"] for step in steps(folder)] for folder in run_folders(tmp_path / name)]

    state = torch.get_rng_state()
    sampled = outputs("sampled", "--seed", -1)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(1)
    assert outputs("once", "--seed", 2) == [sampled[2]]
    assert len({tuple(output) for output in sampled}) == 5
    greedy = outputs("greedy", "--seed", -1, "--temperature", 0)
    assert len(greedy) == 5 and len({tuple(output) for output in greedy}) == 1


# -- settings of current models ----------------------------------------------------------------------------------------


def test_thinking_system_prompt_and_what_is_left_to_the_model(model: str) -> None:
    said = [{"role": "user", "content": "log"}]
    off, on = local_llm(model).client, local_llm(model, thinking="on", system_prompt="Be brief.").client
    decode = off.tokenizer.decode
    assert off.request(said, None)["messages"] == said and "enable_thinking" not in off.request(said, None)
    asked = on.request(said, None)
    assert asked["messages"] == [{"role": "system", "content": "Be brief."}, *said] and asked["enable_thinking"]
    text = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nlog<|im_end|>\n<|im_start|>assistant\n"
    assert decode(on.encode(asked["messages"])) == text and decode(off.encode(said)).endswith("<think></think>")
    opened = off.tokenizer("log<think>\n")["input_ids"]
    reply = off._reply(opened, off.tokenizer("hm</think>yes")["input_ids"], {})
    assert (reply.reasoning, reply.text) == ("hm", "yes")
    left = local_llm(model, temperature="none", top_p="none").client
    assert left.details()["temperature"] == 1.0 and left.details()["top_p"] == 1.0


# -- sampling ----------------------------------------------------------------------------------------------------------


def test_greedy_answer_and_counts_are_the_models(model: str) -> None:
    """The batch's answers, token by token, are those of argmax over plain forward passes."""
    llm = local_llm(model, temperature=0.0, max_new_tokens=8, agent="zero-shot")
    client = llm.client
    plain, tokenizer = AutoModelForCausalLM.from_pretrained(model), AutoTokenizer.from_pretrained(model)
    requests = [client.request([{"role": "user", "content": prompt}], None) for prompt in PROMPTS]
    assert requests[0]["presence_penalty"] == 1.5 and requests[0]["top_k"] == 20
    for prompt, reply in zip(PROMPTS, client.complete_all(requests)):
        text = f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n<think></think>"
        ids = tokenizer(text)["input_ids"]
        answer: list[int] = []
        while len(answer) < 8 and not (answer and answer[-1] in ENDS):
            logits = plain(torch.tensor([ids + answer])).logits[0, -1]
            logits[sorted(set(answer))] -= 1.5
            answer.append(int(logits.argmax()))
        assert reply.tokens == answer
        assert (reply.prompt_tokens, reply.completion_tokens) == (len(ids), len(answer))
        ended = answer[-1] in ENDS
        assert reply.text == tokenizer.decode(answer[:-1] if ended else answer)


def test_sampler_draws_from_the_tempered_nucleus() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(50, generator=generator)
    n, temperature, top_p = 4000, 0.7, 0.8
    weights = (logits / temperature).exp()
    weights[logits < logits.sort().values[-20]] = 0
    order = weights.argsort(descending=True)
    before = (weights[order] / weights.sum()).cumsum(0) - weights[order] / weights.sum()
    weights[order[before >= top_p]] = 0
    sampler = SeededSampler(temperature, top_p, 20, [[7, step, 0] for step in range(n)])
    chosen = sampler(torch.zeros(n, 1, dtype=torch.long), logits.repeat(n, 1)).argmax(1)
    shares = torch.bincount(chosen, minlength=50) / n
    expected = weights / weights.sum()
    assert (expected > 0).sum() > 3
    assert torch.equal(shares > 0, expected > 0)
    assert (shares - expected).abs().max() < 0.03
    alone = SeededSampler(temperature, top_p, 20, [[7, 5, 0]])(torch.zeros(1, 1, dtype=torch.long), logits[None])
    assert int(alone.argmax()) == int(chosen[5])


def test_presence_penalty_counts_the_answer_alone() -> None:
    scores = torch.zeros(2, 6)
    ids = torch.tensor([[1, 2, 3, 3], [1, 2, 4, 5]])
    assert PresencePenalty(1.5, 2)(ids, scores).tolist() == [[0, 0, 0, -1.5, 0, 0], [0, 0, 0, 0, -1.5, -1.5]]
    assert torch.equal(PresencePenalty(1.5, 4)(ids, scores), scores)


# -- tools -------------------------------------------------------------------------------------------------------------


def test_tools_reach_the_template_and_calls_come_back(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    llm = local_llm(model)
    written = 'Let me look.<tool_call>\n{"name": "lookup", "arguments": {"q": "ü"}}\n</tool_call>'
    tokens = llm.client.tokenizer(written)["input_ids"]
    seen = []
    monkeypatch.setattr(llm.client, "_generate", lambda prompts, requests: seen.extend(prompts) or [tokens])
    messages: list[dict[str, Any]] = [{"role": "user", "content": "log"}]
    reply = llm.chat(messages, TOOLS)
    assert reply.text == "Let me look."
    function = {"name": "lookup", "arguments": '{"q": "ü"}'}
    assert reply.tool_calls == [{"id": "call_1", "type": "function", "function": function}]
    assert '"name": "lookup", "parameters"' in llm.client.tokenizer.decode(seen[0])
    messages.append({"role": "assistant", "content": "", "tool_calls": reply.tool_calls})
    llm.chat([*messages, {"role": "tool", "tool_call_id": "call_1", "content": "nothing"}], TOOLS)
    assert '<tool_call>{"name": "lookup", "arguments": {"q": "ü"}}' in llm.client.tokenizer.decode(seen[1])
    assert llm.chat(messages[:1]).text == written  # no tools offered, so nothing is a call


CALL = '<tool_call>{"name": "%s", "arguments": {}}</tool_call>'


@pytest.mark.parametrize("text, names", [
    (CALL % "a" + "\n" + CALL % "b", "ab"), (CALL[:-12], ""), ("<tool_call>{'name'</tool_call>", ""),
    ('<tool_call>{"name": "a"}</tool_call>', ""), ("<tool_call>[]</tool_call>", ""), ("<tool_call>3</tool_call>", ""),
    ("plain", ""), ("", ""),
])  # fmt: skip
def test_reading_tool_calls(text: str, names: str) -> None:
    rest, calls = read_tool_calls(text)
    assert "".join(call["function"]["name"] for call in calls) == names
    assert rest == ("" if names else text)


def test_a_template_without_tools_is_refused(tmp_path: Path) -> None:
    template = "{% for message in messages %}{{ message.content }}\n{% endfor %}"
    llm = local_llm(save_chat_model(tmp_path, template=template))
    assert llm("log") is not None  # and a template that knows nothing of thinking is no obstacle
    with pytest.raises(LLMError, match="chat template has no tools in the form <tool_call>.*or --serving_mode vllm"):
        llm.chat([{"role": "user", "content": "log"}], TOOLS)


# -- mistakes ----------------------------------------------------------------------------------------------------------


def cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-500])


def drop_a_weight(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def drop_tokenizer(folder: Path) -> None:
    for path in folder.glob("token*"):
        path.unlink()


def change_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("damage, complaint", [
    (lambda folder: (folder / "config.json").unlink(), "cannot load it"),
    (lambda folder: (folder / "config.json").write_text("{"), "cannot load it"),
    (lambda folder: (folder / "model.safetensors").unlink(), "cannot load it"),
    (cut_weights, "cannot load it"),
    (drop_a_weight, "model.layers.1.mlp.up_proj.weight is missing or of another size"),
    (lambda folder: change_config(folder, intermediate_size=72), "model.layers.0.mlp.down_proj.weight is missing or"),
    (lambda folder: change_config(folder, model_type="no-such"), "cannot load it"),
    (drop_tokenizer, "tokenizer"),
    (lambda folder: (folder / "chat_template.jinja").unlink(), "it has no chat template; choose a chat model"),
], ids=lambda value: value if isinstance(value, str) else "")  # fmt: skip
def test_damaged_models(
    damage: Callable[[Path], None], complaint: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "model"
    save_chat_model(folder)
    damage(folder)
    code, line = fail(capsys, folder, tmp_path / "out")
    assert code == 1
    assert line.startswith(f"error: --model_path {folder}: ") and complaint in line
    assert not (tmp_path / "out").exists()


def test_a_missing_folder_is_named_by_the_option_that_named_it(tmp_path: Path) -> None:
    missing = str(tmp_path / "none")
    with pytest.raises(UserError, match=f"^--llm {missing}: cannot load it"):
        make_llm(Config(serving_mode="hf", llm=missing), lambda: None)


def test_other_weights_are_another_run(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(model, tmp_path / "out", "--agent", "zero-shot", "--limit", 2)
    code, line = fail(capsys, "elsewhere", tmp_path / "out", "--agent", "zero-shot", "--limit", 2)
    assert code == 2 and f"model_path: {model} then, elsewhere now" in line


def test_prompts_beyond_the_context(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save_chat_model(tmp_path / "model", max_position_embeddings=60)
    code, line = fail(capsys, model, tmp_path / "out", "--agent", "zero-shot", "--max_new_tokens", 50)
    assert code == 1
    assert "more than the model's context of 60: --max_new_tokens" in line and "would fit" in line
    assert not (tmp_path / "out").exists()
    llm = local_llm(model)
    ask = llm.session()
    with pytest.raises(RefusedError, match="show fewer cases"):
        ask("log " * 100)
    assert ask.spent.calls == 0


def test_a_prompt_beyond_the_context_is_refused_alone(tmp_path: Path) -> None:
    """Its neighbours in the batch are answered, and as if it had never been among them."""
    model = save_chat_model(tmp_path / "model", max_position_embeddings=60)
    prompts = {1: "log 1", 2: "log " * 100, 3: "log 3", 4: "log 4"}
    llm, sizes = local_llm(model, generate_batch=4), []
    complete_all = llm.client.complete_all
    llm.client.complete_all = lambda requests: sizes.append(len(requests)) or complete_all(requests)
    told = {}
    for step, prompt in prompts.items():
        ask = llm.session(step)
        ask.look_ahead(prompts.get, 4)
        if step == 2:
            with pytest.raises(RefusedError, match="more than the model's context of 60"):
                ask(prompt)
        else:
            told[step] = ask(prompt)
    assert sizes == [3, 1]
    assert len(set(told.values())) == 3


def test_sessions_in_flight_across_batches_answer_as_one_after_another(model: str) -> None:
    def prompt_of(step: int) -> str:
        return f"log {step}"

    in_turn, together = local_llm(model, generate_batch=3), local_llm(model, generate_batch=3)
    expected = []
    for step in range(1, 9):
        ask = in_turn.session(step)
        ask.look_ahead(prompt_of, 8)
        expected.append(ask.chat([{"role": "user", "content": prompt_of(step)}]))
    sessions = [together.session(step) for step in range(1, 9)]
    for ask in sessions:
        ask.look_ahead(prompt_of, 8)
    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(lambda ask: ask.chat([{"role": "user", "content": prompt_of(ask.step)}]), sessions))
    assert told == expected


def test_finish_reasons(model: str) -> None:
    llm = local_llm(model, max_new_tokens=2)
    replies = [llm.session(step).chat([{"role": "user", "content": "log"}]) for step in range(1, 20)]
    assert {reply.finish_reason for reply in replies} == {"stop", "length"}
    for reply in replies:
        assert (reply.tokens[-1] in ENDS) == (reply.finish_reason == "stop")


def test_out_of_memory_is_an_outage(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def give_up(*arguments: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB\nand so on")

    arguments = (model, tmp_path / "out", "--agent", "zero-shot")
    with monkeypatch.context() as patch:
        patch.setattr("clients.local.LocalClient._generate", give_up)
        code, line = fail(capsys, *arguments)
    assert code == 1 and "out of memory on cpu (a smaller --generate_batch" in line
    assert not (tmp_path / "out").exists()
    assert len(run(*arguments)) == Letters.steps
    with monkeypatch.context() as patch, pytest.raises(UserError, match="does not fit into the memory of cpu"):
        patch.setattr(torch.nn.Module, "to", give_up)
        load_chat_model(model, "--llm", torch.device("cpu"))


def test_a_template_that_raises(tmp_path: Path) -> None:
    template = "{{ raise_exception('Roles must alternate') }}" + CHAT_TEMPLATE
    with pytest.raises(LLMError, match="chat template refuses the prompt.*Roles must alternate"):
        local_llm(save_chat_model(tmp_path, template=template))("log")


def test_judging_beside_a_local_model_asks_a_server(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openai")
    from env.tools.judge import make_judge

    with pytest.raises(LLMError, match="no answer from http://127.0.0.1:9/v1/"):
        make_judge(config(model, judge_llm="judge", port=9, max_retries=0), lambda judge: make_llm(judge, lambda: None))
    assert "clients.local" in sys.modules
