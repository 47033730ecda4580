"""What the games share: one action a turn until the game is won, lost or out of turns.

`GameEnv` holds the dialogue; a `Game` is a simulator behind a few methods. The reward is 1 for a game won in time. The
answer, and so what a case shows later, is the transcript of the legal turns; its actions are enough to play the game
again, which is how a transcript that this step did not play itself is scored.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..base import Ask, Env, twin_of

if TYPE_CHECKING:
    from config import Config
    from llm import LLM

Row = dict[str, Any]
MAX_ACTION = 300  # characters; no action of these games is longer
NO_ACTION = "Your reply named no action, so nothing happened."
THOUGHT_HEARD = "OK."
LISTED = "\n\n<actions>\n"  # what stands between an observation and the list of admissible actions
_TAG = re.compile(r"\[?(think|thought|action)\s*[:\]]+[\s*:]*(.*)", re.IGNORECASE)


class Game(ABC):
    """A simulator with one running game. Attributes: `won`, and `over`, which no action can change any more."""

    won: bool = False
    over: bool = False

    def prepare(self, config: Config) -> None:
        """Take options and check that the simulator can run. Raises UserError that says what to install."""

    def details(self) -> dict[str, Any]:
        """What config.yaml should say of the simulator."""
        return {}

    @abstractmethod
    def check_row(self, row: Row, folder: Path) -> str | None:
        """What is wrong with a row whose file is in `folder`, or None; does not start the game."""

    @abstractmethod
    def start(self, row: Row, folder: Path) -> None:
        """Begin the row's game anew. Raises DataError where the row is not this game's."""

    def actions(self) -> list[str]:
        """The actions that are admissible now, where the game can list them."""
        return []

    @abstractmethod
    def play(self, action: str) -> tuple[str, bool]:
        """Carry out an action: (what is observed, whether it was legal). An illegal one changes nothing."""

    @abstractmethod
    def solution(self, row: Row, folder: Path) -> list[str]:
        """Actions that win the row's game, as its makers give them."""

    def close(self) -> None:
        """Stop the simulator."""


class GameEnv(Env):
    """A task played turn by turn. `react`: a reply may also hold a thought, which changes nothing in the game."""

    single_turn = False
    react: bool = False
    turn_limit: int = 30

    def __init__(self) -> None:
        super().__init__()
        self.game = self.make_game()
        self._games = [self.game]  # those of further instances too
        self._config: Config | None = None
        self._played: tuple[Row, str, bool] | None = None  # row, transcript and outcome of the latest game

    def make_game(self) -> Game:
        raise NotImplementedError

    def prepare(self, config: Config, make_llm: Callable[[Config], LLM]) -> None:
        self._config = config
        self.game.prepare(config)

    def another(self) -> GameEnv:
        """The same rows with a simulator of its own, which starts with its first game."""
        twin = twin_of(self)
        twin.game = self.make_game()
        if self._config is not None:
            twin.game.prepare(self._config)
        self._games.append(twin.game)
        return twin

    def details(self) -> dict[str, Any]:
        return self.game.details()

    def close(self) -> None:
        for game in self._games:
            game.close()

    def check_row(self, row: Row) -> str | None:
        return self.game.check_row(row, self.data_file.folder)

    # -- the dialogue ----------------------------------------------------------------------------------------------

    def interact(self, prompt: str, ask: Ask) -> str:
        """Play the game, one reply of the LLM a turn; returns the transcript of its legal turns.

        The admissible actions stand in the latest message only: those of earlier turns would only cost tokens.
        """
        self.turns = []
        self.game.start(self.row, self.data_file.folder)
        history: list[dict[str, str]] = []
        observation = prompt
        while not self.game.over and len(self.turns) < self.turn_limit:
            actions = self.game.actions()
            reply = ask([*history, {"role": "user", "content": observation + _listed(actions)}])
            history += [{"role": "user", "content": observation}, {"role": "assistant", "content": reply}]
            turn = self._take_turn(reply, actions)
            self.turns.append(turn)
            observation = turn["observation"]
        transcript = self.transcript(self.turns)
        self._played = self.row, transcript, self.game.won
        return transcript

    def _take_turn(self, reply: str, admissible: list[str]) -> dict[str, Any]:
        thought, action = read_reply(reply, admissible)
        if not self.react:  # a thought is then nothing but an action that does not exist
            thought, action = "", action or thought
        if action:
            observation, legal = self.game.play(action)
        else:
            observation, legal = (THOUGHT_HEARD, True) if thought else (NO_ACTION, False)
        turn = {"action": action, "observation": observation.strip(), "legal": legal}
        return {"thought": thought, **turn} if thought else turn

    # -- transcripts -----------------------------------------------------------------------------------------------

    def transcript(self, turns: list[dict[str, Any]]) -> str:
        """The legal turns as the prompt's cases show them."""
        lines = []
        for turn in turns:
            if turn["legal"]:
                lines += [self.prompts.THOUGHT + turn["thought"]] if turn.get("thought") else []
                lines += [self.prompts.ACTION + turn["action"]] if turn["action"] else []
                lines += [self.prompts.OBSERVATION + turn["observation"]]
        return "\n".join(lines)

    def extraction(self, text: str) -> str | None:
        """The transcript, or None where it holds no action."""
        return text.strip() if any(line.startswith(self.prompts.ACTION) for line in text.splitlines()) else None

    def reward_function(self, answer: str) -> int:
        if self._played is None or self._played[0] is not self.row or self._played[1] != answer:
            self._replay(answer)
        return int(self._played[2])

    def _replay(self, transcript: str) -> None:
        self.game.start(self.row, self.data_file.folder)
        for line in transcript.splitlines():
            is_action = line.startswith(self.prompts.ACTION) and not line.startswith(self.prompts.THOUGHT)
            if is_action and not self.game.over:
                self.game.play(line.removeprefix(self.prompts.ACTION))
        self._played = self.row, transcript, self.game.won

    def get_ground_truth(self) -> str:
        actions = self.game.solution(self.row, self.data_file.folder)
        return "\n".join(self.prompts.ACTION + action for action in actions)


def read_reply(reply: str, admissible: list[str]) -> tuple[str, str]:
    """The thought and the action in a reply, either of them "" where it has none.

    The action is the first line tagged as one; without tags the first line that is an admissible action, else the
    first line. What a model goes on to imagine after its action is ignored.
    """
    lines = [_clean(line) for line in reply.encode(errors="replace").decode().splitlines()]
    thought, untagged = "", []
    for line in filter(None, lines):
        tagged = _TAG.match(line)
        if tagged is None:
            untagged.append(line)
        elif tagged[1].lower() == "action":
            return thought, _clean(tagged[2])
        else:
            inner = tagged[2].partition("[Action]")
            thought = thought or inner[0].strip()
            if inner[2]:
                return thought, _clean(inner[2])
    allowed = {action.lower(): action for action in admissible}
    for line in untagged:
        if line.lower() in allowed:
            return thought, allowed[line.lower()]
    return thought, "" if thought or not untagged else untagged[0]


def _listed(actions: list[str]) -> str:
    """What a message says of the admissible actions."""
    lines = "\n".join(f"- {action}" for action in actions)
    return f"{LISTED}{lines}\n</actions>" if actions else ""


def _clean(line: str) -> str:
    """A line without the marks and quotes that models put around an action."""
    return " ".join(line.strip(" \t>*`\"'#-").removesuffix(".").split())[:MAX_ACTION]
