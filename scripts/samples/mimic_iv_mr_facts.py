"""Clinical facts behind the mimic-iv-mr sample: which medication classes go with which conditions in hospital."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass

# short names, used in the tables below, of the label set's classes
CLASSES: dict[str, str] = {
    "ace": "ace inhibitors, plain",
    "alkylating": "alkylating agents",
    "aminoglycoside": "aminoglycoside antibacterials",
    "analgesic": "other analgesics and antipyretics",
    "antacid": "antacids",
    "antiarrhythmic": "antiarrhythmics, class i and iii",
    "anticholinergic": "anticholinergic agents",
    "anticonvulsant": "antiepileptics",
    "antidepressant": "antidepressants",
    "antiemetic": "antiemetics and antinauseants",
    "antifungal": "antimycotics for systemic use",
    "antifungal_skin": "antifungals for topical use",
    "antihistamine": "antihistamines for systemic use",
    "antimetabolite": "antimetabolites",
    "antiplatelet": "antithrombotic agents",
    "antipruritic": "antipruritics, incl. antihistamines, anesthetics, etc.",
    "antipsychotic": "antipsychotics",
    "antithyroid": "antithyroid preparations",
    "antiviral": "direct acting antivirals",
    "anxiolytic": "anxiolytics",
    "arb": "angiotensin ii receptor blockers (arbs), plain",
    "b1": "vitamin b1, plain and in combination with vitamin b6 and b12",
    "b12": "vitamin b12 and folic acid",
    "beta": "beta blocking agents",
    "bile": "bile therapy",
    "bph": "drugs used in benign prostatic hypertrophy",
    "calcium": "calcium",
    "ccb": "selective calcium channel blockers with mainly vascular effects",
    "ccb_cardiac": "selective calcium channel blockers with direct cardiac effects",
    "cephalosporin": "other beta-lactam antibacterials",
    "clotting": "vitamin k and other hemostatics",
    "constipation": "drugs for constipation",
    "cough": "cough suppressants, excl. combinations with expectorants",
    "cytotoxic": "cytotoxic antibiotics and related substances",
    "dementia": "anti-dementia drugs",
    "digoxin": "cardiac glycosides",
    "diarrhea": "antipropulsives",
    "dopamine": "dopaminergic agents",
    "enzymes": "digestives, incl. enzymes",
    "expectorant": "expectorants, excl. combinations with cough suppressants",
    "glaucoma": "antiglaucoma preparations and miotics",
    "gout": "antigout preparations",
    "gut_antibiotic": "intestinal antiinfectives",
    "gut_inflammation": "intestinal antiinflammatory agents",
    "gut_spasm": "drugs for functional gastrointestinal disorders",
    "gynecological": "other gynecologicals",
    "hormone_antagonist": "hormone antagonists and related agents",
    "hydralazine": "arteriolar smooth muscle, agents acting on",
    "hypnotic": "hypnotics and sedatives",
    "immunosuppressant": "immunosuppressants",
    "inhaler_anticholinergic": "other systemic drugs for obstructive airway diseases",
    "inhaler": "adrenergics, inhalants",
    "insulin": "insulins and analogues",
    "iron": "iron preparations",
    "k": "potassium",
    "local_anesthetic": "anesthetics, local",
    "loop": "high-ceiling diuretics",
    "macrolide": "macrolides, lincosamides and streptogramins",
    "metformin": "blood glucose lowering drugs, excl. insulins",
    "mineral": "other mineral supplements",
    "mouth": "stomatological preparations",
    "mra": "potassium-sparing agents",
    "muscle_relaxant": "muscle relaxants, centrally acting agents",
    "nitrate": "vasodilators used in cardiac diseases",
    "nsaid": "antiinflammatory and antirheumatic products, non-steroids",
    "opioid": "opioids",
    "other_antibiotic": "other antibacterials",
    "parathyroid": "anti-parathyroid agents",
    "penicillin": "beta-lactam antibacterials, penicillins",
    "ppi": "drugs for peptic ulcer and gastro-oesophageal reflux disease (gord)",
    "presser": "cardiac stimulants excl. cardiac glycosides",
    "prokinetic": "propulsives",
    "quinolone": "quinolone antibacterials",
    "addiction": "drugs used in addictive disorders",
    "alpha": "antiadrenergic agents, peripherally acting",
    "clonidine": "antiadrenergic agents, centrally acting",
    "statin": "lipid modifying agents, plain",
    "steroid": "corticosteroids for systemic use, plain",
    "steroid_skin": "corticosteroids, plain",
    "sulfa": "sulfonamides and trimethoprim",
    "tb": "drugs for treatment of tuberculosis",
    "tetracycline": "tetracyclines",
    "thiazide": "low-ceiling diuretics, thiazides",
    "thyroid": "thyroid preparations",
    "tranexamic": "antifibrinolytics",
    "triptan": "antimigraine preparations",
    "urological": "urologicals",
    "vasopressin": "posterior pituitary lobe hormones",
    "vinca": "plant alkaloids and other natural products",
    "antineoplastic": "other antineoplastic agents",
    "vitamin_d": "vitamin a and d, incl. combinations of the two",
    "vitamins": "other plain vitamin preparations",
}

# what inpatients get whatever they have, with its probability
BASICS: dict[str, float] = {"antiplatelet": 0.4, "constipation": 0.4, "analgesic": 0.45, "antiemetic": 0.25, "ppi": 0.2,
                            "k": 0.15, "mineral": 0.15, "hypnotic": 0.1}


@dataclass(frozen=True)
class Condition:
    """A diagnosis: `usual` and `sometimes` are space-separated keys of CLASSES."""

    names: tuple[str, ...]
    usual: str
    sometimes: str = ""
    _: KW_ONLY
    ages: tuple[int, int] = (25, 92)
    sex: str = ""  # "F" or "M" where only they have it
    procedures: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    group: str = ""  # conditions of one group exclude each other


# why patients are admitted
PRINCIPAL: tuple[Condition, ...] = (
    Condition(
        ("Acute on chronic systolic (congestive) heart failure", "Acute diastolic (congestive) heart failure"),
        "loop beta", "ace mra k nitrate hydralazine antiplatelet", ages=(50, 92),
        procedures=("Transthoracic echocardiogram", "Right heart catheterization"),
        findings=("NT-proBNP 6,840 pg/mL", "bilateral pleural effusions on the chest film", "leg edema to the knees"),
    ),
    Condition(
        (
            "Non-ST elevation (NSTEMI) myocardial infarction",
            "ST elevation (STEMI) myocardial infarction of inferior wall",
        ),
        "antiplatelet statin beta nitrate", "ace arb opioid", ages=(42, 90),
        procedures=("Percutaneous coronary intervention with drug-eluting stent", "Coronary angiography"),
        findings=("troponin T 1.8 ng/mL", "new ST segment changes"), group="coronary",
    ),
    Condition(
        ("Atherosclerotic heart disease with unstable angina pectoris", "Three-vessel coronary artery disease"),
        "antiplatelet statin beta opioid insulin", "presser loop k constipation antiarrhythmic", ages=(48, 86),
        procedures=("Coronary artery bypass, three vessels, with saphenous vein graft",),
        findings=("left main stenosis of 70 %", "ejection fraction 45 %"), group="coronary",
    ),
    Condition(
        ("Persistent atrial fibrillation with rapid ventricular response", "Typical atrial flutter"),
        "antiplatelet beta", "antiarrhythmic digoxin ccb_cardiac", ages=(45, 92),
        procedures=("Electrical cardioversion", "Transesophageal echocardiogram"),
        findings=("ventricular rate 142/min", "INR 1.1 on admission"), group="rhythm",
    ),
    Condition(
        ("Chronic obstructive pulmonary disease with acute exacerbation",), "inhaler steroid inhaler_anticholinergic",
        "macrolide quinolone tetracycline expectorant cough addiction", ages=(50, 90),
        procedures=("Non-invasive ventilation",), findings=("pCO2 58 mmHg", "diffuse expiratory wheeze"),
    ),
    Condition(
        ("Unspecified asthma with acute exacerbation", "Severe persistent asthma with status asthmaticus"),
        "inhaler steroid", "inhaler_anticholinergic antihistamine expectorant mineral", ages=(18, 70),
        findings=("peak flow 45 % of predicted", "wheeze over both lungs"),
    ),
    Condition(
        ("Pneumonia, unspecified organism", "Lobar pneumonia due to Streptococcus pneumoniae"),
        "cephalosporin macrolide", "cough expectorant inhaler quinolone", ages=(20, 92),
        findings=("right lower lobe consolidation", "WBC 16.4 K/uL", "temperature 38.9 °C"),
    ),
    Condition(
        ("Sepsis, unspecified organism", "Sepsis due to Escherichia coli with septic shock"),
        "cephalosporin other_antibiotic presser", "penicillin vasopressin steroid insulin", ages=(30, 92),
        procedures=("Central venous catheter placement", "Mechanical ventilation, 24 to 96 hours"),
        findings=("lactate 4.6 mmol/L", "blood pressure 78/44 mmHg on arrival"),
    ),
    Condition(
        ("Acute pyelonephritis", "Urinary tract infection, site not specified"), "cephalosporin",
        "quinolone sulfa other_antibiotic urological", findings=("positive urine nitrite", "flank tenderness"),
    ),
    Condition(
        ("Cellulitis of left lower limb", "Cutaneous abscess of right thigh"), "other_antibiotic",
        "penicillin cephalosporin sulfa opioid antifungal_skin", procedures=("Incision and drainage of skin",),
        findings=("warm, red lower leg", "WBC 13.2 K/uL"),
    ),
    Condition(
        ("Enterocolitis due to Clostridium difficile",), "gut_antibiotic", "k mineral other_antibiotic",
        ages=(40, 92), findings=("ten watery stools a day", "positive stool toxin"),
    ),
    Condition(
        ("Infective endocarditis", "Osteomyelitis of left ankle and foot"), "other_antibiotic penicillin",
        "aminoglycoside opioid cephalosporin", ages=(22, 80), procedures=("Placement of a PICC line",),
        findings=("blood cultures with Staphylococcus aureus", "CRP 164 mg/L"),
    ),
    Condition(
        ("Tuberculosis of lung",), "tb b1", "cough vitamins", ages=(20, 75), procedures=("Bronchoscopy with lavage",),
        findings=("cavity in the right upper lobe", "acid-fast bacilli in sputum"),
    ),
    Condition(
        ("Human immunodeficiency virus disease with Pneumocystis pneumonia",), "antiviral sulfa steroid",
        "antifungal macrolide", ages=(24, 62), findings=("CD4 count 48 cells/uL", "diffuse ground-glass opacities"),
    ),
    Condition(
        ("Type 1 diabetes mellitus with ketoacidosis without coma",), "insulin k", "antiemetic mineral",
        ages=(18, 50), findings=("glucose 540 mg/dL", "bicarbonate 9 mEq/L"), group="diabetes",
    ),
    Condition(
        ("Gastrointestinal hemorrhage, unspecified", "Chronic duodenal ulcer with hemorrhage"), "ppi",
        "iron clotting vasopressin antacid", ages=(35, 92), procedures=("Esophagogastroduodenoscopy",),
        findings=("hemoglobin 6.9 g/dL", "melena"),
    ),
    Condition(
        ("Alcoholic cirrhosis of liver with ascites", "Hepatic encephalopathy"),
        "loop mra constipation gut_antibiotic", "b12 b1 beta ppi vitamins clotting", ages=(35, 76),
        procedures=("Paracentesis",), findings=("ammonia 112 umol/L", "platelets 61 K/uL", "tense ascites"),
    ),
    Condition(
        ("Alcohol dependence with withdrawal delirium",), "anxiolytic b1 b12 vitamins",
        "antipsychotic mineral k clonidine addiction", ages=(25, 70),
        findings=("tremor and sweating", "ethanol 290 mg/dL"),
    ),
    Condition(
        ("Acute pancreatitis, unspecified", "Alcohol induced acute pancreatitis"), "opioid antiemetic",
        "enzymes ppi k mineral", ages=(22, 80), findings=("lipase 2,310 U/L", "epigastric tenderness"),
    ),
    Condition(
        ("Crohn's disease of small intestine with obstruction", "Ulcerative colitis with rectal bleeding"),
        "steroid gut_inflammation", "immunosuppressant opioid antiemetic gut_spasm diarrhea iron", ages=(18, 60),
        procedures=("Colonoscopy with biopsy",), findings=("CRP 82 mg/L", "six loose stools a day"),
    ),
    Condition(
        ("Acute cholecystitis with gallstones",), "opioid antiemetic",
        "penicillin cephalosporin other_antibiotic bile", ages=(24, 84), procedures=("Laparoscopic cholecystectomy",),
        findings=("gallbladder wall of 6 mm", "tenderness under the right ribs"),
    ),
    Condition(
        ("Acute appendicitis with localized peritonitis",), "opioid antiemetic",
        "penicillin cephalosporin other_antibiotic nsaid", ages=(18, 60), procedures=("Laparoscopic appendectomy",),
        findings=("WBC 15.1 K/uL", "guarding in the right lower abdomen"),
    ),
    Condition(
        ("Fracture of neck of right femur", "Intertrochanteric fracture of left femur"),
        "opioid antiplatelet constipation analgesic", "vitamin_d calcium tranexamic", ages=(66, 95),
        procedures=("Hemiarthroplasty of the hip", "Open reduction and internal fixation"),
        findings=("shortened, externally rotated leg", "mechanical fall at home"),
    ),
    Condition(
        ("Spinal stenosis, lumbar region",), "opioid constipation muscle_relaxant", "anticonvulsant analgesic",
        ages=(48, 85), procedures=("Lumbar laminectomy", "Lumbar fusion"), findings=("pain on walking 100 m",),
    ),
    Condition(
        ("Primary osteoarthritis, right knee", "Primary osteoarthritis, left hip"),
        "opioid constipation nsaid analgesic", "anticonvulsant antiplatelet tranexamic", ages=(45, 85),
        procedures=("Total joint arthroplasty",), findings=("failed conservative treatment", "walks with a cane"),
    ),
    Condition(
        ("Cerebral infarction due to embolism of left middle cerebral artery", "Cerebral infarction, unspecified"),
        "antiplatelet statin", "ccb ace insulin", ages=(48, 92), procedures=("Mechanical thrombectomy",),
        findings=("right arm weakness and aphasia", "NIH stroke scale 14"),
    ),
    Condition(
        ("Nontraumatic intracerebral hemorrhage", "Traumatic subdural hemorrhage"), "anticonvulsant analgesic",
        "ccb beta hydralazine clotting hypnotic", ages=(40, 90),
        procedures=("Craniotomy with evacuation of hematoma",),
        findings=("midline shift of 6 mm", "blood pressure 204/110 mmHg"),
    ),
    Condition(
        ("Epilepsy with status epilepticus", "Unspecified convulsions"), "anticonvulsant anxiolytic", "b1 hypnotic",
        ages=(18, 80), procedures=("Electroencephalography",), findings=("two generalized seizures before arrival",),
    ),
    Condition(
        ("Migraine with aura, intractable",), "triptan antiemetic", "nsaid anticonvulsant antihistamine steroid",
        ages=(18, 55), findings=("normal head CT",),
    ),
    Condition(
        ("Major depressive disorder, recurrent, severe",), "antidepressant hypnotic", "anxiolytic antipsychotic",
        ages=(18, 75), findings=("suicidal thoughts without a plan",), group="mood",
    ),
    Condition(
        ("Schizoaffective disorder, bipolar type", "Bipolar disorder, current episode manic"), "antipsychotic",
        "anticonvulsant anxiolytic anticholinergic", ages=(18, 65), findings=("no sleep for four nights",),
        group="mood",
    ),
    Condition(
        ("Opioid dependence with withdrawal",), "addiction clonidine",
        "antiemetic diarrhea nsaid hypnotic muscle_relaxant", ages=(20, 60),
        findings=("dilated pupils and gooseflesh",),
    ),
    Condition(
        ("Acute kidney failure, unspecified", "Acute kidney failure with tubular necrosis"), "",
        "loop calcium mineral k", ages=(40, 92), procedures=("Hemodialysis",),
        findings=("creatinine 4.2 mg/dL, baseline 1.1", "oliguria"), group="kidney",
    ),
    Condition(
        ("Kidney transplant rejection", "Complication of liver transplant"),
        "immunosuppressant steroid sulfa antiviral", "antifungal ppi insulin", ages=(22, 70),
        procedures=("Biopsy of the transplanted organ",), findings=("tacrolimus level 4.1 ng/mL",), group="kidney",
    ),
    Condition(
        ("Encounter for antineoplastic chemotherapy, diffuse large B-cell lymphoma",),
        "alkylating vinca cytotoxic antiemetic steroid antineoplastic", "gout antiviral sulfa", ages=(24, 80),
        procedures=("Infusion of chemotherapy",), findings=("cycle 3 of 6", "uric acid 7.9 mg/dL"),
    ),
    Condition(
        ("Acute myeloblastic leukemia, not having achieved remission",),
        "antimetabolite cytotoxic antiemetic antifungal antiviral", "gout mouth quinolone cephalosporin",
        ages=(22, 76), procedures=("Bone marrow biopsy", "Transfusion of platelets"),
        findings=("blasts 62 %", "absolute neutrophil count 0.2 K/uL"),
    ),
    Condition(
        ("Pulmonary embolism without acute cor pulmonale", "Acute deep vein thrombosis of right femoral vein"),
        "antiplatelet", "opioid nsaid", ages=(22, 88), findings=("heparin drip started", "D-dimer 4,100 ng/mL"),
    ),
    Condition(
        ("Thyrotoxicosis with diffuse goiter and thyroid storm",), "antithyroid beta steroid",
        "bile mineral anxiolytic", ages=(20, 70), sex="F", findings=("TSH below 0.01 mIU/L", "heart rate 148/min"),
        group="thyroid",
    ),
    Condition(
        ("Delayed and secondary postpartum hemorrhage", "Third-stage postpartum hemorrhage"),
        "vasopressin nsaid iron gynecological", "opioid vitamins tranexamic cephalosporin", ages=(19, 42), sex="F",
        findings=("soft, enlarged uterus", "blood loss of 1,100 mL"),
    ),
    Condition(
        ("Systemic lupus erythematosus with lupus nephritis",), "steroid immunosuppressant",
        "arb vitamin_d calcium ppi", ages=(18, 50), sex="F", findings=("urine protein 3.4 g a day", "low complement"),
        group="immune",
    ),
)

# what patients bring with them
CHRONIC: tuple[Condition, ...] = (
    Condition(
        ("Essential (primary) hypertension",), "", "ace arb ccb thiazide beta hydralazine alpha clonidine",
        ages=(35, 95),
    ),
    Condition(("Hyperlipidemia, unspecified", "Pure hypercholesterolemia"), "statin", "", ages=(38, 95)),
    Condition(
        ("Type 2 diabetes mellitus without complications", "Type 2 diabetes mellitus with hyperglycemia"), "insulin",
        "metformin", ages=(35, 92), findings=("HbA1c 8.7 %", "fingerstick glucose 240 mg/dL"), group="diabetes",
    ),
    Condition(
        ("Type 2 diabetes mellitus with gastroparesis",), "insulin prokinetic", "antiemetic", ages=(35, 80),
        findings=("early satiety and vomiting",), group="diabetes",
    ),
    Condition(("Gastro-esophageal reflux disease without esophagitis",), "ppi", "antacid"),
    Condition(("Hypothyroidism, unspecified",), "thyroid", group="thyroid"),
    Condition(("Major depressive disorder, single episode",), "antidepressant", "hypnotic", group="mood"),
    Condition(("Anxiety disorder, unspecified",), "anxiolytic", "antidepressant hypnotic", ages=(18, 80)),
    Condition(
        ("Chronic kidney disease, stage 4", "End stage renal disease"), "mineral vitamin_d",
        "calcium parathyroid loop b12 iron", ages=(40, 90), findings=("creatinine 3.6 mg/dL", "phosphate 6.2 mg/dL"),
        group="kidney",
    ),
    Condition(("Benign prostatic hyperplasia with urinary retention",), "bph", "alpha", ages=(55, 95), sex="M"),
    Condition(("Gout, unspecified",), "gout", "nsaid", ages=(40, 90)),
    Condition(("Iron deficiency anemia, unspecified",), "iron", "b12", findings=("ferritin 9 ng/mL",)),
    Condition(("Age-related osteoporosis",), "calcium vitamin_d", "", ages=(60, 95), sex="F"),
    Condition(("Parkinson's disease",), "dopamine", "anticholinergic constipation", ages=(58, 90)),
    Condition(
        ("Alzheimer's disease", "Unspecified dementia without behavioral disturbance"), "dementia", "antipsychotic",
        ages=(68, 95),
    ),
    Condition(("Unspecified glaucoma",), "glaucoma", "", ages=(55, 95)),
    Condition(("Nicotine dependence, cigarettes",), "addiction", "", ages=(20, 80)),
    Condition(
        ("Old myocardial infarction", "Presence of coronary stent"), "antiplatelet statin", "beta nitrate",
        ages=(48, 92), group="coronary",
    ),
    Condition(("Chronic atrial fibrillation",), "antiplatelet beta", "digoxin", ages=(55, 95), group="rhythm"),
    Condition(("Hypokalemia",), "k", "mineral", findings=("potassium 2.9 mmol/L",)),
    Condition(
        ("Polyneuropathy, unspecified", "Chronic pain syndrome"), "anticonvulsant",
        "opioid antidepressant local_anesthetic",
    ),
    Condition(("Rheumatoid arthritis",), "immunosuppressant", "steroid nsaid b12", ages=(30, 85), group="immune"),
    Condition(("Atopic dermatitis", "Pruritus, unspecified"), "steroid_skin", "antipruritic antihistamine"),
    Condition(("Overactive bladder",), "urological", "", ages=(45, 90)),
    Condition(("Malignant neoplasm of female breast, in remission",), "hormone_antagonist", "", ages=(42, 85), sex="F"),
    Condition(("Obstructive sleep apnea", "Obesity, unspecified"), "", ""),
)
