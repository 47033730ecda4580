"""What somebody first thinks of, by disease: the organ, the mechanism or the exposure in a few clinical words.

Each wording is a noun phrase that follows "the first impression is". Some come close to the diagnosis, as first
impressions do; none contains the label.
"""

from __future__ import annotations

IMPRESSIONS: dict[str, tuple[str, ...]] = {
    "Acute COPD exacerbation / infection": (
        "an acute flare of obstructive lungs",
        "known COPD, acutely worse than usual",
        "a smoker's COPD with an acute infection",
    ),
    "Acute dystonic reactions": (
        "an abnormal movement reaction to a medicine",
        "dystonia-like muscle spasms from a drug",
        "an extrapyramidal side effect of a neuroleptic",
    ),
    "Acute laryngitis": ("irritated vocal cords", "an inflamed larynx", "overused and swollen vocal cords"),
    "Acute otitis media": ("an infected middle ear", "pus behind the eardrum", "an infection behind the eardrum"),
    "Acute pulmonary edema": (
        "acute fluid overload of the lungs",
        "acute pulmonary congestion",
        "acute pulmonary fluid from a failing heart",
    ),
    "Acute rhinosinusitis": (
        "an acute rhinitis with infected sinuses",
        "acute inflammation of nose and sinuses",
        "acute rhinitis with pus",
    ),
    "Allergic sinusitis": ("an allergy of the nose and sinuses", "sinuses irritated by pollen", "an allergic nose"),
    "Anaphylaxis": (
        "an anaphylactoid reaction, epinephrine needed",
        "a severe, anaphylactoid allergy",
        "an allergic shock",
    ),
    "Anemia": ("iron deficiency", "too few red blood cells", "a low hemoglobin from lack of iron"),
    "Atrial fibrillation": (
        "an arrhythmia of the atria",
        "fibrillating upper heart chambers",
        "an irregular heart rhythm with fibrillation",
    ),
    "Boerhaave": ("a torn gullet", "a rupture of the esophagus after vomiting", "a hole in the esophagus"),
    "Bronchiectasis": (
        "ectasia of the bronchi",
        "dilated bronchi, bronchial ectasia",
        "cystic ectasia and scars of the bronchi",
    ),
    "Bronchiolitis": ("a bronchiolar RSV infection", "RSV in the bronchioles", "inflamed bronchioles"),
    "Bronchitis": ("inflamed bronchi", "an infection of the bronchial tubes", "irritated bronchial airways"),
    "Bronchospasm / acute asthma exacerbation": (
        "asthmatic airways in spasm",
        "spasm of the bronchi in an asthmatic",
        "a flare of asthma",
    ),
    "Chagas": (
        "a South American parasite, Trypanosoma cruzi",
        "a parasite carried by kissing bugs",
        "a tropical parasite from Bolivia",
    ),
    "Chronic rhinosinusitis": (
        "chronic rhinitis with polyps",
        "chronic rhinitis and blocked sinuses",
        "chronically inflamed nose and sinuses",
    ),
    "Cluster headache": (
        "one-sided headaches that come in groups",
        "a trigeminal headache in bouts",
        "a headache in series of attacks",
    ),
    "Croup": (
        "a swollen windpipe below the vocal cords",
        "a viral swelling of a toddler's upper airway",
        "a narrowed upper airway",
    ),
    "Ebola": (
        "an outbreak of hemorrhagic virus",
        "a hemorrhagic virus from the Congo",
        "a virus from the outbreak in Liberia",
    ),
    "Epiglottitis": ("an infected, swollen epiglottis", "infection of the epiglottis", "a swollen epiglottis"),
    "GERD": ("acid reflux from the stomach", "gastric acid in the esophagus", "reflux after meals"),
    "Guillain-Barré syndrome": (
        "an ascending paralysis of the nerves",
        "a demyelinating polyneuropathy",
        "a nerve weakness syndrome after an infection",
    ),
    "HIV (initial infection)": (
        "a new infection with an immunodeficiency virus",
        "an initial infection with a sexually transmitted virus",
        "exposure to the AIDS virus",
    ),
    "Influenza": ("a flu-like illness", "a seasonal winter virus, flu-like", "the flu-like virus that is going round"),
    "Inguinal hernia": (
        "a rupture in the groin",
        "a weak spot of the inguinal canal",
        "bowel pushing through the inguinal canal",
    ),
    "Larygospasm": ("a spasm of the vocal cords", "cramped vocal cords", "a throat that shuts in a spasm"),
    "Localized edema": (
        "fluid retention in the tissues",
        "edema from too much fluid",
        "local edema of one part of the body",
    ),
    "Myasthenia gravis": (
        "a myasthenic weakness",
        "an autoimmune weakness of the muscles",
        "myasthenia-like muscle weakness",
    ),
    "Myocarditis": (
        "inflamed heart muscle",
        "a virus in the heart muscle",
        "inflammation of the heart muscle after a virus",
    ),
    "PSVT": (
        "a short circuit in the heart's wiring",
        "a rapid supraventricular rhythm",
        "a heart rhythm that races in attacks",
    ),
    "Pancreatic neoplasm": (
        "a pancreatic mass",
        "a growth in the head of the pancreas",
        "a malignant growth of the pancreas",
    ),
    "Panic attack": ("an attack of acute anxiety", "sudden anxiety and fear", "panicky hyperventilation"),
    "Pericarditis": ("a pericardial rub", "an inflamed pericardium with effusion", "a pericardial effusion"),
    "Pneumonia": (
        "a pneumococcal infection",
        "a bacterial lung infection, pneumococcus",
        "a lobar infiltrate of the lung",
    ),
    "Possible NSTEMI / STEMI": (
        "possible ST elevation",
        "a possible infarct with ST elevation",
        "an infarction, ST segments to be read",
    ),
    "Pulmonary embolism": (
        "a clot that travelled to the lungs",
        "a blood clot in the pulmonary artery",
        "a pulmonary thrombus",
    ),
    "Pulmonary neoplasm": (
        "a pulmonary mass",
        "a pulmonary growth, perhaps malignant",
        "a malignant growth in the lung",
    ),
    "SLE": (
        "an autoimmune disease of skin and joints",
        "a systemic autoimmune disease",
        "antibodies against the body itself",
    ),
    "Sarcoidosis": ("sarcoid-like granulomas", "granulomas in lungs and skin", "a granulomatous, sarcoid-like disease"),
    "Scombroid food poisoning": (
        "histamine from spoiled fish",
        "food poisoning from badly stored fish",
        "poisoning by bad tuna",
    ),
    "Spontaneous pneumothorax": (
        "a spontaneous leak of air into the pleura",
        "air in the thorax, spontaneous",
        "a spontaneously collapsed lung",
    ),
    "Spontaneous rib fracture": ("a broken rib without a fall", "a cracked rib", "a rib broken by coughing"),
    "Stable angina": (
        "stable coronary disease",
        "anginal tightness, stable",
        "coronary pain on effort, unchanged and stable",
    ),
    "Tuberculosis": (
        "a mycobacterial infection of the lung",
        "mycobacteria in the sputum",
        "an infection with tubercle bacilli",
    ),
    "URTI": ("a common cold", "a viral infection of the upper airways", "an upper respiratory infection"),
    "Unstable angina": (
        "anginal pain that has become unstable",
        "coronary pain that is no longer stable",
        "unstable coronary arteries",
    ),
    "Viral pharyngitis": ("a viral throat infection", "a virus of the pharynx", "an inflamed pharynx from a virus"),
    "Whooping cough": (
        "a long cough with a whoop",
        "a childhood cough that vaccination prevents",
        "a cough with a whoop, perhaps bacterial",
    ),
}
