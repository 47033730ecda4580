"""One contestant of a comparison: plays a stream in a process of its own, some steps at a time, and counts the cost.

`python player.py CHECKOUT 'SETTINGS'` imports the project from CHECKOUT, so that an older commit can play beside this
one, and takes numbers from its input: so many steps are played and a line of JSON comes back. Contestants who are asked
in turn share the machine's good and bad minutes. It uses no more of the project than earlier commits have too.

The LLM answers at once, or after `answer_seconds`, and is right in six of ten steps, whatever it is shown, so all
contestants see one stream of rewards. Dropout is off where SETTINGS say so: its draws depend on the shape of batches,
and would hide whether two implementations choose the same.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any


class Contestant:
    """A player's process, seen from the one that asks.

    Args:
        checkout: where the project is that it plays with.
        settings: `options` of config.py, `steps` in the stream, `dropout`, `answer_seconds` of the LLM, and `naive` for
            the naive policy.
    """

    def __init__(self, checkout: Path, **settings: Any) -> None:
        command = [sys.executable, __file__, str(checkout), json.dumps(settings)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def play(self, steps: int) -> dict[str, Any]:
        """Play on for `steps` steps; their total `cpu` and `wall` seconds, what was chosen, what was encoded."""
        assert self._process.stdin and self._process.stdout
        print(steps, file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"a contestant ended with exit code {self._process.wait()}")
        played: dict[str, Any] = json.loads(line)
        return played

    def close(self) -> None:
        self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait()


# -- the process itself ------------------------------------------------------------------------------------------------


def stream(options: dict[str, Any], steps: int) -> Any:
    """`steps` distinct banking77 queries: those of the data, then the same again with a note that makes them new."""
    from env import make_env

    env = make_env("banking77", options.get("data", "auto"), shuffle_seed=0)
    rows = env.dataset
    env.dataset = [
        row if i < len(rows) else row | {"task": f"{row['task']} (asked again, no. {i // len(rows)})"}
        for i, row in ((i, rows[i % len(rows)]) for i in range(steps))
    ]
    return env


def without_dropout(*models: Any) -> None:
    import torch

    for model in models:
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
            if hasattr(module, "config"):
                for name in ("hidden_dropout_prob", "attention_probs_dropout_prob"):
                    if hasattr(module.config, name):
                        setattr(module.config, name, 0.0)


def steps_of(settings: dict[str, Any]) -> Iterator[tuple[float, float, list[int]]]:
    """Play: for each step its CPU and wall seconds outside the LLM, and the cases that were shown.

    What is done while the LLM answers costs CPU seconds alone; what it delays the answer by counts as outside.
    """
    import torch

    torch.set_num_threads(1)
    from agent import make_agent
    from clients.scripted import ScriptedClient
    from config import Config
    from llm import LLM
    from memory.encoders import TextEncoder
    from step import Step

    config = Config(env="banking77", **settings["options"])
    env = stream(settings["options"], settings["steps"])
    chance = random.Random(0)
    seconds = settings.get("answer_seconds", 0)

    def answer(prompt: str) -> str:
        time.sleep(seconds)
        return truth(env) if chance.random() < 0.6 else "no idea"

    llm = LLM(ScriptedClient(answer))
    precision = [config.precision] if hasattr(config, "precision") else []  # older commits have none
    encoder = TextEncoder(config.embedding_model_path, torch.device("cpu"), *precision)
    agent = make_agent(config, env, llm, lambda: encoder)
    ahead: Any = getattr(agent, "ahead", nullcontext)  # earlier commits do nothing beside the answer
    retrieval: Any = agent.retrieval
    ranker = getattr(retrieval.policy.encoder, "_model", encoder.model)
    if not settings.get("dropout", True):
        without_dropout(encoder.model, ranker)
    if settings.get("naive"):
        from memory.encoders import load_sentence_model
        from memory.sentences import Sentences
        from scripts.benchmarks.naive import NaivePolicy

        sentences = load_sentence_model(config.embedding_model_path, encoder.device)
        if not settings.get("dropout", True):
            without_dropout(sentences)
        encoder.model, encoder.sentences = sentences, Sentences(sentences)
        encoder.sentences._body = None  # cases are recalled as sentence-transformers encodes
        retrieval.policy = NaivePolicy(config, sentences, retrieval.policy.encoder)
        ahead = nullcontext
    env.reset()
    for number in range(1, len(env) + 1):
        env.index = number - 1
        step = Step(number, env.observe())
        cpu, wall = time.process_time(), time.perf_counter()
        agent.retrieve(step)
        with ahead(step):
            agent.generate(step)
            step.answer, step.reward = env.evaluate(step.output)
        agent.update(step)
        agent.retain(step)
        yield time.process_time() - cpu, time.perf_counter() - wall - seconds, [case.step for case in step.cases]


def truth(env: Any) -> str:
    answer: str = env.format_answer(env.get_ground_truth())
    return answer


class Passes:
    """Counts and times what goes through the encoders; this checkout's only."""

    def __init__(self) -> None:
        self.cpu, self.texts, self.trained = 0.0, 0, 0

    def watch(self) -> None:
        from memory.pair_encoders import CrossEncoder, PairEncoder
        from memory.sentences import Sentences

        def watched(kind: Any, name: str, count: str, size: Any) -> None:
            real = getattr(kind, name)

            def timed(instance: Any, given: Any, *more: Any) -> Any:
                begin = time.process_time()
                try:
                    return real(instance, given, *more)
                finally:
                    self.cpu += time.process_time() - begin
                    setattr(self, count, getattr(self, count) + size(given))

            setattr(kind, name, timed)

        watched(Sentences, "encode", "texts", len)
        watched(CrossEncoder, "encode", "texts", len)
        watched(PairEncoder, "train_step", "trained", lambda chunks: sum(len(pairs) for pairs, _ in chunks))

    def since(self) -> dict[str, float]:
        """What came together since it was last asked."""
        seen = {"passes_cpu": self.cpu, "texts": self.texts, "trained": self.trained}
        self.cpu, self.texts, self.trained = 0.0, 0, 0
        return seen


def serve(settings: dict[str, Any]) -> None:
    passes = Passes()
    if settings.get("passes"):
        passes.watch()
    steps = steps_of(settings)
    for line in sys.stdin:
        played = [next(steps) for _ in range(int(line))]
        cpu, wall, cases = zip(*played)
        print(json.dumps({"cpu": sum(cpu), "wall": sum(wall), "cases": cases, **passes.since()}), flush=True)


if __name__ == "__main__":
    sys.path[0] = sys.argv[1]
    serve(json.loads(sys.argv[2]))
