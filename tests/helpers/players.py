"""Players of the games for the tests: what stands where the LLM would."""

from __future__ import annotations

import re
from typing import Any

from env.families.game import GameEnv
from llm import LLM, Reply

NONSENSE = ["", "go to mars", "\ud800", "{}", "0", "> ", "[Action]", "think", "a" * 100_000, "I'd rather not.\n", "\0"]


class Player:
    """A client that answers from a list in turn, over and over; `conversations` keeps what it was asked."""

    def __init__(self, replies: list[str]) -> None:
        self.replies = replies
        self.conversations: list[list[dict[str, Any]]] = []

    def details(self) -> dict[str, Any]:
        return {}

    def request(
        self, messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None, step: int, call: int
    ) -> dict[str, Any]:
        return {"messages": messages}

    def complete(self, request: dict[str, Any]) -> Reply:
        self.conversations.append(request["messages"])
        return Reply(self.replies[(len(self.conversations) - 1) % len(self.replies)])


class CaseFollower(Player):
    """Takes the actions of the case in its prompt, one after another, and knows nothing else."""

    def __init__(self, tag: str) -> None:
        super().__init__([])
        self.tag = tag

    def complete(self, request: dict[str, Any]) -> Reply:
        messages = request["messages"]
        shown = re.search(r"<answer>\n(.*?)\n</answer>", messages[0]["content"], re.S)[1]
        actions = [line for line in shown.splitlines() if line.startswith(self.tag)]
        return Reply(actions[sum(message["role"] == "assistant" for message in messages) % len(actions)])


def play(env: GameEnv, player: Player, prompt: str | None = None) -> tuple[Any, int]:
    """Let a player play the current game; returns what `evaluate` does."""
    return env.evaluate(env.interact(prompt or env.get_zero_shot_prompt(env.observe()), LLM(player)))


def wins_again(env: GameEnv, transcript: str) -> bool:
    """Whether the transcript, shown as a case, is all that winning the current game takes."""
    prompt = env.get_case_based_prompt(env.observe(), [{"task": env.observe(), "answer": transcript}])
    return play(env, CaseFollower(env.prompts.ACTION), prompt)[1] == 1
