"""`--agent reinforce`: the loss by hand, LoRA alone trained, learning on a planted task, and exact continuation."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from test_resume import kill_after
from torch import Tensor
from transformers import AutoModelForCausalLM

from helpers.local_runs import Letters, interrupting, local_argv, use
from helpers.runs import lfd_stream, run_folder, steps
from helpers.tiny_models import save_chat_model

pytest.importorskip("peft", reason="the package peft of requirements-local.txt is missing")

import main  # noqa: E402
from agent import make_agent  # noqa: E402
from agents.reinforce import ReinforceAgent, ReinforceTrainer  # noqa: E402
from clients.local import LocalClient  # noqa: E402
from config import Config  # noqa: E402
from env import make_env  # noqa: E402
from errors import UsageError, UserError  # noqa: E402
from llm import make_llm  # noqa: E402
from runs.folder import RunLog  # noqa: E402
from runs.track import Tracker  # noqa: E402

PROMPT, ANSWER = [1, 40, 50, 60, 7], [70, 80, 90, 2]
BETA, BATCH = 0.1, 3


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_chat_model(tmp_path_factory.mktemp("chat"), eos_token_id=[2, *range(150, 220)])


@pytest.fixture(autouse=True)
def letters(monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Letters)


def settings(model: str, **options: Any) -> Config:
    small = {"max_new_tokens": 6, "temperature": 1.0, "device": "cpu", "batch_size": BATCH, "learning_rate": 1e-2}
    local = {"serving_mode": "hf", "llm": "tiny", "model_path": model, "env": "lfd", "agent": "reinforce"}
    return Config(**local | small | options)


def make_trainer(model: str, **options: Any) -> ReinforceTrainer:
    """A trainer whose LoRA weights are all random: with B = 0, as they begin, half of the gradients would be 0."""
    arguments = {"learning_rate": 1e-2, "weight_decay": 0.1, "batch_size": BATCH, "kl_coef": BETA, "seed": 0} | options
    trainer = ReinforceTrainer(LocalClient(settings(model)), **arguments)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in trainer.weights.values():
            weight.copy_(0.2 * torch.randn(weight.shape, generator=generator))
    return trainer


def gradients(trainer: ReinforceTrainer) -> dict[str, Tensor]:
    return {name: weight.grad.clone() for name, weight in trainer.weights.items()}


# -- the formula -------------------------------------------------------------------------------------------------------


def naive_log_prob(plain: torch.nn.Module, lora: dict[str, Tensor] | None) -> Tensor:
    """log pi of ANSWER after PROMPT by a full softmax at each place, with W + (16 / 8) B A for each adapted W."""
    weights = dict(plain.named_parameters())
    for name in [name for name in lora or {} if "lora_A" in name]:
        path = name.removeprefix("base_model.model.").removesuffix(".lora_A.default.weight")
        update = lora[name.replace("lora_A", "lora_B")] @ lora[name]
        weights[f"{path}.weight"] = weights[f"{path}.weight"] + 16 / 8 * update
    total = torch.zeros(())
    for place, token in enumerate(ANSWER):
        ids = torch.tensor([PROMPT + ANSWER[:place]])
        logits = torch.func.functional_call(plain, weights, (ids,)).logits[0, -1]
        total = total + (logits.exp() / logits.exp().sum())[token].log()
    return total


@pytest.mark.parametrize("reward", [0, 1])
def test_the_gradient_is_the_formulas(reward: int, model: str) -> None:
    trainer = make_trainer(model)
    metrics = trainer.learn(PROMPT, ANSWER, reward)
    plain = AutoModelForCausalLM.from_pretrained(model).requires_grad_(False)
    lora = {name: weight.detach().clone().requires_grad_() for name, weight in trainer.weights.items()}
    log_prob, reference = naive_log_prob(plain, lora), naive_log_prob(plain, None)
    loss = -(reward * log_prob - BETA * (log_prob - reference)) / BATCH
    expected = dict(zip(lora, torch.autograd.grad(loss, list(lora.values()))))
    assert metrics["train/loss"] == pytest.approx(loss.item(), rel=1e-4)
    assert metrics["train/log_prob"] == pytest.approx(log_prob.item(), rel=1e-4)
    assert metrics["train/kl"] == pytest.approx((log_prob - reference).item(), rel=1e-3)
    assert abs(metrics["train/kl"]) > 0.1
    assert len(expected) == 2 * 2 * 2  # A and B of q_proj and v_proj in two layers
    for name, gradient in gradients(trainer).items():
        torch.testing.assert_close(gradient, expected[name], rtol=1e-3, atol=1e-5)
        assert gradient.abs().max() > 1e-3


def test_gradients_add_up_and_are_clipped_before_the_step(model: str) -> None:
    trainer, answers = make_trainer(model), [([70, 2], 1), ([80, 90], 1), ([100], 0)]
    weights = {name: weight.detach().clone().requires_grad_() for name, weight in trainer.weights.items()}
    alone = []
    for answer, reward in answers:
        one = make_trainer(model)
        one.learn(PROMPT, answer, reward)
        alone.append(gradients(one))
    for answer, reward in answers[:-1]:
        assert "train/grad_norm" not in trainer.learn(PROMPT, answer, reward)
        assert all(torch.equal(weight, weights[name]) for name, weight in trainer.weights.items())
    metrics = trainer.learn(PROMPT, *answers[-1])
    total = {name: sum(each[name] for each in alone) for name in weights}
    norm = torch.cat([gradient.flatten() for gradient in total.values()]).norm()
    assert metrics["train/grad_norm"] == pytest.approx(norm.item(), rel=1e-4)
    assert norm > 1.5  # the clip has something to do
    optimizer = torch.optim.AdamW(weights.values(), lr=1e-2, weight_decay=0.1)
    for name, weight in weights.items():
        weight.grad = total[name] / norm
    optimizer.step()
    state = trainer.state_dict()["optimizer"]["state"]
    for i, (name, weight) in enumerate(weights.items()):
        torch.testing.assert_close(trainer.weights[name], weight, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(state[i]["exp_avg"], 0.1 * weight.grad, rtol=1e-3, atol=1e-6)  # which shows the clip
    assert all(weight.grad is None for weight in trainer.weights.values())


def test_fresh_adapters_change_nothing_and_follow_the_seed(model: str) -> None:
    state = torch.get_rng_state()
    same, other = (ReinforceTrainer(LocalClient(settings(model)), 1e-2, 0, BATCH, BETA, seed) for seed in (0, 1))
    again = ReinforceTrainer(LocalClient(settings(model)), 1e-2, 0, BATCH, BETA, 0)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(weight, again.weights[name]) for name, weight in same.weights.items())
    assert any(not torch.equal(weight, other.weights[name]) for name, weight in same.weights.items())
    plain = AutoModelForCausalLM.from_pretrained(model)
    assert same.log_prob(PROMPT, ANSWER).item() == pytest.approx(naive_log_prob(plain, None).item(), rel=1e-4)
    assert same.learn(PROMPT, ANSWER, 1)["train/kl"] == 0


def test_recomputing_activations_gives_the_same_gradient(model: str) -> None:
    usual, recomputing = make_trainer(model), make_trainer(model, checkpointing=True)
    answers = []
    for trainer in (usual, recomputing):
        trainer.learn(PROMPT, ANSWER, 1)
        assert not any(module.training for module in trainer.model.modules())
        answers.append(trainer.model.generate(input_ids=torch.tensor([PROMPT]), max_new_tokens=8).tolist())
    assert answers[0] == answers[1]
    expected = gradients(usual)
    for name, gradient in gradients(recomputing).items():
        torch.testing.assert_close(gradient, expected[name])


# -- runs --------------------------------------------------------------------------------------------------------------


class Planted(Letters):
    """One answer is always right: a token that the model as it came gives now and then."""

    steps = 200
    right = "?"


def play(config: Config, folder: Path) -> tuple[ReinforceAgent, RunLog]:
    """A whole run of the loop; the agent as it ends."""
    env = make_env(config.env)
    llm = make_llm(config, lambda: None)
    agent = make_agent(config, env, llm, lambda: None)
    log = RunLog(folder, config.identity(), overwrite=False, checkpoint_seconds=60)
    log.begin({}, {})
    main.run(env, agent, log, Tracker(config))
    log.close()
    return agent, log


def test_the_right_answers_probability_rises(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = LocalClient(settings(model))
    prompt = client.encode([{"role": "user", "content": "log ticket 0 of server 0"}])
    logits = client.model(torch.tensor([prompt])).logits[0, -1]
    readable = [t for t in logits.topk(20).indices.tolist() if len(client.tokenizer.decode([t]).strip("\ufffd ")) == 1]
    token = readable[len(readable) // 2]  # neither the likeliest nor the least likely
    before = logits.softmax(0)[token].item()
    monkeypatch.setattr(Planted, "right", client.tokenizer.decode([token]))
    use(monkeypatch, Planted)
    config = settings(model, max_new_tokens=1, batch_size=4, learning_rate=5e-3)
    agent, log = play(config, tmp_path / "run")

    after = agent.trainer.log_prob(prompt, [token]).exp().item()
    assert before < 0.3 and after > 0.9, (before, after)
    rewards = [record["reward"] for record in log.records()]
    assert len(rewards) == 200
    assert 0 < sum(rewards[:50]) < 40 and sum(rewards[-50:]) > 45
    assert all({"train/loss", "train/log_prob", "train/kl"} <= record["metrics"].keys() for record in log.records())
    stepped = [record["step"] for record in log.records() if "train/grad_norm" in record["metrics"]]
    assert stepped == list(range(4, 201, 4))
    assert all(record["output_tokens"] for record in log.records())

    trainable = {name for name, weight in agent.trainer.model.named_parameters() if weight.requires_grad}
    assert trainable == set(agent.trainer.weights) and all("lora_" in name for name in trainable)
    saved = load_file(Path(model) / "model.safetensors")
    now = {
        name.removeprefix("base_model.model.").replace(".base_layer", ""): weight
        for name, weight in agent.trainer.model.state_dict().items()
        if "lora_" not in name
    }
    assert saved.keys() <= now.keys()
    assert all(torch.equal(weight, now[name]) for name, weight in saved.items())


def test_interrupted_and_continued_is_the_same_run(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    more = ("--agent", "reinforce", "--batch_size", BATCH, "--learning_rate", 1e-2)
    assert main.main(local_argv(model, tmp_path / "unharmed", *more)) == 0
    unharmed = steps(run_folder(tmp_path / "unharmed"))
    assert len({step["metrics"]["train/loss"] for step in unharmed}) > 15
    ends = {0: ((None, 8), (14, None)), 600: ((3, None), (None, 11))}
    for seconds in ends:  # a checkpoint at every step, and none: then all is replayed
        arguments = local_argv(model, tmp_path / str(seconds), *more, "--checkpoint_seconds", seconds)
        for before, after in ends[seconds]:
            with monkeypatch.context() as patch:
                patch.setattr(main, "RunLog", interrupting(before, after))
                assert main.main(arguments) == 130
            assert (run_folder(tmp_path / str(seconds)) / "checkpoint" / "reinforce.pt").exists() == (seconds == 0)
        assert main.main(arguments) == 0
        assert steps(run_folder(tmp_path / str(seconds))) == unharmed


def test_a_killed_process_continues_to_the_same_losses(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # both processes play the real task
    more = ("--data", lfd_stream(tmp_path, 30), "--agent", "reinforce", "--batch_size", 2, "--learning_rate", 1e-2)
    assert main.main(local_argv(model, tmp_path / "unharmed", *more)) == 0
    arguments = local_argv(model, tmp_path / "killed", *more, "--checkpoint_seconds", 0.1)
    killed = kill_after(5, arguments, signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL and "Warning" not in killed.stderr
    assert 5 <= len(steps(run_folder(tmp_path / "killed"))) < 30
    assert main.main(arguments) == 0
    assert steps(run_folder(tmp_path / "killed")) == steps(run_folder(tmp_path / "unharmed"))


# -- mistakes ----------------------------------------------------------------------------------------------------------


def test_missing_peft(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)  # as if it were not installed
    assert main.main(local_argv(model, tmp_path / "out", "--agent", "reinforce")) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "error: the package peft is missing: `pip install -r requirements-local.txt`"
    assert not (tmp_path / "out").exists()


def test_a_model_without_the_projections(tmp_path: Path) -> None:
    folder = save_chat_model(tmp_path, kind="GPTNeoX")
    with pytest.raises(UserError, match="it has no layers named q_proj and v_proj, which --agent reinforce trains"):
        make_trainer(folder)


def test_tasks_with_a_dialogue_are_refused(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Chatty(Letters):
        def interact(self, prompt: str, ask: Any) -> str:
            return ask(ask(prompt))

    class Game(Letters):
        single_turn = False

    for task, complaint in ((Chatty, "the task lfd has a dialogue"), (Game, "does not apply to the task lfd")):
        use(monkeypatch, task)
        config = settings(model)
        with pytest.raises(UsageError, match=complaint):
            make_agent(config, make_env("lfd"), make_llm(config, lambda: None), lambda: None)


def test_out_of_memory_while_training_loses_nothing(
    model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def give_up(*arguments: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    arguments = local_argv(model, tmp_path / "out", "--agent", "reinforce", "--limit", 3)
    with monkeypatch.context() as patch:
        patch.setattr(ReinforceTrainer, "log_prob", give_up)
        assert main.main(arguments) == 1
    assert "out of memory while training on an answer" in capsys.readouterr().err.splitlines()[-1]
    assert main.main(arguments) == 0
    assert len(steps(run_folder(tmp_path / "out"))) == 3
