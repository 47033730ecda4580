"""The invented hospital of the ehr sample: a hundred patients in MIMIC-III's 17 tables, with the columns of EHRSQL."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from .facts import load_facts

facts = load_facts("ehr")
PATIENTS = 100
NOW = datetime(2105, 12, 31, 23, 59)

Row = tuple[Any, ...]


class Hospital:
    """Tables that fill up patient by patient; `tables` maps a table to its rows, ROW_ID first."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.tables: dict[str, list[Row]] = {name: [] for name in facts.columns}
        self._write_dictionaries()
        self._stay_numbers = iter(rng.sample(range(200_000, 300_000), 1_000))
        visits = iter(rng.sample(range(100_000, 200_000), 1_000))
        for subject in sorted(rng.sample(range(10_000, 99_999), PATIENTS)):
            self._add_patient(subject, [next(visits) for _ in range(rng.choice((1, 1, 1, 2, 2)))])

    def _add(self, table: str, *values: Any) -> int:
        """Append a row and return its ROW_ID; times become text."""
        row_id = len(self.tables[table]) + 1
        self.tables[table].append((row_id, *(str(v) if isinstance(v, datetime) else v for v in values)))
        return row_id

    def _write_dictionaries(self) -> None:
        for table, entries in (("d_icd_diagnoses", facts.diagnoses), ("d_icd_procedures", facts.procedures)):
            for entry in entries:
                self._add(table, *entry)
        for item, label, *_ in facts.labs:
            self._add("d_labitems", item, label)
        linked_items = {"chartevents": facts.vitals, "inputevents_cv": facts.inputs, "outputevents": facts.outputs}
        for linked, items in linked_items.items():
            for item, label, *_ in items:
                self._add("d_items", item, label, linked)

    def _add_patient(self, subject: int, visits: list[int]) -> None:
        rng = self._rng
        born = datetime(rng.randint(2015, 2084), rng.randint(1, 12), rng.randint(1, 28))
        starts = sorted(self._moment(datetime(2100, 2, 1), NOW - timedelta(days=3)) for _ in visits)
        person = (rng.choice(facts.insurances), rng.choice(facts.languages))
        person += (rng.choice(facts.marital_statuses), rng.choice(facts.ethnicities))
        end: datetime | None = None
        for visit, start in zip(visits, starts):
            if end is not None and start <= end:
                start = end + timedelta(days=rng.randint(2, 60))
            if start < NOW:
                end = start + timedelta(hours=rng.randint(30, 24 * 14))
                self._add_visit(subject, visit, start, end, (start - born).days // 365, person)
        died = end is not None and end < NOW and rng.random() < 0.2
        self._add("patients", subject, rng.choice("fm"), born, end if died else None)

    def _add_visit(self, subject: int, visit: int, start: datetime, end: datetime, age: int, person: Row) -> None:
        """One hospital visit with all that happened in it; what lies after NOW has not happened."""
        rng = self._rng
        over = end < NOW
        last = min(end, NOW)
        kind, place = rng.choice(facts.admission_types), rng.choice(facts.admission_locations)
        goal = rng.choice(facts.discharge_locations) if over else None
        self._add("admissions", subject, visit, start, end if over else None, kind, place, goal, *person, age)
        who = (subject, visit)
        for table, entries, most in (("diagnoses_icd", facts.diagnoses, 5), ("procedures_icd", facts.procedures, 3)):
            for code, *_ in rng.sample(entries, rng.randint(most // 3, most)):
                moment = self._moment(start, last)
                self._charge(who, table, self._add(table, *who, code, moment), moment)
        for item, _, unit, bounds in rng.sample(facts.labs, 4):
            for _ in range(rng.randint(1, 3)):
                moment = self._moment(start, last)
                row = self._add("labevents", *who, item, moment, self._draw(bounds), unit)
                self._charge(who, "labevents", row, moment)
        for drug, doses, unit, route in rng.sample(facts.drugs, rng.randint(2, 5)):
            moment = self._moment(start, last)
            stop = min(last, moment + timedelta(days=rng.randint(1, 5)))
            row = self._add("prescriptions", *who, moment, stop, drug, rng.choice(doses), unit, route)
            self._charge(who, "prescriptions", row, moment)
        for specimen in rng.sample(facts.specimens, rng.randint(0, 2)):
            self._add("microbiologyevents", *who, self._moment(start, last), specimen, rng.choice(facts.organisms))
        self._add_transfers(who, start, end)

    def _add_transfers(self, who: Row, start: datetime, end: datetime) -> None:
        """From ward to intensive care (mostly) and out."""
        rng = self._rng
        ward, unit = rng.randint(1, 57), rng.choice(facts.care_units)
        if rng.random() < 0.35:
            self._add("transfers", *who, None, "admit", None, ward, start, self._past(end))
        else:
            stay = next(self._stay_numbers)
            moved = start + (end - start) * rng.uniform(0.1, 0.4)
            moved = moved.replace(microsecond=0)
            back = (moved + (end - moved) * rng.uniform(0.4, 0.8)).replace(microsecond=0)
            self._add("transfers", *who, None, "admit", None, ward, start, self._past(moved))
            if moved < NOW:
                out = self._past(back)
                self._add("transfers", *who, stay, "transfer", unit, rng.randint(1, 57), moved, out)
                self._add("icustays", *who, stay, unit, unit, ward, ward, moved, out)
                self._add_care((*who, stay), moved, min(back, NOW))
            if back < NOW:
                self._add("transfers", *who, None, "transfer", None, ward, back, self._past(end))
        if end < NOW:
            self._add("transfers", *who, None, "discharge", None, None, end, None)

    def _add_care(self, who: Row, start: datetime, end: datetime) -> None:
        """What intensive care charts, gives and measures."""
        for item, _, unit, bounds in facts.vitals:
            for _ in range(3):
                self._add("chartevents", *who, item, self._moment(start, end), self._draw(bounds), unit)
        for table, items in (("inputevents_cv", facts.inputs), ("outputevents", facts.outputs)):
            for item, _, bounds in self._rng.sample(items, 2):
                for _ in range(self._rng.randint(1, 3)):
                    self._add(table, *who, self._moment(start, end), item, round(self._rng.uniform(*bounds)))

    def _charge(self, who: Row, table: str, row: int, moment: datetime) -> None:
        self._add("cost", *who, table, row, moment, round(self._rng.uniform(*facts.prices[table]), 2))

    def _moment(self, start: datetime, end: datetime) -> datetime:
        return start + timedelta(seconds=self._rng.randint(1, max(1, int((end - start).total_seconds()) - 1)))

    def _past(self, moment: datetime) -> datetime | None:
        return moment if moment < NOW else None

    def _draw(self, bounds: Sequence[float]) -> float:
        value = self._rng.uniform(*bounds)
        return round(value, 1) if bounds[1] < 60 else float(round(value))
