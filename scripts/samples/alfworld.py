"""Sample of alfworld: invented households with one task each, in the installed package's domain and goals.

A game's file holds its PDDL problem, its goal's wording and a walkthrough; the rules and texts of the domain are the
package's and are added when it is played. Every walkthrough has won its game on the engine before it is written.
"""

from __future__ import annotations

import itertools
import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from env.alfworld import HouseholdGame, first_observation

from .facts import load_facts

facts = load_facts("alfworld")
GAMES_A_GOAL = 8
CLUTTER = 12  # objects beside those of the task, in each game


@dataclass(frozen=True)
class Thing:
    """A receptacle or an object. `id` is its PDDL name, from which the package makes the name that players see."""

    kind: str
    id: str

    @property
    def slot(self) -> str:
        """What stands for its name in an action until the engine has given it one."""
        return f"{{{self.id.lower()}}}"


@dataclass
class House:
    """A room with its receptacles, and where each object is."""

    room: str
    receptacles: list[Thing]
    places: dict[Thing, Thing]

    def of_kind(self, kind: str) -> list[Thing]:
        return [receptacle for receptacle in self.receptacles if receptacle.kind == kind]


@dataclass(frozen=True)
class Quest:
    """A task in a house: the objects that count, where to (a kind, or the lamp), and the goal's kind."""

    goal: str
    target: str
    destination: str
    objects: list[Thing]


def rows(rng: random.Random, folder: Path) -> list[dict[str, Any]]:
    engine = HouseholdGame()
    (folder / "games").mkdir(exist_ok=True)
    result = []
    for goal, setting in facts.goals.items():
        rooms = setting["rooms"]
        told: set[str] = set()
        for number in range(GAMES_A_GOAL):
            game = draw_game(goal, rooms[number % len(rooms)], rng, told)
            task = first_observation(engine.begin(game).feedback)
            game["walkthrough"] = [action.format(**engine.names()) for action in game["walkthrough"]]
            play_through(engine, game)
            name = f"games/{goal}-{number + 1}.json"
            (folder / name).write_text(json.dumps(game, indent=0) + "\n", encoding="utf-8")
            result.append({"task": task, "game_file": name})
    rng.shuffle(result)
    return result


def play_through(engine: HouseholdGame, game: dict[str, Any]) -> None:
    """Raises AssertionError where the walkthrough does not win, and win with its last action only."""
    engine.begin(game)
    for action in game["walkthrough"]:
        assert not engine.over, game["goal"]
        assert engine.play(action)[1], f"{game['goal']}: {action}"
    assert engine.won, game["goal"]


def draw_game(goal: str, room: str, rng: random.Random, told: set[str]) -> dict[str, Any]:
    """A game whose goal, in words, is not in `told` yet; it is added. Its walkthrough has slots for names."""
    from alfworld.gen.goal_library import gdict

    while True:
        target, destination = draw_goal(goal, room, rng)
        names = {"obj": target.lower(), "recep": destination.lower(), "toggle": destination.lower()}
        wording = rng.choice(gdict[goal]["templates"]).format(**names)
        if wording not in told:
            break
    told.add(wording)
    house, quest = furnish(goal, room, target, destination, rng)
    condition = gdict[goal]["pddl"].format(obj=target, recep=destination, toggle=destination).replace("#", "-")
    return {"goal": wording, "pddl_problem": problem(house, condition), "walkthrough": walkthrough(house, quest)}


def draw_goal(goal: str, room: str, rng: random.Random) -> tuple[str, str]:
    """(the kind of object, the kind of receptacle or lamp) of a task that can be set in the room."""
    treatment = facts.goals[goal]["treatment"]
    choices = []
    for kind, traits in facts.objects.items():
        here = [holder for holder in traits["holders"] if holder in facts.rooms[room]]
        if len(here) < 2 or treatment not in ["", *traits["treatments"]]:
            continue
        if goal == "look_at_obj_in_light":
            choices.append((kind, facts.lamps[room]))
        else:
            choices += [(kind, holder) for holder in here if holder != facts.treated_at.get(treatment)]
    return rng.choice(choices)


def furnish(goal: str, room: str, target: str, destination: str, rng: random.Random) -> tuple[House, Quest]:
    """A house for the task, cluttered with other objects; the task's are not where they have to go."""
    numbers = itertools.count(1)
    kinds = [kind for kind, count in facts.rooms[room].items() for _ in range(count)]
    house = House(room, [Thing(kind, receptacle_id(kind, next(numbers))) for kind in kinds], {})

    def put(kind: str, holders: list[str]) -> Thing:
        thing = Thing(kind, f"{kind}_bar_{next(numbers):02d}")
        house.places[thing] = rng.choice([place for place in house.receptacles if place.kind in holders])
        return thing

    for lamp in [facts.lamps[room]] if room in facts.lamps else []:
        put(lamp, facts.lamp_places[lamp])
    holders = [kind for kind in facts.objects[target]["holders"] if kind != destination]
    objects = [put(target, holders) for _ in range(2 if goal == "pick_two_obj_and_place" else 1)]
    for kind in rng.choices([kind for kind in facts.objects if kind != target], k=CLUTTER):
        if set(facts.objects[kind]["holders"]) & set(facts.rooms[room]):
            put(kind, facts.objects[kind]["holders"])
    return house, Quest(goal, target, destination, objects)


def receptacle_id(kind: str, number: int) -> str:
    """The package names what has "basin" in its id after its first part and "basin"."""
    return f"Sink_bar_{number:02d}_bar_SinkBasin" if kind == "SinkBasin" else f"{kind}_bar_{number:02d}"


def walkthrough(house: House, quest: Quest) -> list[str]:
    """The actions that do the task, with a slot for each thing's name."""
    actions: list[str] = []
    visited: list[Thing] = []
    opened: set[Thing] = set()

    def visit(place: Thing, inside: bool = True) -> None:
        if visited[-1:] != [place]:
            actions.append(f"go to {place.slot}")
        visited.append(place)
        if inside and place.kind in facts.openable and place not in opened:
            actions.append(f"open {place.slot}")
            opened.add(place)

    lamp = next((thing for thing in house.places if thing.kind == quest.destination), None)
    goal = house.places[lamp] if lamp else house.of_kind(quest.destination)[0]
    treatment = facts.goals[quest.goal]["treatment"]
    for thing in quest.objects:
        visit(house.places[thing])
        actions.append(f"take {thing.slot} from {house.places[thing].slot}")
        if treatment:
            station = house.of_kind(facts.treated_at[treatment])[0]
            visit(station, inside=False)
            actions.append(f"{treatment} {thing.slot} with {station.slot}")
        visit(goal)
        actions.append(f"use {lamp.slot}" if lamp else f"move {thing.slot} to {goal.slot}")
    return actions


def problem(house: House, condition: str) -> str:
    """The PDDL problem; `condition` is the goal, which closes the problem too."""
    kinds = {*facts.objects, *facts.lamps.values(), "Knife", "ButterKnife"}
    holders = {kind for room in facts.rooms.values() for kind in room}
    places = {place: f"loc_bar_{number:02d}" for number, place in enumerate(house.receptacles, start=1)}
    objects = ["agent1 - agent", "loc_bar_00 - location"]
    objects += [f"{kind}Type - otype" for kind in sorted(kinds)] + [f"{kind}Type - rtype" for kind in sorted(holders)]
    init = ["(atLocation agent1 loc_bar_00)"]
    for place, location in places.items():
        objects += [f"{location} - location", f"{place.id} - receptacle"]
        init += [f"(receptacleType {place.id} {place.kind}Type)", f"(receptacleAtLocation {place.id} {location})"]
        init += [f"(openable {place.id})"] if place.kind in facts.openable else []
    for thing, place in house.places.items():
        objects.append(f"{thing.id} - object")
        init += [f"(objectType {thing.id} {thing.kind}Type)", f"(inReceptacle {thing.id} {place.id})"]
        init.append(f"(objectAtLocation {thing.id} {places[place]})")
        if thing.kind in facts.objects:
            init.append(f"(pickupable {thing.id})")
            init += [f"({treatment}able {thing.id})" for treatment in facts.objects[thing.kind]["treatments"]]
        else:
            init.append(f"(toggleable {thing.id})")
    here = {place.kind for place in house.receptacles}
    for kind in sorted({thing.kind for thing in house.places} & set(facts.objects)):
        init += [f"(canContain {holder}Type {kind}Type)" for holder in facts.objects[kind]["holders"] if holder in here]
    head = ["(define (problem sample)", "(:domain alfred)", "(:objects"]
    return "\n".join([*head, *objects, ")", "(:init", *init, ")", condition])
