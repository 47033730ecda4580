"""Sample of bird: questions with evidence over three invented databases of untidy records (see bird_databases.py)."""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path

from .bird_databases import DATABASES
from .text_to_sql import Template, ask, fillings, write_database

PER_TEMPLATE = 4  # questions, where there are so many different ones

MONEY = "CAST(REPLACE(REPLACE(fee, '$', ''), ',', '') AS REAL)"
TONS = "CAST(REPLACE(REPLACE(tonnage, ',', ''), ' t', '') AS INTEGER)"
NUMBERS = "WITH RECURSIVE n(i) AS (SELECT {} UNION ALL SELECT i + {} FROM n WHERE i < {}) SELECT i FROM n"
WARD = {"ward": "SELECT DISTINCT ward FROM visit ORDER BY 1"}
INSURER = {"insurer": "SELECT DISTINCT trim(insurer) FROM patient WHERE insurer GLOB '*[A-Z]*[a-z]*' ORDER BY 1"}
CODE = {"code": "SELECT DISTINCT code FROM lab ORDER BY 1"}
GOODS = {"goods": "SELECT DISTINCT lower(trim(goods)) FROM cargo ORDER BY 1"}
COUNTY = {"county": "SELECT DISTINCT trim(county) FROM schools WHERE county GLOB '*[A-Z]*[a-z]*' ORDER BY 1"}
TYPE = {"type": "SELECT DISTINCT type FROM vessel ORDER BY 1"}
LEVEL = {"level": "SELECT DISTINCT level FROM schools ORDER BY 1"}

TEMPLATES = {
    "clinic": (
        Template(
            "SELECT count(*) FROM patient WHERE sex = 'F' AND lower(trim(insurer)) = lower({insurer})",
            ("How many female patients are insured with {insurer}?", "Count the women whose insurer is {insurer}."),
            INSURER,
            "female refers to sex = 'F'; insurers are written in any case and with stray blanks",
        ),
        Template(
            "SELECT fname, lname FROM patient WHERE CAST(strftime('%Y', birth) AS INTEGER) < {year} AND sex = 'M'",
            (
                "Give the full names of the male patients born before {year}.",
                "Which men were born earlier than {year}?",
            ),
            {"year": NUMBERS.format(1945, 5, 1985)},
            "full name refers to fname, lname; male refers to sex = 'M'; born before {year} refers to the "
            "year of birth < {year}",
        ),
        Template(
            f"SELECT avg({MONEY}) FROM visit WHERE ward = {{ward}}",
            ("What is the average fee of a stay on ward {ward}?", "How much does a visit to {ward} cost on average?"),
            WARD,
            "fee is text such as $1,250 and has to be turned into a number",
        ),
        Template(
            "SELECT count(*) FROM visit WHERE discharged IS NULL AND ward = {ward} AND admitted >= {since}",
            (
                "How many patients admitted to {ward} since {since} have not been sent home yet?",
                "Count the stays on {ward} that began on {since} or later and have not ended.",
            ),
            WARD | {"since": "SELECT DISTINCT substr(admitted, 1, 4) || '-01-01' FROM visit ORDER BY 1"},
            "not sent home refers to discharged IS NULL",
        ),
        Template(
            "SELECT DISTINCT patient.pid FROM patient JOIN visit ON patient.pid = visit.pid JOIN lab ON "
            "visit.vid = lab.vid "
            "WHERE lab.code = {code} AND lab.flag = '+' AND patient.blood = {blood}",
            (
                "List the ids of the patients of blood group {blood} with an abnormal {code}.",
                "Which patients with blood {blood} had a {code} out of range? Give their ids.",
            ),
            CODE | {"blood": "SELECT DISTINCT blood FROM patient WHERE blood IS NOT NULL ORDER BY 1"},
            "abnormal or out of range refers to flag = '+'; id refers to pid",
        ),
        Template(
            "SELECT max(julianday(discharged) - julianday(admitted)) FROM visit WHERE ward = {ward} "
            "AND strftime('%Y', admitted) = {year}",
            (
                "How many days did the longest finished stay on {ward} last that began in {year}?",
                "What is the longest stay in days of those that began in {year} on ward {ward}?",
            ),
            WARD | {"year": "SELECT DISTINCT strftime('%Y', admitted) FROM visit ORDER BY 1"},
            "stay in days refers to julianday(discharged) - julianday(admitted)",
        ),
        Template(
            "SELECT ward FROM visit GROUP BY ward HAVING count(DISTINCT pid) > {few}",
            (
                "Which wards treated more than {few} different patients?",
                "Name the wards with over {few} different patients.",
            ),
            {"few": NUMBERS.format(12, 1, 20)},
            "different patients refers to distinct pid",
        ),
        Template(
            "SELECT 100.0 * sum(value IS NULL) / count(*) FROM lab WHERE code = {code}",
            (
                "What percentage of the {code} tests has no result?",
                "How many per cent of the {code} results are missing?",
            ),
            CODE,
            "percentage refers to tests whose value IS NULL divided by all tests of the code, times 100",
        ),
        Template(
            "SELECT patient.lname, lab.value FROM lab JOIN visit ON lab.vid = visit.vid JOIN patient ON "
            "visit.pid = patient.pid "
            "WHERE lab.code = {code} AND lab.value > {k} * (SELECT avg(value) FROM lab WHERE code = {code})",
            (
                "Who had a {code} more than {k} times its average? Give the last name and the value.",
                "List last name and value of the {code} results that exceed {k} times the mean {code}.",
            ),
            CODE | {"k": "VALUES (1.2), (1.3), (1.5)"},
            "the average is over all values of the code; last name refers to lname",
        ),
        Template(
            "SELECT pid FROM visit WHERE ward = {ward} EXCEPT SELECT pid FROM visit WHERE ward <> {ward}",
            (
                "Which patients were only ever on ward {ward}? Give their pid.",
                "List the pid of those who saw no ward but {ward}.",
            ),
            WARD,
            "only on a ward refers to having no visit with another ward",
        ),
    ),
    "harbour": (
        Template(
            f"SELECT trim(name) FROM vessel WHERE type = {{type}} AND {TONS} > {{tons}}",
            ("Name the vessels of type {type} above {tons} tons.", "Which {type} ships are larger than {tons} tons?"),
            TYPE | {"tons": NUMBERS.format(10000, 5000, 70000)},
            "tonnage is text such as 12,345 t; names have stray blanks, give them without",
        ),
        Template(
            "SELECT count(*) FROM vessel WHERE flag = {flag} AND (built IS NULL OR built < {year})",
            (
                "How many ships under flag {flag} are not known to have been built in {year} or later?",
                "Count the {flag} vessels built before {year} or in an unknown year.",
            ),
            {"flag": "SELECT DISTINCT flag FROM vessel ORDER BY 1", "year": NUMBERS.format(1995, 5, 2015)},
            "an unknown year of building is built IS NULL",
        ),
        Template(
            "SELECT sum(kg) / 1000 FROM cargo WHERE lower(trim(goods)) = {goods} AND direction = {way}",
            (
                "How many tonnes of {goods} were handled in direction {way}?",
                "What is the weight in tonnes of all {goods} with direction {way}?",
            ),
            GOODS | {"way": "VALUES ('I'), ('O')"},
            "I is inward and O outward; a tonne is 1000 kg; goods are written in any case and with stray blanks",
        ),
        Template(
            "SELECT count(*) FROM cargo WHERE haz = 'Y' AND lower(trim(goods)) = {goods}",
            ("How many loads of {goods} are marked as hazardous?", "Count the hazardous {goods} cargoes."),
            GOODS,
            "hazardous refers to haz = 'Y'; anything else, also nothing, is not hazardous",
        ),
        Template(
            "SELECT berth, sum(dues) FROM port_call WHERE strftime('%m', arrived) BETWEEN {first} AND {last} "
            "GROUP BY berth",
            (
                "What did each berth earn from ships that arrived in months {first} to {last}?",
                "For each berth, add up the dues of the arrivals from month {first} through month {last}.",
            ),
            {"first": "VALUES ('01'), ('02'), ('04')", "last": "VALUES ('06'), ('08'), ('09'), ('12')"},
            "earnings refer to dues; the month is that of arrived",
        ),
        Template(
            "SELECT call_id FROM port_call WHERE berth = {berth} AND julianday(departed) - julianday(arrived) > {days}",
            (
                "Which calls at berth {berth} took more than {days} days?",
                "List the call ids at {berth} where the ship stayed over {days} days.",
            ),
            {"berth": "SELECT DISTINCT berth FROM port_call ORDER BY 1", "days": NUMBERS.format(2, 1, 6)},
            "the stay refers to julianday(departed) - julianday(arrived)",
        ),
        Template(
            "SELECT DISTINCT upper(trim(vessel.name)) FROM vessel JOIN port_call ON vessel.imo = port_call.imo "
            "JOIN cargo ON port_call.call_id = cargo.call_id WHERE lower(trim(cargo.goods)) = {goods}",
            (
                "Which ships carried {goods}? Write the names in capitals.",
                "Name, in capitals, every vessel with {goods} aboard.",
            ),
            GOODS,
            "goods are written in any case and with stray blanks; names in capitals and without stray blanks",
        ),
        Template(
            "SELECT imo FROM vessel WHERE type = {type} AND imo NOT IN (SELECT imo FROM port_call WHERE "
            "berth = {berth})",
            (
                "Which {type} vessels never used berth {berth}? Give the IMO.",
                "List the IMO of each {type} ship not seen at {berth}.",
            ),
            TYPE | {"berth": "SELECT DISTINCT berth FROM port_call ORDER BY 1"},
            "IMO refers to imo",
        ),
        Template(
            "SELECT vessel.imo, count(*) FROM vessel JOIN port_call ON vessel.imo = port_call.imo WHERE "
            "vessel.type = {type} "
            "GROUP BY vessel.imo HAVING count(*) >= {few}",
            (
                "Give the IMO and the number of calls of the {type} ships that called at least {few} times.",
                "Which {type} vessels came {few} times or more? Show IMO and number of calls.",
            ),
            TYPE | {"few": NUMBERS.format(3, 1, 5)},
            "a call is a row of port_call",
        ),
        Template(
            "SELECT goods, kg FROM cargo WHERE kg IS NOT NULL AND direction = {way} ORDER BY kg DESC{tie} LIMIT {few}",
            (
                "What are the {few} heaviest loads with direction {way}? Give goods as written and kg.",
                "List goods as written and weight of the top {few} cargoes of direction {way}.",
            ),
            {"way": "VALUES ('I'), ('O')", "few": NUMBERS.format(2, 1, 6)},
            "weight refers to kg; a missing weight does not count",
        ),
    ),
    "school_district": (
        Template(
            "SELECT count(*) FROM schools WHERE lower(trim(county)) = lower({county}) AND charter = 1",
            ("How many charter schools are in {county} county?", "Count the charter schools of {county}."),
            COUNTY,
            "charter school refers to charter = 1; counties are written in any case and with stray blanks",
        ),
        Template(
            "SELECT schools.name FROM schools JOIN meals ON schools.code = meals.code WHERE schools.level = {level} "
            "AND CAST(meals.free_count AS REAL) / meals.enrollment > {share}",
            (
                "Which schools of level {level} have a share of free meals above {share}?",
                "Name the level {level} schools whose eligible free rate is over {share}.",
            ),
            LEVEL | {"share": "VALUES (0.25), (0.4), (0.5), (0.6), (0.75)"},
            "share of free meals, or eligible free rate = free_count / enrollment",
        ),
        Template(
            "SELECT name, phone FROM schools WHERE phone IS NOT NULL AND lower(trim(county)) = "
            "lower({county}) AND level = {level}",
            (
                "Give name and phone of the level {level} schools of {county} that have a phone.",
                "List the known phone numbers of schools of level {level} in {county}, with the names first.",
            ),
            COUNTY | LEVEL,
            "counties are written in any case and with stray blanks; a missing phone is NULL",
        ),
        Template(
            "SELECT schools.name FROM schools JOIN scores ON schools.code = scores.code WHERE scores.year = {year} "
            "AND scores.avg_math IS NOT NULL ORDER BY scores.avg_math DESC{tie} LIMIT {few}",
            (
                "Which {few} schools led in maths in {year}?",
                "Name the top {few} schools by average maths score in {year}.",
            ),
            {"year": "SELECT DISTINCT year FROM scores ORDER BY 1", "few": NUMBERS.format(1, 1, 4)},
            "the maths score refers to avg_math; schools without one are left out",
        ),
        Template(
            "SELECT sum(scores.takers * scores.avg_read) / sum(scores.takers) FROM scores JOIN schools "
            "ON scores.code = schools.code WHERE scores.avg_read IS NOT NULL AND schools.level = {level} AND "
            "scores.year = {year}",
            (
                "What was the reading average over all test takers at level {level} in {year}?",
                "Give the {year} reading mean of level {level}, weighted by test takers.",
            ),
            LEVEL | {"year": "SELECT DISTINCT year FROM scores ORDER BY 1"},
            "average over test takers = sum(takers * avg_read) / sum(takers), over rows with a reading score",
        ),
        Template(
            "SELECT name FROM schools WHERE opened < {date} AND charter IS NULL",
            (
                "Which schools opened before {date} have no charter status on record?",
                "Name schools of unknown charter status opened before {date}.",
            ),
            {"date": "VALUES ('1970-01-01'), ('1980-01-01'), ('1990-01-01'), ('2000-01-01')"},
            "unknown charter status refers to charter IS NULL",
        ),
        Template(
            "SELECT lower(trim(county)), count(*) FROM schools WHERE level = {level} GROUP BY lower(trim(county))",
            (
                "How many schools of level {level} has each county? Write counties in small letters.",
                "Count the level {level} schools by county, in small letters.",
            ),
            LEVEL,
            "counties are written in any case and with stray blanks and have to be made equal first",
        ),
        Template(
            "SELECT code FROM scores WHERE year = {a} INTERSECT SELECT code FROM scores WHERE year = {b} AND "
            "takers > {n}",
            (
                "Which school codes have scores for {a} and, with more than {n} takers, for {b}?",
                "Give the codes of schools tested in {a} that had over {n} takers in {b}.",
            ),
            {"a": "VALUES (2021)", "b": "VALUES (2022), (2023)", "n": NUMBERS.format(40, 30, 190)},
            "tested in a year refers to a row of scores for it",
        ),
        Template(
            "SELECT max(enrollment) - min(enrollment) FROM meals JOIN schools ON meals.code = schools.code "
            "WHERE level = {level}",
            (
                "By how many pupils do the largest and the smallest school of level {level} differ?",
                "What is the range of enrollment at level {level}?",
            ),
            LEVEL,
            "the size of a school, its pupils, refers to enrollment",
        ),
        Template(
            "SELECT schools.name, scores.avg_math - scores.avg_read FROM schools JOIN scores ON schools.code "
            "= scores.code "
            "WHERE scores.year = {year} AND scores.avg_math > scores.avg_read + {gap}",
            (
                "Which schools did more than {gap} points better in maths than in reading in {year}, and by how much?",
                "Show name and lead of maths over reading, where above {gap} points in {year}.",
            ),
            {"year": "SELECT DISTINCT year FROM scores ORDER BY 1", "gap": "VALUES (50), (80), (100), (120)"},
            "the lead refers to avg_math - avg_read",
        ),
    ),
}


def rows(rng: random.Random, folder: Path) -> list[dict[str, str]]:
    """Write the databases under `folder`/source/dev_databases and return the questions, shuffled."""
    questions = []
    for name, (schema, fill) in DATABASES.items():
        path = folder / "source" / "dev_databases" / name / f"{name}.sqlite"
        write_database(path, schema, fill(rng))
        connection = sqlite3.connect(path)
        asked: set[str] = set()
        for template in TEMPLATES[name]:
            for question, sql, evidence in ask(fillings(template, connection, rng), PER_TEMPLATE, connection, asked):
                questions.append({"task": question, "evidence": evidence, "db_id": name, "SQL": sql})
        connection.close()
    rng.shuffle(questions)
    return questions
