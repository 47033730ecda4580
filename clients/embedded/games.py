"""How the embedded reader plays a game: it follows a shown transcript, else takes the action most like the goal.

It knows nothing of the games. A shown action is rewritten by the words in which the two goals differ and done where it
is possible; where it is not, the reader goes on to places where it has not been. Without a transcript to follow it
takes the possible action most similar to the goal, less so the oftener it has done it. Where a game does not list its
actions, the candidates are put together from the verbs of the prompt and the things that the last observation names.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable

import numpy as np

from llm import Message

Encode = Callable[[list[str]], np.ndarray]
REPEATED = 0.2  # how much similarity a candidate loses each time it was done before
IDLE = ("help", "inventory", "look", "examine")  # actions that change nothing
NOT_THINGS = set(
    "a an the is be located first then some two and it them in on of to with under at "
    "put find look examine heat hot cool clean".split()
)
EXPLORE = ("open", "go")
_LISTED = re.compile(r"<actions>(.*?)</actions>", re.S)
_GOAL = re.compile(r"[Yy]our task is to:? *(.+?)(?:\n|$)")
_THING = re.compile(r"^[ \t]+(?:an? |the )?(?:substance called )?([a-z][\w ]*?)(?= ?[.,(]|$)", re.M)
_TARGET = re.compile(
    r"\b(?:\w+ box|outside|kitchen|workshop|hallway|bedroom|greenhouse|living room|bathroom|art studio)\b"
)


def plays(messages: list[Message]) -> bool:
    """Whether the conversation is a game's."""
    return "<actions>" in messages[-1]["content"] or "\n[Action] " in messages[0]["content"]


def game_reply(task: str, case: tuple[str, str] | None, messages: list[Message], encode: Encode) -> str:
    """The next action, tagged as the prompt asks. `case` is the shown task most similar to this one and its answer."""
    tag = "[Action] " if "\n[Action] " in messages[0]["content"] else "> "
    done = [message["content"].removeprefix(tag) for message in messages if message["role"] == "assistant"]
    listed = _LISTED.search(messages[-1]["content"])
    possible = [line[2:] for line in listed[1].splitlines() if line.startswith("- ")] if listed else None
    plan = _rewritten(case, task, tag) if case else []
    told = [task] + [message["content"] for message in messages[1:] if message["role"] == "user"]
    if possible is None:
        action = _repeat(plan, done, "\n".join(told))
    else:
        action = _follow(plan, done, possible, encode)
    if action is None:
        action = _most_like(_goal(task), possible or _candidates(task, told[-1], done), done, encode)
    return tag + action


def _goal(task: str) -> str:
    found = _GOAL.search(task)
    return found[1] if found else task


def _rewritten(case: tuple[str, str], task: str, tag: str) -> list[str]:
    """The case's actions with the words that only its goal has exchanged for those that only the new goal has."""
    old, new = (re.findall(r"[\w-]+", _goal(text).lower()) for text in (case[0], task))
    only_old = [word for word in old if word not in new and word not in NOT_THINGS]
    only_new = [word for word in new if word not in old and word not in NOT_THINGS]
    exchange = dict(zip(only_old, only_new))
    lines = [line.removeprefix(tag) for line in case[1].splitlines() if line.startswith(tag)]
    actions = _to_the_point([line for line in lines if not line.startswith("think:")])
    return [" ".join(exchange.get(word, word) for word in action.split(" ")) for action in actions]


def _to_the_point(actions: list[str]) -> list[str]:
    """The actions without the places that were left again with nothing done there."""
    kept: list[str] = []
    for action in reversed(actions):
        leaving = bool(kept) and _verb(kept[-1]) == "go"
        if _verb(action) not in (*IDLE, "close") and not (leaving and _verb(action) in EXPLORE):
            kept.append(action)
    return kept[::-1]


def _repeat(plan: list[str], done: list[str], told: str) -> str | None:
    """The plan's next action where all before were the plan's too and what it names has been seen, else None."""
    if done != plan[: len(done)] or len(done) == len(plan):
        return None
    step = plan[len(done)]
    seen = set(re.findall(r"[\w-]+", told))
    return step if _verb(step) in ("go", "teleport") or seen.issuperset(_things(step)) else None


def _follow(plan: list[str], done: list[str], possible: list[str], encode: Encode) -> str | None:
    """The plan's next action in its nearest possible form, or a step to somewhere new, or None at the plan's end."""
    position = 0
    for action in done:
        if position < len(plan) and _verb(action) == _verb(plan[position]):
            position += 1
    ahead = plan[position : position + 2]
    if ahead and _verb(ahead[0]) != "open":  # what is to be opened may be open here, or have no door: then go on
        del ahead[1:]
    for step in ahead:
        if step in possible:
            return step
        alike = [action for action in possible if action.split()[:2] == step.split()[:2] and action not in done]
        if alike:
            return alike[int(np.argmax(encode(alike) @ encode([step])[0]))]
    if position == len(plan):
        return None
    new = [action for verb in EXPLORE for action in possible if _verb(action) == verb and action not in done]
    return new[0] if new else None


def _verb(action: str) -> str:
    return action.split(" ")[0]


def _most_like(goal: str, candidates: list[str], done: list[str], encode: Encode) -> str:
    """The candidate most similar to the goal that does nothing to things it does not name nor undoes the last one."""
    words = set(re.findall(r"[\w-]+", goal.lower()))
    last = sorted(_things(done[-1])) if done else []

    def sensible(action: str) -> bool:
        things = _things(action)
        return _verb(action) in EXPLORE or bool(words & set(things[:1])) and sorted(things) != last

    useful = [action for action in candidates if _verb(action) not in IDLE and sensible(action)] or candidates
    times = Counter(done)
    penalty = np.array([REPEATED * times[action] for action in useful])
    return useful[int(np.argmax(encode(useful) @ encode([goal])[0] - penalty))]


def _things(action: str) -> list[str]:
    """What an action names: its words but for the verb and those between the things."""
    return [word for word in action.split()[1:] if word not in ("to", "from", "with", "on", "up", "in")]


def _candidates(task: str, observation: str, done: list[str]) -> list[str]:
    """Actions on what the last observation names and the task asks for: focus on a thing, then take it to its place."""
    targets = dict.fromkeys(_TARGET.findall(_goal(task)))
    moves = [f"teleport to {target}" for target in targets if not target.endswith("box")]
    moves = [action for action in moves if action not in done]
    focused = [action.removeprefix("focus on ") for action in done if action.startswith("focus on ")]
    if not focused:
        things = dict.fromkeys(thing.strip() for thing in _THING.findall(observation))
        focuses = [f"focus on {thing}" for thing in things if thing not in targets and thing != "agent"]
        return [*focuses, *moves, "look around"]
    if f"pick up {focused[0]}" not in done:
        return [f"pick up {focused[0]}"]
    boxes = [target for target in targets if target.endswith("box")]
    return moves or [f"move {focused[0]} to {box}" for box in boxes] or ["look around"]
