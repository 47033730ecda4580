"""Clinical facts behind the mimic-iv-msr sample: presentations and the specialties that may take them."""

from __future__ import annotations

from dataclasses import dataclass

# short names, used below, of the label set's specialties
SPECIALTIES: dict[str, str] = {
    "ent": "ENT (Ear, Nose, Throat)",
    "neuro": "Neurology",
    "neurosurgery": "Neurosurgery",
    "endo": "Endocrinology",
    "skin": "Dermatology",
    "ortho": "Orthopedics",
    "cardio": "Cardiology",
    "rheuma": "Rheumatology",
    "hema": "Hematology",
    "emergency": "Emergency Medicine",
    "gyn": "Obstetrics & Gynecology (OB/GYN)",
    "uro": "Urology",
    "eye": "Ophthalmology",
    "psych": "Psychiatry & Mental Health",
    "onco": "Oncology",
    "internal": "Internal Medicine",
    "infection": "Infectious Disease",
    "surgery": "General Surgery",
    "kidney": "Nephrology",
}


@dataclass(frozen=True)
class Presentation:
    """A reason to refer; `specialties` are space-separated keys of SPECIALTIES, the first the most fitting.

    Complaints and history are noun phrases; findings stand as they are.
    """

    specialties: str
    ages: tuple[int, int]
    complaints: tuple[str, ...]
    symptoms: tuple[str, ...]
    history: tuple[str, ...]
    findings: tuple[str, ...]
    sex: str = ""  # "F" or "M" where only they have it


PRESENTATIONS: tuple[Presentation, ...] = (
    Presentation(
        "ent", (18, 75), ("hearing loss in one ear", "ringing in the left ear"),
        ("a feeling of fullness in the ear", "spells of spinning", "trouble following talk in a crowd"),
        ("loud noise at work", "ear tubes in childhood"),
        ("Weber test off the midline", "eardrum intact", "audiogram with a 40 dB loss at high tones"),
    ),
    Presentation(
        "ent", (18, 70), ("a nose blocked for half a year", "constant mucus in the throat"),
        ("loss of smell", "pressure over the cheeks", "snoring"), ("aspirin intolerance", "hay fever"),
        ("pale polyps in both nasal passages", "deviated septum", "opaque maxillary sinus on CT"),
    ),
    Presentation(
        "ent onco", (50, 82), ("hoarseness for three months", "a painless lump in the neck"),
        ("pain on swallowing that runs to the ear", "weight loss of 6 kg"), ("40 pack-years", "daily spirits"),
        ("firm fixed node at the angle of the jaw", "ulcer on the vocal cord at mirror examination"),
    ),
    Presentation(
        "neuro", (20, 70), ("headaches with flickering lights", "throbbing one-sided headaches"),
        ("nausea with the attacks", "a need to lie in the dark", "five attacks a month"),
        ("headaches in the mother", "little relief from paracetamol"),
        ("normal neurological examination", "no neck stiffness"),
    ),
    Presentation(
        "neuro", (55, 88), ("a trembling right hand", "slow, shuffling walking"),
        ("smaller handwriting", "stiffness on getting up", "a softer voice"),
        ("loss of smell for years", "constipation"),
        ("resting tremor of 4 to 6 Hz", "cogwheel rigidity at the wrist", "reduced arm swing"),
    ),
    Presentation(
        "neuro emergency", (48, 90), ("sudden weakness of the right arm", "slurred speech since breakfast"),
        ("a drooping corner of the mouth", "trouble finding words"), ("atrial fibrillation", "high blood pressure"),
        ("right pronator drift", "blood pressure 186/98", "facial asymmetry"),
    ),
    Presentation(
        "neuro", (18, 60), ("two seizures within a month", "a blackout with jerking of the limbs"),
        ("a bitten tongue", "confusion for half an hour afterwards"), ("a head injury years ago", "lack of sleep"),
        ("normal head CT", "sharp waves on the EEG"),
    ),
    Presentation(
        "neurosurgery neuro", (40, 80),
        ("headaches that are worst in the morning", "clumsiness that is getting worse"),
        ("vomiting without nausea", "a change of character"), ("no head injury", "melanoma removed earlier"),
        ("MRI with a 3 cm enhancing frontal mass", "swollen optic discs"),
    ),
    Presentation(
        "neurosurgery ortho", (32, 72), ("back pain shooting down the left leg", "numbness of the sole and calf"),
        ("weakness on tiptoe", "pain on coughing"),
        ("heavy lifting at work", "six weeks of physiotherapy without relief"),
        ("MRI with a disc extrusion at L5/S1", "absent ankle jerk", "straight-leg raise positive at 30 degrees"),
    ),
    Presentation(
        "neurosurgery emergency", (45, 92),
        ("increasing drowsiness after a fall", "headache after a fall three weeks ago"),
        ("unsteady walking", "slow answers"), ("warfarin", "several falls this year"),
        ("CT with a crescent of blood over the left hemisphere", "Glasgow Coma Scale 13"),
    ),
    Presentation(
        "endo", (22, 65), ("weight loss despite a good appetite", "a fast heartbeat with trembling"),
        ("heat intolerance", "loose stools", "bulging eyes"),
        ("a thyroid disorder in the mother", "no heart disease"),
        ("TSH below 0.01", "soft diffuse goiter", "fine tremor of the fingers"),
    ),
    Presentation(
        "endo internal", (30, 75), ("constant thirst", "passing urine many times a night"),
        ("blurred vision", "tiredness after meals"), ("type 2 diabetes in both parents", "obesity"),
        ("HbA1c 10.4 %", "fasting glucose 236 mg/dL", "reduced feeling in both feet"),
    ),
    Presentation(
        "endo", (25, 60), ("a rounder face with purple stretch marks", "weight gain around the trunk"),
        ("easy bruising", "weak thigh muscles"), ("new high blood pressure", "no steroid use"),
        ("raised midnight cortisol", "violaceous striae on the abdomen"),
    ),
    Presentation(
        "skin onco", (35, 85), ("a mole that has changed", "a dark spot that bleeds"),
        ("itching of the spot", "growth over four months"), ("many sunburns in youth", "skin cancer in the father"),
        ("asymmetric lesion of 9 mm with irregular borders", "three colours under the dermatoscope"),
    ),
    Presentation(
        "skin", (18, 70), ("scaly plaques on the elbows", "a thick, flaking rash on the scalp"),
        ("itching at night", "flares in winter"), ("the same rash in a brother", "no relief from moisturizer"),
        ("silvery plaques on extensor surfaces", "pitted nails"),
    ),
    Presentation(
        "skin", (18, 35), ("painful pimples on the face and back", "spots that leave scars"),
        ("oily skin", "embarrassment about the face"), ("creams bought at the pharmacy without effect",),
        ("comedones and nodules", "pitted scars on both cheeks"),
    ),
    Presentation(
        "skin", (18, 60), ("an itchy rash in the elbow creases", "dry, cracked hands"),
        ("scratching at night", "weeping patches"), ("asthma", "work as a hairdresser"),
        ("lichenified patches", "fissures on the fingertips"),
    ),
    Presentation(
        "ortho", (45, 85), ("knee pain on stairs", "a stiff and aching knee"),
        ("stiffness for ten minutes in the morning", "a walking distance of 300 m"),
        ("years of tiling work", "excess weight"), ("narrowed joint space on the X-ray", "crepitus on movement"),
    ),
    Presentation(
        "ortho", (45, 85), ("hip pain with a limp", "groin pain on walking"),
        ("trouble putting on socks", "pain at night"), ("a hip disorder in childhood", "excess weight"),
        ("painful internal rotation", "hip joint space lost on the X-ray"),
    ),
    Presentation(
        "ortho", (18, 50), ("a knee that gives way after a skiing fall", "a swollen knee after a football match"),
        ("swelling within an hour", "a popping sound at the time"),
        ("competitive sport", "a torn meniscus years ago"), ("positive Lachman test", "large joint effusion"),
    ),
    Presentation(
        "ortho", (40, 75), ("shoulder pain after a fall from a bicycle", "shoulder pain on overhead work"),
        ("inability to lift the arm above the shoulder", "pain when lying on that side"),
        ("work as a painter", "tennis twice a week"), ("weak abduction", "tendon tear on ultrasound"),
    ),
    Presentation(
        "ortho emergency", (55, 92), ("wrist pain after slipping on ice", "a bent wrist after a fall"),
        ("visible deformity", "tingling in the fingers"), ("osteoporosis", "a broken ankle last year"),
        ("dorsally displaced fracture on the X-ray", "swollen, tender wrist"),
    ),
    Presentation(
        "ortho emergency", (65, 95), ("hip pain after a fall in the bathroom", "inability to stand after a stumble"),
        ("pain on every movement of the leg", "a night spent on the floor"), ("osteoporosis", "use of a walker"),
        ("fractured femoral neck on the X-ray", "shortened and rotated leg"),
    ),
    Presentation(
        "cardio", (48, 85), ("chest pressure on climbing stairs", "tightness in the chest on cold mornings"),
        ("relief after a few minutes of rest", "a dull ache in the left arm"),
        ("high cholesterol", "a father with an infarction at 52"),
        ("ST depression on exercise", "normal ECG at rest"),
    ),
    Presentation(
        "cardio internal", (55, 90), ("shortness of breath on the flat", "swollen ankles and breathlessness"),
        ("two pillows at night", "a gain of 4 kg in a week"), ("an old infarction", "high blood pressure"),
        ("systolic murmur at the apex", "ejection fraction 35 %", "crackles at both lung bases"),
    ),
    Presentation(
        "cardio", (20, 85), ("an irregular pulse noted on a watch", "racing heart several times a week"),
        ("near fainting", "chest fluttering"), ("much coffee", "high blood pressure"),
        ("atrial fibrillation on Holter monitoring", "short runs of narrow complex tachycardia"),
    ),
    Presentation(
        "cardio emergency", (45, 88), ("crushing chest pain for an hour", "pain in the chest and left arm"),
        ("cold sweat", "nausea"), ("diabetes", "a stent two years ago"),
        ("ST elevation in II, III and aVF", "troponin 0.9 ng/mL"),
    ),
    Presentation(
        "rheuma", (28, 75), ("painful, swollen finger joints", "morning stiffness lasting two hours"),
        ("trouble opening jars", "tiredness"), ("psoriasis in the family", "ibuprofen every day"),
        ("symmetrical swelling of the knuckles", "anti-CCP antibodies strongly positive", "CRP 38 mg/L"),
    ),
    Presentation(
        "rheuma internal", (55, 88), ("aching shoulders and hips", "a new headache over the temple"),
        ("pain on chewing", "trouble getting out of bed"), ("no injury", "statin stopped without effect"),
        ("ESR 92 mm/h", "tender temporal artery"),
    ),
    Presentation(
        "rheuma kidney", (18, 45), ("a rash over both cheeks and sore joints", "foamy urine and joint pain"),
        ("mouth ulcers", "hair loss", "white fingers in the cold"),
        ("sunlight that makes it worse", "two miscarriages"),
        ("ANA 1:1280", "urine protein 2.1 g a day", "low complement"), "F",
    ),
    Presentation(
        "hema onco", (25, 80), ("swollen glands in the neck and armpit", "drenching night sweats"),
        ("weight loss of 8 kg", "itching after a bath"), ("no recent infection", "no pets"),
        ("rubbery nodes of 3 cm", "LDH 610 U/L", "enlarged spleen"),
    ),
    Presentation(
        "hema", (18, 75), ("bruises without injury", "bleeding gums and tiny red spots on the legs"),
        ("heavy bleeding after a tooth extraction", "fatigue"),
        ("a cold two weeks ago", "a bleeding tendency in an uncle"),
        ("platelets 14 K/uL", "petechiae on both shins", "prolonged aPTT"),
    ),
    Presentation(
        "hema internal", (20, 85), ("tiredness and shortness of breath on stairs", "pallor noticed by the family"),
        ("a sore tongue", "tingling feet"), ("a vegan diet", "gastric bypass"), ("hemoglobin 7.8 g/dL", "MCV 118 fL"),
    ),
    Presentation(
        "gyn", (18, 50), ("bleeding between periods", "heavy and painful periods"),
        ("pain during intercourse", "pressure on the bladder"), ("two pregnancies", "no contraception"),
        ("uterus enlarged with fibroids on ultrasound", "tender uterus"), "F",
    ),
    Presentation(
        "gyn endo", (18, 36), ("no period for five months", "irregular periods and unwanted hair"),
        ("acne", "weight gain"), ("a wish for children", "diabetes in the mother"),
        ("many small follicles in both ovaries", "raised testosterone"), "F",
    ),
    Presentation(
        "gyn emergency", (18, 42),
        ("lower belly pain seven weeks after the last period", "bleeding in early pregnancy"),
        ("shoulder tip pain", "dizziness"), ("an earlier tubal infection", "a positive home pregnancy test"),
        ("beta-hCG 3,200 IU/L with an empty uterus", "tender right adnexa"), "F",
    ),
    Presentation(
        "gyn onco", (54, 84), ("bleeding long after menopause", "brown discharge years after the last period"),
        ("pelvic pressure", "fatigue"), ("no children", "excess weight and diabetes"),
        ("endometrium of 14 mm on ultrasound", "atypical cells on biopsy"), "F",
    ),
    Presentation(
        "uro", (55, 88), ("a weak urinary stream", "getting up five times a night to pass urine"),
        ("dribbling at the end", "a feeling of incomplete emptying"), ("tamsulosin for two years", "no fever"),
        ("smooth, enlarged prostate", "residual volume of 180 mL", "PSA 3.1 ng/mL"), "M",
    ),
    Presentation(
        "uro emergency", (25, 65), ("colicky flank pain", "waves of pain from the back to the groin"),
        ("nausea", "restlessness"), ("an earlier stone", "little to drink"),
        ("blood on the urine dipstick", "7 mm stone in the ureter on CT"),
    ),
    Presentation(
        "uro onco", (52, 85), ("painless blood in the urine", "red urine with clots"), ("no burning", "weight loss"),
        ("work in a dye factory", "30 pack-years"),
        ("filling defect in the bladder on ultrasound", "hemoglobin 10.9 g/dL"),
    ),
    Presentation(
        "eye", (55, 90), ("clouded vision", "glare when driving at night"), ("faded colours", "trouble reading"),
        ("diabetes", "steroid tablets"), ("opaque lens on both sides", "visual acuity 20/80"),
    ),
    Presentation(
        "eye emergency", (40, 85), ("a curtain over one eye", "sudden flashes and floaters"),
        ("no pain", "a shadow from below"), ("strong short sight", "an earlier eye operation"),
        ("detached retina on fundoscopy", "visual acuity of counting fingers"),
    ),
    Presentation(
        "eye emergency", (55, 85), ("sudden eye pain with halos around lights", "a red, very painful eye"),
        ("vomiting", "headache on that side"), ("strong far sight", "eye drops given for an examination"),
        ("mid-dilated pupil with a hard eyeball", "hazy cornea"),
    ),
    Presentation(
        "psych", (18, 75), ("low mood for three months", "loss of interest in everything"),
        ("waking at four in the morning", "feelings of guilt", "poor concentration"),
        ("a divorce", "an earlier episode"), ("flat affect, slow speech", "PHQ-9 score 21", "no suicidal plan"),
    ),
    Presentation(
        "psych", (18, 60), ("worry that does not stop", "sudden attacks of fear in buses"),
        ("muscle tension", "avoidance of crowds", "trouble falling asleep"),
        ("a normal cardiac work-up", "a mother with anxiety"), ("GAD-7 score 17", "restless, fidgeting"),
    ),
    Presentation(
        "psych emergency", (18, 50), ("voices that comment on every action", "fear of being followed"),
        ("mistrust of neighbours", "withdrawal from friends"),
        ("medication stopped a month ago", "cannabis every day"),
        ("disorganized thinking", "urine drug screen positive for THC"),
    ),
    Presentation(
        "psych emergency", (20, 60),
        ("no sleep for five days with grand plans", "reckless spending and racing thoughts"),
        ("irritability when contradicted", "talking without pause"),
        ("lithium stopped in spring", "an earlier depression"), ("pressured speech", "elated mood, no insight"),
    ),
    Presentation(
        "onco surgery", (38, 82), ("a lump in the breast", "a dimple in the skin of the breast"),
        ("discharge from the nipple", "a lump in the armpit"),
        ("breast cancer in the mother", "hormone therapy for ten years"),
        ("hard, fixed mass of 3 cm", "BI-RADS 5 on mammography"), "F",
    ),
    Presentation(
        "onco surgery internal", (50, 86), ("blood in the stool", "narrower stools for two months"),
        ("weight loss of 9 kg", "tiredness"), ("no screening so far", "colon cancer in a brother"),
        ("ulcerated mass on colonoscopy", "CEA 48 ng/mL"),
    ),
    Presentation(
        "onco surgery internal", (52, 86), ("yellow skin without pain", "dull upper belly pain and pale stools"),
        ("weight loss of 7 kg", "loss of appetite"), ("40 pack-years", "diabetes found last month"),
        ("mass in the head of the pancreas on CT", "bilirubin 9.2 mg/dL"),
    ),
    Presentation(
        "internal", (45, 88), ("tiredness and a swollen belly", "unclear weight loss"),
        ("itching", "poor appetite", "easy bruising"), ("hepatitis C in the past", "daily alcohol"),
        ("bilirubin 3.1 mg/dL", "spider veins on the chest", "albumin 2.6 g/dL"),
    ),
    Presentation(
        "internal", (25, 75), ("heartburn after every meal", "acid taste at night"),
        ("bloating", "a night-time cough"), ("antacids without lasting relief", "late meals"),
        ("soft abdomen", "normal blood count"),
    ),
    Presentation(
        "internal", (18, 60), ("loose stools for two months", "cramps relieved by passing stool"),
        ("bloating", "urgency in the morning"), ("stress at work", "no blood in the stool"),
        ("soft abdomen", "normal calprotectin", "normal blood count"),
    ),
    Presentation(
        "internal cardio", (40, 82),
        ("high readings on the home blood pressure monitor", "headaches with a pressure of 170"),
        ("mild headache", "poor sleep"), ("three drugs taken irregularly", "a salty diet"),
        ("blood pressure 172/96", "left ventricular hypertrophy on the ECG"),
    ),
    Presentation(
        "internal", (48, 86), ("a cough with sputum each winter", "breathlessness on hills"),
        ("wheezing in the morning", "three courses of antibiotics this year"), ("35 pack-years", "work in a bakery"),
        ("FEV1 58 % of predicted", "barrel chest"),
    ),
    Presentation(
        "infection", (20, 60), ("fever after a trip to Ghana", "fever since returning from Uganda"),
        ("chills every other day", "headache"), ("no malaria tablets", "many mosquito bites"),
        ("platelets 82 K/uL", "parasites on the blood smear", "temperature 39.6 °C"),
    ),
    Presentation(
        "infection internal", (22, 70), ("a cough with night sweats for two months", "blood in the sputum"),
        ("weight loss", "evening fevers"), ("time in prison", "a cousin treated for tuberculosis"),
        ("cavity in the upper lobe", "positive interferon-gamma test"),
    ),
    Presentation(
        "infection", (20, 60), ("recurring mouth thrush", "swollen glands and weight loss"),
        ("shingles twice this year", "diarrhea for weeks"),
        ("unprotected sex with several partners", "shared needles"), ("CD4 count 160", "white patches on the palate"),
    ),
    Presentation(
        "infection ortho", (45, 85), ("a draining wound over an artificial knee", "a hot, painful knee prosthesis"),
        ("night pain", "chills"), ("knee replacement a year ago", "diabetes"),
        ("Staphylococcus aureus in the joint fluid", "CRP 140 mg/L"),
    ),
    Presentation(
        "infection neurosurgery", (35, 80), ("back pain with fever", "spinal pain that is worse at night"),
        ("chills", "weak legs since yesterday"), ("injected drugs", "a skin abscess last month"),
        ("disc space infection on MRI", "Staphylococcus aureus in two blood cultures"),
    ),
    Presentation(
        "surgery", (20, 82), ("a lump in the groin", "a bulge near the navel"),
        ("a dragging feeling on lifting", "growth over a year"), ("heavy work", "chronic cough"),
        ("reducible bulge on coughing", "no signs of strangulation"),
    ),
    Presentation(
        "surgery", (25, 75), ("pain under the right ribs after fatty meals", "colic after dinner"),
        ("nausea", "pain that goes to the shoulder"), ("gallstones in the mother", "rapid weight loss by diet"),
        ("gallstones on ultrasound", "normal bilirubin"),
    ),
    Presentation(
        "surgery emergency", (18, 55), ("belly pain that moved to the lower right", "pain in the right lower belly"),
        ("no appetite", "vomiting once"), ("fever since last night", "no earlier operation"),
        ("rebound tenderness", "WBC 16.8 K/uL"),
    ),
    Presentation(
        "surgery emergency", (35, 88), ("a swollen belly with vomiting", "cramping belly pain in waves"),
        ("no stool or wind since yesterday", "hiccups"), ("an earlier laparotomy", "a hernia never repaired"),
        ("air-fluid levels on the X-ray", "high-pitched bowel sounds"),
    ),
    Presentation(
        "kidney internal", (35, 85), ("swollen legs and foamy urine", "a falling kidney function"),
        ("tiredness", "itching", "less urine than usual"), ("diabetes for 15 years", "daily ibuprofen for back pain"),
        ("creatinine 3.4 mg/dL", "urine protein 4.8 g a day", "small kidneys on ultrasound"),
    ),
    Presentation(
        "kidney", (18, 50), ("dark urine after a sore throat", "cola-coloured urine"),
        ("puffy eyes in the morning", "less urine than usual"), ("no stones", "a cold ten days ago"),
        ("red cell casts in the urine", "blood pressure 158/94"),
    ),
    Presentation(
        "kidney", (25, 60), ("high blood pressure with kidney cysts", "dull pain in both flanks"),
        ("blood in the urine once", "headaches"), ("a father on dialysis", "a brother with kidney cysts"),
        ("multiple cysts in both kidneys", "creatinine 2.1 mg/dL"),
    ),
    Presentation(
        "emergency", (18, 70), ("hives and a swollen tongue after a meal", "trouble breathing after a wasp sting"),
        ("dizziness", "a tight throat"), ("a known nut allergy", "an adrenaline pen left at home"),
        ("blood pressure 84/50", "wheeze on both sides"),
    ),
    Presentation(
        "emergency", (18, 70), ("burns from hot oil", "a scald of the forearm"), ("severe pain", "blisters"),
        ("an accident in the kitchen", "cooling with water for ten minutes"),
        ("blisters over the forearm", "redness of 4 % of the body surface"),
    ),
    Presentation(
        "emergency psych", (18, 60), ("an overdose of sleeping tablets", "thirty tablets swallowed after a quarrel"),
        ("drowsiness", "regret about it"), ("an empty blister pack found", "an earlier attempt"),
        ("Glasgow Coma Scale 12", "paracetamol level pending"),
    ),
    Presentation(
        "emergency surgery", (18, 80), ("a collision at 60 km/h", "a fall from a ladder of three metres"),
        ("chest wall pain", "belly pain"), ("blood thinners", "no loss of consciousness"),
        ("free fluid on ultrasound", "heart rate 118/min"),
    ),
)
