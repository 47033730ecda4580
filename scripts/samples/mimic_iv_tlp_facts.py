"""Facts behind the mimic-iv-tlp sample: why people come to an emergency department and what it takes to help them."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass


@dataclass(frozen=True)
class Detail:
    """Something in the history. Where it adds resources or makes the case high-risk, it is the whole story."""

    text: str
    resources: int = 0
    high_risk: bool = False

    @property
    def decisive(self) -> bool:
        return self.high_risk or self.resources > 0


@dataclass(frozen=True)
class Visit:
    """A reason to come. `resources` is how many kinds of resource (laboratory, imaging, fluids, injections,
    procedures, consultations) it usually takes; `high_risk` that it should not wait, whatever the vital signs;
    `collapse` how such a patient looks when the life is in danger, where that can be."""

    complaint: str
    ages: tuple[float, float]
    resources: int
    details: tuple[Detail, ...]
    _: KW_ONLY
    high_risk: bool = False
    pain: tuple[int, int] = (0, 0)  # from, to out of 10
    sex: str = ""
    collapse: str = ""
    weight: int = 2  # how often it comes up, relative to the others


D = Detail
VISITS: tuple[Visit, ...] = (
    # high-risk situations
    Visit(
        "Chest pain",
        (45, 88),
        2,
        (
            D("Pressure in the chest for 40 minutes with sweating"),
            D("Pain runs to the left arm"),
            D("Stent placed two years ago"),
        ),
        high_risk=True,
        pain=(4, 8),
        weight=5,
        collapse="Grey, cold and clammy",
    ),
    Visit(
        "Slurred speech",
        (50, 92),
        3,
        (
            D("Right arm weak for an hour"),
            D("Face drooping on one side"),
            D("Takes warfarin for atrial fibrillation"),
        ),
        high_risk=True,
        weight=3,
        collapse="Snoring breaths, vomit in the mouth",
    ),
    Visit(
        "Suicidal thoughts",
        (16, 65),
        2,
        (D("Has a plan and tablets at home"), D("Earlier attempt last year")),
        high_risk=True,
        weight=3,
    ),
    Visit(
        "Overdose",
        (16, 60),
        3,
        (D("Took about 30 tablets an hour ago"), D("Tearful and regrets it")),
        high_risk=True,
        collapse="Blue lips, vomit in the mouth, empty packs of opioids found",
    ),
    Visit(
        "Allergic reaction",
        (6, 60),
        2,
        (D("Lips swollen after eating nuts"), D("Voice has become hoarse")),
        high_risk=True,
        collapse="Severe respiratory distress with stridor, lips blue",
    ),
    Visit(
        "Vaginal bleeding, early pregnancy",
        (18, 42),
        3,
        (D("Sharp pain on the right side, nearly fainted"), D("Soaked four pads this morning")),
        high_risk=True,
        pain=(4, 8),
        sex="F",
    ),
    Visit(
        "Sudden severe headache",
        (30, 75),
        2,
        (D("Worst headache of life, peaked within a minute"), D("Neck is stiff")),
        high_risk=True,
        pain=(8, 10),
    ),
    Visit(
        "Testicular pain",
        (12, 25),
        2,
        (D("Sudden onset three hours ago"), D("Vomited twice")),
        high_risk=True,
        pain=(7, 10),
        sex="M",
    ),
    Visit(
        "Fever during chemotherapy",
        (25, 80),
        3,
        (D("Last cycle nine days ago"), D("Shivering since morning")),
        high_risk=True,
    ),
    Visit(
        "Vomiting blood",
        (40, 80),
        3,
        (D("Two cups of bright blood at home"), D("Known liver cirrhosis")),
        high_risk=True,
        collapse="Vomiting large amounts of blood, very pale",
    ),
    Visit(
        "Motor vehicle collision",
        (17, 80),
        3,
        (D("High speed, airbag deployed"), D("Belly is tender"), D("Brief loss of consciousness")),
        high_risk=True,
        pain=(4, 8),
        collapse="Breathing assisted with a bag and mask since the scene",
    ),
    Visit(
        "Fever in a young infant",
        (0.04, 0.2),
        3,
        (D("Feeding poorly since last night"), D("No cough or cold")),
        high_risk=True,
        weight=1,
        collapse="Limp and mottled",
    ),
    # two resources or more
    Visit(
        "Abdominal pain",
        (18, 80),
        2,
        (
            D("Pain moved to the right lower side"),
            D("Vomited once, no appetite"),
            D("No fever, bowels open"),
            D("Earlier abdominal surgery"),
        ),
        pain=(4, 8),
        weight=7,
    ),
    Visit(
        "Shortness of breath",
        (40, 88),
        3,
        (
            D("Cough with green sputum for three days"),
            D("Known lung disease, uses inhalers"),
            D("Cannot lie flat, legs swollen"),
        ),
        weight=6,
        collapse="Single words only before arrival, now exhausted",
    ),
    Visit(
        "Vomiting and diarrhea",
        (18, 75),
        2,
        (D("Cannot keep fluids down since yesterday"), D("Dizzy on standing"), D("Passed little urine today")),
        pain=(1, 5),
        weight=5,
    ),
    Visit(
        "Flank pain",
        (22, 65),
        2,
        (D("Comes in waves and runs to the groin"), D("Blood in the urine"), D("Earlier kidney stone")),
        pain=(5, 10),
        weight=4,
    ),
    Visit(
        "Dizziness",
        (40, 88),
        2,
        (D("Spinning when turning the head"), D("Started a new blood pressure tablet"), D("Nearly fell twice")),
        weight=4,
    ),
    Visit(
        "Fall",
        (68, 95),
        2,
        (D("Hip pain, cannot bear weight"), D("Slipped in the bathroom"), D("Lives alone")),
        pain=(4, 8),
        weight=4,
    ),
    Visit(
        "Leg swelling",
        (35, 88),
        2,
        (D("One calf painful since a long flight"), D("Redness spreading up the shin"), D("Diabetes")),
        pain=(2, 6),
        weight=3,
    ),
    Visit(
        "Headache",
        (18, 60),
        2,
        (D("Typical migraine, light hurts"), D("Vomited, own tablets did not help")),
        pain=(4, 8),
        weight=4,
    ),
    Visit(
        "Cough and fever",
        (20, 85),
        2,
        (D("Yellow sputum for five days"), D("Pain on deep breaths"), D("Smoker")),
        pain=(0, 4),
        weight=4,
        collapse="Lips blue, gasping",
    ),
    Visit(
        "Weakness",
        (55, 92),
        3,
        (D("Not eating for a week"), D("Black stools for two days"), D("Family reports more falls")),
        weight=4,
        collapse="Found on the floor at home, skin cold",
    ),
    Visit(
        "Palpitations",
        (20, 80),
        2,
        (D("Came on suddenly an hour ago"), D("Drinks much coffee"), D("Thyroid disease")),
        weight=4,
    ),
    Visit(
        "Wheezing",
        (3, 16),
        2,
        (D("Known asthma, used the inhaler three times"), D("Cold for two days")),
        weight=3,
        collapse="Silent chest, exhausted, lips blue",
    ),
    Visit(
        "Fever and ear pain with vomiting",
        (2, 8),
        2,
        (D("Not drinking, dry mouth"), D("No tears when crying")),
        pain=(2, 6),
    ),
    # one resource or none, unless a detail says otherwise
    Visit(
        "Ankle injury",
        (8, 60),
        1,
        (
            D("Twisted on a step, can walk a little"),
            D("Swelling on the outer side"),
            D("Foot is cold and numb", high_risk=True),
        ),
        pain=(3, 7),
        weight=6,
    ),
    Visit(
        "Laceration of the hand",
        (6, 70),
        1,
        (
            D("Cut by a kitchen knife, bleeding stopped"),
            D("2 cm long, edges gape"),
            D("Cannot bend the finger; the tendon may be cut", resources=1),
        ),
        pain=(1, 5),
        weight=6,
    ),
    Visit(
        "Burning on urination",
        (18, 60),
        1,
        (
            D("Passes urine often, no fever"),
            D("Same complaint last year"),
            D("Shivering and back pain, vomiting", resources=1),
        ),
        pain=(1, 5),
        weight=5,
    ),
    Visit(
        "Wrist injury",
        (7, 75),
        1,
        (
            D("Fell on the outstretched hand"),
            D("Swollen, no deformity"),
            D("Visibly bent, needs to be set under sedation", resources=2),
        ),
        pain=(3, 7),
        weight=4,
    ),
    Visit(
        "Sore throat",
        (5, 50),
        1,
        (
            D("Swallows fluids well; a rapid swab is wanted"),
            D("White spots on the tonsils"),
            D("Drools and cannot open the mouth", high_risk=True),
        ),
        pain=(2, 6),
        weight=4,
    ),
    Visit(
        "Something in the eye",
        (18, 65),
        1,
        (
            D("Was grinding metal without glasses"),
            D("Feels like sand, sees normally"),
            D("Drain cleaner splashed in", high_risk=True),
        ),
        pain=(2, 7),
        weight=4,
    ),
    Visit(
        "Abscess",
        (18, 65),
        1,
        (
            D("Painful lump in the armpit for four days"),
            D("Ready to be opened"),
            D("Diabetes, red streak up the arm", resources=1),
        ),
        pain=(3, 7),
        weight=4,
    ),
    Visit(
        "Cough",
        (5, 55),
        0,
        (D("Cold for four days, sleeps well"), D("Wants something to sleep at night")),
        pain=(0, 2),
        weight=2,
    ),
    Visit(
        "Medication refill",
        (25, 80),
        0,
        (D("Ran out of blood pressure tablets yesterday"), D("Feels well")),
        weight=1,
    ),
    Visit("Suture removal", (6, 75), 0, (D("Stitches placed nine days ago"), D("Wound looks clean and dry")), weight=1),
    Visit(
        "Rash",
        (3, 60),
        0,
        (D("Itches, spreading slowly for a week"), D("New washing powder")),
        pain=(0, 2),
        weight=2,
    ),
    Visit(
        "Ear pain",
        (3, 12),
        0,
        (D("Cold for three days, plays and drinks"), D("Pulls at the ear")),
        pain=(2, 5),
        weight=1,
    ),
    Visit("Toothache", (18, 60), 0, (D("Filling lost last week"), D("No swelling of the face")), pain=(3, 7), weight=1),
)
