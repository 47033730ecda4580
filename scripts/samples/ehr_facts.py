"""What the invented hospital of the ehr sample diagnoses, measures and gives; names in small letters, as in EHRSQL."""

from __future__ import annotations

# ICD-9 code, short title, long title
DIAGNOSES = (
    ("4019", "hypertension nos", "unspecified essential hypertension"),
    ("4280", "chf nos", "congestive heart failure, unspecified"),
    ("42731", "atrial fibrillation", "atrial fibrillation"),
    ("41401", "crnry athrscl natve vssl", "coronary atherosclerosis of native coronary artery"),
    ("5849", "acute kidney failure nos", "acute kidney failure, unspecified"),
    ("25000", "dmii wo cmp nt st uncntr", "diabetes mellitus without mention of complication, type ii"),
    ("2724", "hyperlipidemia nec/nos", "other and unspecified hyperlipidemia"),
    ("51881", "acute respiratry failure", "acute respiratory failure"),
    ("5990", "urin tract infection nos", "urinary tract infection, site not specified"),
    ("53081", "esophageal reflux", "esophageal reflux"),
    ("2859", "anemia nos", "anemia, unspecified"),
    ("486", "pneumonia, organism nos", "pneumonia, organism unspecified"),
    ("0389", "septicemia nos", "unspecified septicemia"),
    ("2449", "hypothyroidism nos", "unspecified acquired hypothyroidism"),
    ("V5861", "long-term use anticoagul", "long-term (current) use of anticoagulants"),
    ("27651", "dehydration", "dehydration"),
)
PROCEDURES = (
    ("966", "entral infus nutrit sub", "enteral infusion of concentrated nutritional substances"),
    ("3893", "venous cath nec", "venous catheterization, not elsewhere classified"),
    ("9604", "insert endotracheal tube", "insertion of endotracheal tube"),
    ("9671", "cont inv mec ven <96 hrs", "continuous invasive mechanical ventilation, less than 96 hours"),
    ("3995", "hemodialysis", "hemodialysis"),
    ("4513", "sm bowel endoscopy nec", "other endoscopy of small intestine"),
    ("8856", "coronar arteriogr-2 cath", "coronary arteriography using two catheters"),
    ("3722", "left heart cardiac cath", "left heart cardiac catheterization"),
    ("9904", "packed cell transfusion", "transfusion of packed cells"),
    ("331", "spinal tap", "spinal tap"),
)
# ITEMID, label, unit, usual range
LABS = (
    (50912, "creatinine", "mg/dl", (0.5, 2.4)),
    (50931, "glucose", "mg/dl", (70, 240)),
    (50971, "potassium", "meq/l", (3.0, 5.8)),
    (50983, "sodium", "meq/l", (128, 148)),
    (51006, "urea nitrogen", "mg/dl", (7, 60)),
    (51222, "hemoglobin", "g/dl", (7.0, 15.5)),
    (51265, "platelet count", "k/ul", (80, 420)),
    (51301, "white blood cells", "k/ul", (3.5, 19.0)),
    (50813, "lactate", "mmol/l", (0.6, 4.8)),
)
VITALS = (
    (220045, "heart rate", "bpm", (55, 130)),
    (220210, "respiratory rate", "insp/min", (10, 32)),
    (220277, "o2 saturation pulseoxymetry", "%", (88, 100)),
    (220179, "non invasive blood pressure systolic", "mmhg", (85, 175)),
    (223762, "temperature celsius", "?c", (35.6, 39.6)),
)
# ITEMID, label, usual range in ml
INPUTS = (
    (30018, ".9% normal saline", (50, 1000)),
    (30013, "d5w", (20, 500)),
    (30021, "lactated ringers", (100, 1000)),
    (30056, "po intake", (60, 480)),
)
OUTPUTS = ((40055, "urine out foley", (30, 600)), (40059, "gastric emesis", (20, 200)), (40076, "stool out", (50, 400)))
# name, doses, unit, route
DRUGS = (
    ("furosemide", ("20", "40", "80"), "mg", "iv"),
    ("metoprolol tartrate", ("12.5", "25", "50"), "mg", "po"),
    ("heparin", ("5000",), "unit", "sc"),
    ("insulin", ("0-10", "2", "4"), "unit", "sc"),
    ("acetaminophen", ("325-650", "650"), "mg", "po"),
    ("potassium chloride", ("20", "40"), "meq", "iv"),
    ("vancomycin", ("1000",), "mg", "iv"),
    ("aspirin", ("81", "325"), "mg", "po"),
    ("pantoprazole", ("40",), "mg", "po"),
    ("lorazepam", ("0.5", "1"), "mg", "iv"),
    ("warfarin", ("2", "5"), "mg", "po"),
    ("docusate sodium", ("100",), "mg", "po"),
)
SPECIMENS = ("blood culture", "urine", "sputum", "mrsa screen")
ORGANISMS = ("escherichia coli", "staph aureus coag +", "klebsiella pneumoniae", "yeast", None, None)
CARE_UNITS = ("micu", "ccu", "sicu", "csru", "tsicu")
ADMISSION_TYPES = ("emergency", "emergency", "elective", "urgent")
ADMISSION_LOCATIONS = (
    "emergency room admit",
    "phys referral/normal deli",
    "transfer from hosp/extram",
    "clinic referral/premature",
)
DISCHARGE_LOCATIONS = ("home", "home health care", "snf", "rehab/distinct part hosp")
INSURANCES = ("medicare", "private", "medicaid", "government", "self pay")
LANGUAGES = ("engl", "span", "russ", "ptun", None)
MARITAL_STATUSES = ("married", "single", "widowed", "divorced", None)
ETHNICITIES = ("white", "black/african american", "hispanic or latino", "asian", "unknown/not specified")
