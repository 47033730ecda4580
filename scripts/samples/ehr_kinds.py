"""The kinds of questions of the ehr sample."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind: its wordings, the SQL that lists fillings of the {slots}, the SQL of the answer, and a script.

    The answer's SQL gives one value, or several where the kind is for `many`; a result that differs from row to row
    otherwise (a tie) makes no question.
    """

    wordings: tuple[str, ...]
    slots: str
    sql: str
    script: str
    many: bool = False
    yes_or_no: bool = False


PATIENT = "SELECT SUBJECT_ID AS patient FROM patients"
PATIENT_LAB = "SELECT DISTINCT SUBJECT_ID AS patient, LABEL AS lab FROM labevents JOIN d_labitems USING (ITEMID)"
PATIENT_DRUG = "SELECT DISTINCT SUBJECT_ID AS patient, DRUG AS drug FROM prescriptions"
ITEM_EVENT = "SELECT DISTINCT SUBJECT_ID AS patient, LABEL AS item FROM {} JOIN d_items USING (ITEMID)"
DIAGNOSIS = "SELECT LONG_TITLE AS diagnosis FROM d_icd_diagnoses"
FIRST_OR_LAST = (
    "SELECT SUBJECT_ID AS patient, which, extreme FROM {} CROSS JOIN "
    "(SELECT 'first' AS which, 'min' AS extreme UNION SELECT 'last', 'max')"
)
LAB_ITEM = "item = GetValue(FilterDB(LoadDB('d_labitems'), 'LABEL={lab}'), 'ITEMID')\n"
ITEM = "item = GetValue(FilterDB(LoadDB('d_items'), 'LABEL={item}'), 'ITEMID')\n"
DIAGNOSIS_CODE = "code = GetValue(FilterDB(LoadDB('d_icd_diagnoses'), 'LONG_TITLE={diagnosis}'), 'ICD9_CODE')\n"

KINDS = (
    Kind(
        ("What is the gender of patient {patient}?", "Tell me the gender of patient {patient}."),
        PATIENT,
        "SELECT GENDER FROM patients WHERE SUBJECT_ID = {patient}",
        "answer = GetValue(FilterDB(LoadDB('patients'), 'SUBJECT_ID={patient}'), 'GENDER')",
    ),
    Kind(
        ("When was patient {patient} born?", "What is the date of birth of patient {patient}?"),
        PATIENT,
        "SELECT DOB FROM patients WHERE SUBJECT_ID = {patient}",
        "answer = GetValue(FilterDB(LoadDB('patients'), 'SUBJECT_ID={patient}'), 'DOB')",
    ),
    Kind(
        ("How many times was patient {patient} admitted to the hospital?",),
        PATIENT,
        "SELECT count(*) FROM admissions WHERE SUBJECT_ID = {patient}",
        "answer = len(FilterDB(LoadDB('admissions'), 'SUBJECT_ID={patient}'))",
    ),
    Kind(
        (
            "What was the insurance of patient {patient} on the {which} hospital visit?",
            "Which insurance did patient {patient} have when they came to the hospital for the {which} time?",
        ),
        FIRST_OR_LAST.format("admissions"),
        "SELECT INSURANCE FROM admissions WHERE SUBJECT_ID = {patient} AND ADMITTIME = "
        "(SELECT {extreme}(ADMITTIME) FROM admissions WHERE SUBJECT_ID = {patient})",
        "answer = GetValue(FilterDB(LoadDB('admissions'), 'SUBJECT_ID={patient}||{extreme}(ADMITTIME)'), 'INSURANCE')",
    ),
    Kind(
        ("From where was patient {patient} admitted on the {which} hospital visit?",),
        FIRST_OR_LAST.format("admissions"),
        "SELECT ADMISSION_LOCATION FROM admissions WHERE SUBJECT_ID = {patient} AND ADMITTIME = "
        "(SELECT {extreme}(ADMITTIME) FROM admissions WHERE SUBJECT_ID = {patient})",
        "visits = FilterDB(LoadDB('admissions'), 'SUBJECT_ID={patient}')\n"
        "answer = GetValue(FilterDB(visits, '{extreme}(ADMITTIME)'), 'ADMISSION_LOCATION')",
    ),
    Kind(
        (
            "What was the {which} measured value of the lab test {lab} of patient {patient}?",
            "Give the result of the {which} {lab} lab test of patient {patient}.",
        ),
        f"SELECT * FROM ({PATIENT_LAB}) CROSS JOIN (SELECT 'first' AS which, 'min' AS extreme UNION SELECT 'last', "
        f"'max')",
        "SELECT VALUENUM FROM labevents JOIN d_labitems USING (ITEMID) WHERE SUBJECT_ID = {patient} AND LABEL = "
        "'{lab}' "
        "AND CHARTTIME = (SELECT {extreme}(CHARTTIME) FROM labevents JOIN d_labitems USING (ITEMID) "
        "WHERE SUBJECT_ID = {patient} AND LABEL = '{lab}')",
        LAB_ITEM
        + "tests = FilterDB(LoadDB('labevents'), f'SUBJECT_ID={patient}||ITEMID={{item}}||{extreme}(CHARTTIME)')\n"
        "answer = GetValue(tests, 'VALUENUM')",
    ),
    Kind(
        ("How many times was the lab test {lab} done on patient {patient} since {year}?",),
        f"SELECT * FROM ({PATIENT_LAB}) CROSS JOIN (SELECT 2101 AS year UNION SELECT 2102 UNION SELECT 2104)",
        "SELECT count(*) FROM labevents JOIN d_labitems USING (ITEMID) WHERE SUBJECT_ID = {patient} AND LABEL = "
        "'{lab}' "
        "AND strftime('%Y', CHARTTIME) >= '{year}'",
        LAB_ITEM
        + "tests = FilterDB(LoadDB('labevents'), f'SUBJECT_ID={patient}||ITEMID={{item}}||CHARTTIME>={year}-01-01')\n"
        "answer = len(tests)",
    ),
    Kind(
        (
            "What is the {extreme}imum {item} that was charted for patient {patient}?",
            "Give the {extreme}imum {item} of patient {patient} over all their stays in intensive care.",
        ),
        f"SELECT * FROM ({ITEM_EVENT.format('chartevents')}) CROSS JOIN (SELECT 'min' AS extreme UNION SELECT 'max')",
        "SELECT {extreme}(VALUENUM) FROM chartevents JOIN d_items USING (ITEMID) WHERE SUBJECT_ID = {patient} "
        "AND LABEL = '{item}'",
        ITEM + "charted = FilterDB(LoadDB('chartevents'), f'SUBJECT_ID={patient}||ITEMID={{item}}')\n"
        "answer = GetValue(charted, 'VALUENUM, {extreme}')",
    ),
    Kind(
        ("What is the average {item} of patient {patient}?",),
        ITEM_EVENT.format("chartevents"),
        "SELECT avg(VALUENUM) FROM chartevents JOIN d_items USING (ITEMID) WHERE SUBJECT_ID = {patient} AND LABEL "
        "= '{item}'",
        ITEM + "charted = FilterDB(LoadDB('chartevents'), f'SUBJECT_ID={patient}||ITEMID={{item}}')\n"
        "answer = GetValue(charted, 'VALUENUM, mean')",
    ),
    Kind(
        ("What is the total volume of {item} that patient {patient} received?",),
        ITEM_EVENT.format("inputevents_cv"),
        "SELECT sum(AMOUNT) FROM inputevents_cv JOIN d_items USING (ITEMID) WHERE SUBJECT_ID = {patient} AND "
        "LABEL = '{item}'",
        ITEM + "given = FilterDB(LoadDB('inputevents_cv'), f'SUBJECT_ID={patient}||ITEMID={{item}}')\n"
        "answer = GetValue(given, 'AMOUNT, sum')",
    ),
    Kind(
        (
            "What is the difference between the total intake and the total output of patient {patient} in intensive "
            "care?",
        ),
        "SELECT DISTINCT SUBJECT_ID AS patient FROM inputevents_cv",
        "SELECT (SELECT sum(AMOUNT) FROM inputevents_cv WHERE SUBJECT_ID = {patient}) - "
        "(SELECT sum(VALUE) FROM outputevents WHERE SUBJECT_ID = {patient})",
        "intake = GetValue(FilterDB(LoadDB('inputevents_cv'), 'SUBJECT_ID={patient}'), 'AMOUNT, sum')\n"
        "output = GetValue(FilterDB(LoadDB('outputevents'), 'SUBJECT_ID={patient}'), 'VALUE, sum')\n"
        "answer = intake - output",
    ),
    Kind(
        (
            "Has patient {patient} been prescribed {drug} since {year}?",
            "Did patient {patient} get {drug} in {year} or later?",
        ),
        f"SELECT patient, drug, 2099 + ABS(patient) % 5 AS year FROM ({PATIENT}) CROSS JOIN "
        "(SELECT DISTINCT DRUG AS drug FROM prescriptions) ORDER BY patient",
        "SELECT count(*) > 0 FROM prescriptions WHERE SUBJECT_ID = {patient} AND DRUG = '{drug}' "
        "AND STARTDATE >= '{year}-01-01'",
        "found = FilterDB(LoadDB('prescriptions'), 'SUBJECT_ID={patient}||DRUG={drug}||STARTDATE>={year}-01-01')\n"
        "answer = len(found) > 0",
        yes_or_no=True,
    ),
    Kind(
        ("Was patient {patient} ever diagnosed with {diagnosis}?",),
        f"SELECT patient, diagnosis FROM ({PATIENT}) CROSS JOIN (SELECT LONG_TITLE AS diagnosis FROM "
        f"d_icd_diagnoses LIMIT 4)",
        "SELECT count(*) > 0 FROM diagnoses_icd JOIN d_icd_diagnoses USING (ICD9_CODE) WHERE SUBJECT_ID = {patient} "
        "AND LONG_TITLE = '{diagnosis}'",
        DIAGNOSIS_CODE
        + "answer = len(FilterDB(LoadDB('diagnoses_icd'), f'SUBJECT_ID={patient}||ICD9_CODE={{code}}')) > 0",
        yes_or_no=True,
    ),
    Kind(
        ("How many patients were diagnosed with {diagnosis}?", "Count the patients with a diagnosis of {diagnosis}."),
        DIAGNOSIS,
        "SELECT count(DISTINCT SUBJECT_ID) FROM diagnoses_icd JOIN d_icd_diagnoses USING (ICD9_CODE) "
        "WHERE LONG_TITLE = '{diagnosis}'",
        DIAGNOSIS_CODE
        + "patients = GetValue(FilterDB(LoadDB('diagnoses_icd'), f'ICD9_CODE={{code}}'), 'SUBJECT_ID, list')\n"
        "answer = len(set(patients))",
    ),
    Kind(
        ("Which procedures did patient {patient} undergo? Give their short titles.",),
        "SELECT DISTINCT SUBJECT_ID AS patient FROM procedures_icd",
        "SELECT DISTINCT SHORT_TITLE FROM procedures_icd JOIN d_icd_procedures USING (ICD9_CODE) WHERE SUBJECT_ID "
        "= {patient}",
        "codes = set(GetValue(FilterDB(LoadDB('procedures_icd'), 'SUBJECT_ID={patient}'), 'ICD9_CODE, list'))\n"
        "titles = LoadDB('d_icd_procedures')\n"
        "answer = [GetValue(FilterDB(titles, f'ICD9_CODE={{code}}'), 'SHORT_TITLE') for code in codes]",
        many=True,
    ),
    Kind(
        ("What were the long titles of the diagnoses of patient {patient} on the last hospital visit?",),
        PATIENT,
        "SELECT LONG_TITLE FROM diagnoses_icd JOIN d_icd_diagnoses USING (ICD9_CODE) WHERE HADM_ID = "
        "(SELECT HADM_ID FROM admissions WHERE SUBJECT_ID = {patient} ORDER BY ADMITTIME DESC LIMIT 1)",
        "visit = GetValue(FilterDB(LoadDB('admissions'), 'SUBJECT_ID={patient}||max(ADMITTIME)'), 'HADM_ID')\n"
        "codes = GetValue(FilterDB(LoadDB('diagnoses_icd'), f'HADM_ID={{visit}}'), 'ICD9_CODE, list')\n"
        "answer = GetValue(FilterDB(LoadDB('d_icd_diagnoses'), f'ICD9_CODE in {{codes}}'), 'LONG_TITLE, list')",
        many=True,
    ),
    Kind(
        (
            "What did the hospital charge patient {patient} in total?",
            "What is the total cost of the care of patient {patient}?",
        ),
        PATIENT,
        "SELECT sum(COST) FROM cost WHERE SUBJECT_ID = {patient}",
        "answer = GetValue(FilterDB(LoadDB('cost'), 'SUBJECT_ID={patient}'), 'COST, sum')",
    ),
    Kind(
        ("What is the average cost of the procedure {procedure}?",),
        "SELECT LONG_TITLE AS procedure FROM d_icd_procedures",
        "SELECT avg(COST) FROM cost JOIN procedures_icd p ON EVENT_ID = p.ROW_ID JOIN d_icd_procedures USING "
        "(ICD9_CODE) "
        "WHERE EVENT_TYPE = 'procedures_icd' AND LONG_TITLE = '{procedure}'",
        "code = GetValue(FilterDB(LoadDB('d_icd_procedures'), 'LONG_TITLE={procedure}'), 'ICD9_CODE')\n"
        "events = GetValue(FilterDB(LoadDB('procedures_icd'), f'ICD9_CODE={{code}}'), 'ROW_ID, list')\n"
        "charges = FilterDB(LoadDB('cost'), f'EVENT_TYPE=procedures_icd||EVENT_ID in {{events}}')\n"
        "answer = GetValue(charges, 'COST, mean')",
    ),
    Kind(
        ("How many patients were prescribed {drug} in {year}?",),
        "SELECT DISTINCT DRUG AS drug, strftime('%Y', STARTDATE) AS year FROM prescriptions",
        "SELECT count(DISTINCT SUBJECT_ID) FROM prescriptions WHERE DRUG = '{drug}' AND STARTDATE LIKE '{year}%'",
        'answer = SQLInterpreter("""SELECT count(DISTINCT SUBJECT_ID) FROM prescriptions\n'
        "WHERE DRUG = '{drug}' AND strftime('%Y', STARTDATE) = '{year}'\"\"\")",
    ),
    Kind(
        ("How many patients got {drug} during a hospital visit in which they were diagnosed with {diagnosis}?",),
        f"SELECT DISTINCT drug, diagnosis FROM ({PATIENT_DRUG}) CROSS JOIN ({DIAGNOSIS})",
        "SELECT count(DISTINCT SUBJECT_ID) FROM prescriptions WHERE DRUG = '{drug}' AND HADM_ID IN (SELECT HADM_ID "
        "FROM diagnoses_icd JOIN d_icd_diagnoses USING (ICD9_CODE) WHERE LONG_TITLE = '{diagnosis}')",
        'answer = SQLInterpreter("""SELECT count(DISTINCT p.SUBJECT_ID) FROM prescriptions p\n'
        "JOIN diagnoses_icd d ON d.HADM_ID = p.HADM_ID JOIN d_icd_diagnoses t ON t.ICD9_CODE = d.ICD9_CODE\n"
        "WHERE p.DRUG = '{drug}' AND t.LONG_TITLE = '{diagnosis}'\"\"\")[0][0]",
    ),
    Kind(
        ("How many hours did the last stay of patient {patient} in intensive care take?",),
        "SELECT DISTINCT SUBJECT_ID AS patient FROM icustays WHERE OUTTIME IS NOT NULL",
        "SELECT (julianday(OUTTIME) - julianday(INTIME)) * 24 FROM icustays WHERE SUBJECT_ID = {patient} "
        "ORDER BY INTIME DESC LIMIT 1",
        "from datetime import datetime\n\n"
        "stay = FilterDB(LoadDB('icustays'), 'SUBJECT_ID={patient}||max(INTIME)')\n"
        "start, end = (datetime.fromisoformat(GetValue(stay, column)) for column in ('INTIME', 'OUTTIME'))\n"
        "answer = (end - start).total_seconds() / 3600",
    ),
    Kind(
        ("When was {drug} prescribed to patient {patient} for the {which} time?",),
        f"SELECT * FROM ({PATIENT_DRUG}) CROSS JOIN (SELECT 'first' AS which, 'min' AS extreme UNION SELECT "
        f"'last', 'max')",
        "SELECT {extreme}(STARTDATE) FROM prescriptions WHERE SUBJECT_ID = {patient} AND DRUG = '{drug}'",
        "orders = FilterDB(LoadDB('prescriptions'), 'SUBJECT_ID={patient}||DRUG={drug}')\n"
        "answer = GetValue(orders, 'STARTDATE, {extreme}')",
    ),
    Kind(
        ("Which dose of {drug} was patient {patient} prescribed last?",),
        PATIENT_DRUG,
        "SELECT DOSE_VAL_RX FROM prescriptions WHERE SUBJECT_ID = {patient} AND DRUG = '{drug}' ORDER BY "
        "STARTDATE DESC LIMIT 1",
        "orders = FilterDB(LoadDB('prescriptions'), 'SUBJECT_ID={patient}||DRUG={drug}||max(STARTDATE)')\n"
        "answer = GetValue(orders, 'DOSE_VAL_RX')",
    ),
    Kind(
        ("Which organism was found in the last {specimen} microbiology test of patient {patient}?",),
        "SELECT DISTINCT SUBJECT_ID AS patient, SPEC_TYPE_DESC AS specimen FROM microbiologyevents WHERE ORG_NAME "
        "IS NOT NULL",
        "SELECT ORG_NAME FROM microbiologyevents WHERE SUBJECT_ID = {patient} AND SPEC_TYPE_DESC = '{specimen}' "
        "ORDER BY CHARTTIME DESC LIMIT 1",
        "tests = FilterDB(LoadDB('microbiologyevents'), "
        "'SUBJECT_ID={patient}||SPEC_TYPE_DESC={specimen}||max(CHARTTIME)')\n"
        "answer = GetValue(tests, 'ORG_NAME')",
    ),
    Kind(
        ("How many patients were admitted to the hospital in the last {months} months?",),
        "SELECT 1 AS months UNION SELECT 2 UNION SELECT 4 UNION SELECT 7 UNION SELECT 9 UNION SELECT 11",
        "SELECT count(DISTINCT SUBJECT_ID) FROM admissions WHERE ADMITTIME >= "
        "datetime('2105-12-31 23:59:00', '-{months} month')",
        "recent = FilterDB(LoadDB('admissions'), f'ADMITTIME>={{Calendar(\"-{months} month\")}}')\n"
        "answer = len(set(GetValue(recent, 'SUBJECT_ID, list')))",
    ),
    Kind(
        ("Is the last {item} of patient {patient} higher than the first one charted?",),
        ITEM_EVENT.format("chartevents"),
        "SELECT (SELECT VALUENUM FROM events ORDER BY CHARTTIME DESC LIMIT 1) > "
        "(SELECT VALUENUM FROM events ORDER BY CHARTTIME LIMIT 1) FROM (SELECT 1)".replace(
            "events",
            "(SELECT * FROM chartevents JOIN d_items USING (ITEMID) WHERE SUBJECT_ID = {patient} AND LABEL = '{item}')",
        ),
        ITEM + "charted = FilterDB(LoadDB('chartevents'), f'SUBJECT_ID={patient}||ITEMID={{item}}')"
        ".sort_values('CHARTTIME')\n"
        "values = GetValue(charted, 'VALUENUM, list')\n"
        "answer = values[-1] > values[0]",
        yes_or_no=True,
    ),
)
