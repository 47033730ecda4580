"""Criminal cases by what each person did: the facts behind the mud sample.

A case has a principal and may have others with parts of their own; every part carries the charge that follows from
it, and no text names a charge. {A} is the principal, {X} the person whose part it is, {victim} and {witness} are
people the court gives by surname; the rest is in `court.DETAILS`. See `wording.expand`.
"""

from __future__ import annotations

from dataclasses import dataclass

MAKING = "Offences of Illegal Manufacture of Firearms"
TRADING = "Offences of Illegal Trade in Firearms"
POSSESSING = "Offences of Illegal Possession of Firearms"
SELLING_FAKES = "Offence of Selling Counterfeit Registered Goods"
CONTRACT_FRAUD = "Contract Fraud"
ILLEGAL_BUSINESS = "Offence of Illegal Business Operation"
FAKING_MARKS = "Offence of Counterfeiting a Registered Trademark"
HOMICIDE = "Intentional Homicide"
INJURY = "Intentional Injury"
DETENTION = "Crime of Illegal Detention"
ROBBERY = "Robbery"
FRAUD = "Fraud"
EXTORTION = "Extortion and Blackmail"
BLUFFING = "Crime of Cheating and Bluffing"
AFFRAY = "Crime of Affray"
QUARRELS = "Crime of Picking Quarrels and Provoking Troubles"
PROCEEDS = "Concealment of Proceeds of Crime"
HARBORING = "Harboring and Covering"
ORGANISING = "Crime of Organisation of Prostitution"
FACILITATING = "Crime of Facilitating the Organisation of Prostitution"
PREMISES = "Crime of Harboring Prostitution"
PROCURING = "Crime of Procuring prostitution"


@dataclass(frozen=True)
class Part:
    """What one defendant did, and the charge that follows."""

    charge: str
    act: str


@dataclass(frozen=True)
class Trial:
    """A case: `principal` always appears, up to two of `others` may join."""

    principal: Part
    others: tuple[Part, ...] = ()


# parts that fit more than one case
HID_FRIEND = Part(
    HARBORING,
    "Defendant {X}, {a cousin|a former classmate|an old neighbour} of {A}, knew what had happened, and yet hid {A} in "
    "{a rented flat|an orchard hut} for {six|nine|twenty} days and told the police who called that {A} had not been "
    "seen for months.",
)
DROVE_AWAY = Part(
    HARBORING,
    "The same night {A} telephoned defendant {X} and told the whole story; {X} {drove {A} to another province|bought "
    "{A} a coach ticket under another name} and handed over {2,000|3,500|5,000} yuan for the journey, and later gave "
    "investigators a false account.",
)
MOVED_MONEY = Part(
    PROCEEDS,
    "Defendant {X} had no share in the plan, but, on seeing where the money came from, lent {A} {three|four} bank "
    "cards for a {fee of 2 per cent|reward of 3,000 yuan}, withdrew {180,000|240,000} yuan from machines in {several "
    "towns|two districts} and passed the cash on.",
)
BOUGHT_LOOT = Part(
    PROCEEDS,
    "Defendant {X}, who runs a {second-hand telephone stall|small repair shop}, bought the things from {A} {later} for "
    "a third of their value, although {A} had said openly how they had been come by, and resold them.",
)
HELD_ONE = Part(
    POSSESSING,
    "One of the guns had ended up with defendant {X}, a {farmer|fish breeder} without any permit, who paid 1,800 yuan "
    "for it, never passed it on, and kept it with a handful of pellets {behind a wardrobe|under the floor of a shed} "
    "for shooting birds.",
)
RESOLD_GUNS = Part(
    TRADING,
    "Defendant {X} had no hand in the workshop but took {five|six|eight} finished guns from {A} at 1,500 yuan each, "
    "offered them in a chat group under code words, and sent them by courier to buyers in {two|three} provinces for "
    "2,600 yuan apiece.",
)
SHOP_OF_FAKES = Part(
    SELLING_FAKES,
    "Defendant {X}, who keeps a {shop|stall} in {city}, had no part in the production but bought {600|900} of these "
    "articles at a fifth of the usual price, knew from the price and the packing that the brand owner had not made "
    "them, and sold them over the counter for {130,000|170,000} yuan.",
)
CASHIER = Part(
    FACILITATING,
    "Defendant {X} was hired by {A} for a monthly wage of {4,500|6,000} yuan, took no decisions, and {kept the "
    "accounts and collected the fees|drove the women to their appointments|stood watch at the entrance and warned of "
    "police checks}, knowing what the business was.",
)
LOOKOUT = Part(
    FACILITATING,
    "Defendant {X} worked under {A} as {a receptionist|an odd-job hand}, {recruited two of the women on "
    "instruction|carried the telephones on which customers were answered} and received {200|300} yuan a day, without a "
    "say in how the place was run.",
)
STABBED = Part(
    INJURY,
    "In the tumult defendant {X}, who was not among those who had called the crowd together, drew a {fruit "
    "knife|cleaver} and wounded {victim} in the {abdomen|thigh}; the wound was assessed as a grade two serious injury.",
)

CASES: tuple[Trial, ...] = (
    # firearms
    Trial(
        Part(
            MAKING,
            "From {month} on, defendant {A}, a {lathe operator|locksmith} in {city}, bought steel tubes, springs and "
            "gas cylinders over the internet and, following drawings found on a forum, {turned and assembled|built} "
            "{seven|nine|eleven} air-powered guns in a {rented garage|cellar}. An expert report found that {six|seven} "
            "of them can fire and exceed the statutory energy limit. The workshop, the tools and half-finished barrels "
            "were seized.",
        ),
        (RESOLD_GUNS, HELD_ONE),
    ),
    Trial(
        Part(
            MAKING,
            "In {month} defendant {A} set up a drill press in {a henhouse|the back room of a bicycle shop} in {city} "
            "and converted {starting pistols|nail guns} so that they fired steel balls, {eight|ten} pieces in all. {A} "
            "tested each of them in the hills and gave {three|four} away to hunting companions. Experts classed the "
            "converted pieces as guns with lethal power.",
        ),
        (HELD_ONE, RESOLD_GUNS),
    ),
    Trial(
        Part(
            TRADING,
            "Between {month} and the following summer defendant {A} ordered {nine|twelve} air rifles from an unknown "
            "person abroad, had them sent in parts declared as {fishing tackle|car fittings}, and sold them through a "
            "messaging account to strangers for {2,800|3,600} yuan each. Payment came by mobile transfer. {A} made "
            "none of the pieces and kept none. All those recovered were found able to fire.",
        ),
        (HELD_ONE,),
    ),
    Trial(
        Part(
            TRADING,
            "In {month} defendant {A} of {city} sold a {home-made shotgun|military pistol} and {thirty|fifty} "
            "cartridges, acquired for 6,000 yuan from a stranger at a {horse market|lorry stop}, to {victim} for 9,500 "
            "yuan; {later}, {A} found a second buyer for two more pieces from the same source and handed them over in "
            "a car park.",
        ),
        (HELD_ONE,),
    ),
    Trial(
        Part(
            POSSESSING,
            "On {day} officers searching for poachers in {city} inspected the house of defendant {A} and found {a "
            "shotgun|two air rifles} with a bag of lead shot {above the ceiling|inside a grain chest}. {A} stated that "
            "{the late father had left it|a workmate who has since died had left it} there in {2009|2011} and that it "
            "was taken out only to scare wild boar. {A} holds no permit. Examination showed that it is in working "
            "order.",
        ),
    ),
    Trial(
        Part(
            POSSESSING,
            "Defendant {A} received {an air pistol|a rifle with a telescopic sight} as a {birthday present|pledge for "
            "a debt} in {month} and, though aware that private persons need a permit, hid it {in the boot of a "
            "car|under a bed} in {city} instead of handing it in. It came to light on {day} when a road check was "
            "made. The expert report states that it fires and has lethal power; no sale was intended.",
        ),
    ),
    # brands
    Trial(
        Part(
            FAKING_MARKS,
            "From {month} defendant {A} ran a workshop in {city} in which {cheap spirits were filled into collected "
            "bottles|plain shoes were stitched} and furnished with labels, boxes and seals of a well-known maker who "
            "had given no permission. {Fourteen|Nine} workers were employed. Officers found {2,300|4,100} finished "
            "pieces with a value of {410,000|560,000} yuan and the printing plates.",
        ),
        (SHOP_OF_FAKES,),
    ),
    Trial(
        Part(
            FAKING_MARKS,
            "Without leave from the owner of the mark, defendant {A} had {engine oil|washing powder|face cream} of "
            "unknown origin repacked in {city}, pasting on {logos|tins and caps} printed to look exactly like those of "
            "a famous brand. Between {month} and the day of the search {A} turned out {5,000|8,200} packages, worth "
            "{290,000|370,000} yuan. Moulds and a {heat sealer|label printer} were taken away.",
        ),
        (SHOP_OF_FAKES,),
    ),
    Trial(
        Part(
            SELLING_FAKES,
            "Defendant {A} opened {an online shop|a boutique} in {city} in {month}, bought {handbags|trainers|watches} "
            "bearing famous logos from a wholesale market at a tenth of the list price, and sold them to the public as "
            "{end-of-line|customs} stock. {A} knew that the goods did not come from the brand's owner, and made "
            "nothing personally. Sales reached {220,000|310,000} yuan; goods worth 90,000 yuan were still in store.",
        ),
    ),
    Trial(
        Part(
            SELLING_FAKES,
            "Between {month} and the search on {day}, defendant {A}, a {wine|cigarette lighter|cosmetics} dealer in "
            "{city}, took delivery of goods with copied brand labels from a supplier known only as 'Old Brother' and "
            "passed them on to {eleven|twenty} small shops. Chat records show that {A} called them 'high imitation' "
            "when bargaining. The turnover was {260,000|340,000} yuan.",
        ),
    ),
    # deceit
    Trial(
        Part(
            CONTRACT_FRAUD,
            "Using {a company that existed on paper only|a forged seal of a building firm}, defendant {A} signed an "
            "agreement in {month} with {victim}'s firm in {city} for the supply of {300 tonnes of steel|two "
            "excavators|garlic for export} and took a {deposit|performance bond} of {350,000|480,000} yuan. {A} had "
            "neither goods nor means to get them, spent the sum on private debts, delivered nothing on the agreed date "
            "and could no longer be reached.",
        ),
        (MOVED_MONEY,),
    ),
    Trial(
        Part(
            CONTRACT_FRAUD,
            "Defendant {A} rented {nine cars|four lorries} from a leasing firm in {city} in {month}, each under a "
            "written lease with a small first payment, with no intention of keeping to it. The vehicles were pledged "
            "{within days|at once} to private lenders with forged papers, and {A} disappeared with {410,000|530,000} "
            "yuan. The lessor, {victim}, traced {two|three} of them by satellite.",
        ),
        (MOVED_MONEY, HID_FRIEND),
    ),
    Trial(
        Part(
            FRAUD,
            "In {month} defendant {A} made friends with {victim} of {city} on a dating platform under the name and "
            "photographs of a stranger, spoke of {a sick mother|an operation|a car crash}, and asked again and again "
            "for help. Believing this, {victim} transferred {86,000|140,000} yuan in {twelve|fifteen} payments. All of "
            "it went on {online games|gambling}; the account was then deleted.",
        ),
        (MOVED_MONEY,),
    ),
    Trial(
        Part(
            FRAUD,
            "Defendant {A} called elderly people in {city} from {month} onwards, told each that {a grandchild was in "
            "hospital after an accident and money was needed at once|a car had been won and money was needed for the "
            "taxes}. {Seven|Nine} people, among them {victim}, sent between 4,000 and 30,000 yuan. There was no word "
            "of truth in it. {A} noted the sums in a school exercise book.",
        ),
        (MOVED_MONEY,),
    ),
    Trial(
        Part(
            BLUFFING,
            "From {month}, wearing a {uniform bought online|badge made to order}, defendant {A} went about in {city} "
            "as {an officer of the traffic police|a section chief of the provincial government|an inspector of the "
            "discipline commission}. {A} was given free meals and {a seat at official functions|lodging}, promised "
            "{victim} to {arrange a post for a son|have a penalty lifted} and enjoyed the trust of the whole street. "
            "No such post was ever held. The standing of the office suffered.",
        ),
    ),
    Trial(
        Part(
            BLUFFING,
            "Defendant {A}, {unemployed|a dismissed security guard}, posed before {victim} in {month} as {a judge|a "
            "public prosecutor|an army colonel}, showed a forged pass, and for half a year lived with the family in "
            "{city} and was {entertained by village leaders|driven about in a village car} on the strength of that "
            "rank. Questioned on {day}, {A} could name neither a superior nor an office.",
        ),
    ),
    # business without a licence
    Trial(
        Part(
            ILLEGAL_BUSINESS,
            "{Without a tobacco retail licence, defendant {A} bought genuine cigarettes in another province|Without a "
            "permit for the sale of fuel, defendant {A} bought diesel from a refinery} from {month} on and sold the "
            "stock from a warehouse in {city} to all comers. The goods themselves were in order. Ledgers show takings "
            "of {620,000|880,000} yuan and a profit of {45,000|71,000} yuan. The authorities had warned {A} twice.",
        ),
    ),
    Trial(
        Part(
            ILLEGAL_BUSINESS,
            "Defendant {A} applied for {six|nine} card terminals under borrowed names and, from {month}, let card "
            "holders in {city} make sham purchases on them, paying out the amount in cash less {0.8|1.2} per cent. No "
            "{goods were sold|trade took place} and no approval for payment business had been given by the central "
            "bank. The total came to {3.1|4.6} million yuan; no card holder lost money.",
        ),
    ),
    # violence against persons
    Trial(
        Part(
            HOMICIDE,
            "On {day}, after {victim} had {asked for a separation|refused to repay a loan}, defendant {A} waited in "
            "the stairwell of a house in {city} with {a boning knife|an axe} bought that morning. When {victim} came "
            "home, {A} struck {victim} repeatedly in the neck and chest, said that {victim} was to die, and blocked "
            "the way of a neighbour who wanted to help. {victim} died on the spot.",
        ),
        (HID_FRIEND, DROVE_AWAY),
    ),
    Trial(
        Part(
            HOMICIDE,
            "Defendant {A} had long been at odds with {victim} about {a boundary wall|an inheritance}. On {day} {A} "
            "{put a pesticide in the family's soup|drove a tractor at {victim} on a field path, turned and drove over "
            "{victim} again}, having told {witness} the week before that the matter would end with a funeral. {victim} "
            "died in hospital in {city}.",
        ),
        (HID_FRIEND, DROVE_AWAY),
    ),
    Trial(
        Part(
            INJURY,
            "At {hour} on {day} defendant {A} and {victim} quarrelled over {a parking space|a game of cards|a bill} in "
            "{city}. They shoved each other; {A} then picked up a {stool|beer bottle|spade} and hit {victim} on the "
            "{arm|head} once, let go when {witness} stepped in, and called an ambulance. The forensic report found a "
            "{fracture|torn tendon}, a grade one minor injury.",
        ),
        (HID_FRIEND,),
    ),
    Trial(
        Part(
            INJURY,
            "In {month} defendant {A}, angry that {victim} had {reported a building without permit|spoken ill of the "
            "family}, went to {victim}'s field in {city} and beat {victim}'s legs with a {hoe handle|steel pipe} to "
            "teach a lesson. Both shins were broken, which experts assessed as grade two serious injury. {A} aimed at "
            "nothing else and left when {victim} lay down.",
        ),
        (HID_FRIEND, DROVE_AWAY),
    ),
    Trial(
        Part(
            DETENTION,
            "Because {victim} owed {60,000|90,000} yuan, defendant {A} had {victim} brought from a {tea house|bus "
            "station} in {city} to a {hotel room|storeroom} on {day}, took away the telephone, and kept watch at the "
            "door for {thirty|fifty-two} hours so that {victim} could not leave. Only the debt, which was real, was "
            "spoken of. A cleaner heard knocking and fetched the police.",
        ),
        (
            Part(
                INJURY,
                "Called in on the second day, defendant {X}, who had not been told of the plan, lost patience with "
                "{victim} and, against the wish of {A}, struck {victim} with a {chair leg|belt buckle}; a ruptured "
                "spleen followed, a grade two serious injury.",
            ),
        ),
    ),
    Trial(
        Part(
            DETENTION,
            "In {month} defendant {A}, who led a sales scheme in {city}, had newcomers such as {victim} {locked in a "
            "flat|followed at every step} for {eleven|sixteen} days to make them attend its classes. Windows were "
            "barred and doors bolted at night; whoever wanted to go was held back by the arms. {victim} paid nothing "
            "and got out by climbing down a drainpipe.",
        ),
    ),
    Trial(
        Part(
            ROBBERY,
            "At {hour} on {day} defendant {A} followed {victim} into an {underpass|alley} in {city}, held a "
            "{knife|screwdriver} to the throat, and demanded {victim}'s handbag there and then. When {victim} held on "
            "to it, {A} hit {victim} in the face and tore it away. It contained a telephone, a gold chain and "
            "{900|2,400} yuan.",
        ),
        (BOUGHT_LOOT, HID_FRIEND, DROVE_AWAY),
    ),
    Trial(
        Part(
            ROBBERY,
            "Defendant {A} got into {victim}'s taxi at the station in {city} at {hour} on {day} and on a country road "
            "{sprayed pepper|looped a cord around the driver's neck}, tied {victim} to the seat and made off with {the "
            "takings, 1,700 yuan,|a telephone worth 3,300 yuan} and the car. It was found burnt out {later}.",
        ),
        (BOUGHT_LOOT, HID_FRIEND, DROVE_AWAY),
    ),
    Trial(
        Part(
            EXTORTION,
            "Having {secretly photographed {victim} with a companion|copied private pictures from a telephone left for "
            "repair}, defendant {A} wrote to {victim} from {month} on that they would be sent to {the family|the "
            "employer} unless {30,000|80,000} yuan arrived within {three|five} days. Out of fear {victim} paid "
            "{two|three} times into an account in {city}, and went to the police at the next demand.",
        ),
        (MOVED_MONEY,),
    ),
    Trial(
        Part(
            EXTORTION,
            "Defendant {A} {waited outside restaurants in {city} and threatened people who drove off after "
            "drinking|bought food past its date in {city} and threatened the shopkeepers}, {victim} among them, with a "
            "report to the authorities unless they paid {2,000|6,000} yuan on the quiet. Between {month} and the "
            "arrest {eighteen|twenty-three} of them gave in. {A} never used force and gave all of them time to fetch "
            "the money.",
        ),
    ),
    # public order
    Trial(
        Part(
            AFFRAY,
            "After {a dispute over a snooker table|insults in a chat group}, defendant {A} agreed with {witness}'s "
            "side to settle things at {hour} on {day} {in a car park|on a river bank} in {city}. {A} called together "
            "{fifteen|twenty} people and handed out {sticks|steel pipes}. Two crowds of about equal size went at each "
            "other for ten minutes, and traffic stopped; several on both sides had bruises.",
        ),
        (
            Part(
                AFFRAY,
                "Defendant {X} led the opposite crowd, had brought {a dozen men|a van full of friends} and {baseball "
                "bats|bottles} at the agreed time, and ran at the front when the two sides met.",
            ),
            STABBED,
        ),
    ),
    Trial(
        Part(
            AFFRAY,
            "On {day} two groups of {pupils of a trade school|building workers} in {city} fixed a fight by telephone. "
            "Defendant {A} took an active part for the first of them: {A} fetched {shovels|belts and bricks}, gave the "
            "signal to charge at {hour}, and fought with the other group, some thirty people in all, until patrol cars "
            "arrived. Shops in the street had to close.",
        ),
        (
            Part(
                AFFRAY,
                "Defendant {X} answered the call on the other side, distributed {helmets|clubs} among {ten|fourteen} "
                "companions and fought in the first row.",
            ),
            STABBED,
        ),
    ),
    Trial(
        Part(
            QUARRELS,
            "Drunk and bored, defendant {A} walked along the night market of {city} at {hour} on {day}, {kicked over "
            "stalls|threw stools about} without any cause, shouted at guests whom {A} had never met, and slapped "
            "{victim}, a stranger, for {looking|laughing}. {Three|Four} passers-by were chased across the square and "
            "had scratches. The damage to goods was {2,600|4,300} yuan.",
        ),
    ),
    Trial(
        Part(
            QUARRELS,
            "From {month} defendant {A} and idle companions lorded it over a {row of restaurants|food street} in "
            "{city}: they ate without paying, {blocked the door with a lorry|poured paint over parked cars} for fun "
            "and forced {victim}, whom they did not know, to {kneel|apologise} in the street. On {day} {A} smashed "
            "{the windows of a bar|six shop signs}, giving no reason but a bad mood.",
        ),
    ),
    # paid sex, told as a court would
    Trial(
        Part(
            ORGANISING,
            "From {month} defendant {A} rented two floors of a {bath house|hotel} in {city}, recruited {eight|eleven} "
            "women to offer paid sexual services, set prices and shifts, kept their identity cards, laid down fines "
            "for absence and took {40|50} per cent of each payment. {A} alone decided who worked and when. The takings "
            "were {390,000|520,000} yuan.",
        ),
        (CASHIER, LOOKOUT),
    ),
    Trial(
        Part(
            ORGANISING,
            "Defendant {A} ran a messaging group through which {six|nine} women in {city} were assigned to customers "
            "of paid sex. {A} hired them, wrote their timetable, trained new ones in the rules, shared out "
            "{flats|rooms} and paid wages every ten days. From {month} to the arrest about {1,300|1,900} appointments "
            "were booked under this system.",
        ),
        (CASHIER, LOOKOUT),
    ),
    Trial(
        Part(
            FACILITATING,
            "A person dealt with separately managed {seven|ten} women who sold sexual services in a {club|bath house} "
            "in {city}. From {month} defendant {A}, employed there at {5,000|7,000} yuan a month, {wrote the daily "
            "accounts and paid out wages|drove the women and changed their telephone numbers|watched the cameras and "
            "sounded a bell when police came}. {A} knew the nature of the place but had no power over the women, the "
            "prices or the staff.",
        ),
    ),
    Trial(
        Part(
            PREMISES,
            "Defendant {A} owns a {guest house|massage parlour|hair salon} in {city}. Between {month} and {day} {A} "
            "let {two|three} women, who worked on their own account, receive customers for paid sex in the back rooms, "
            "{40|60} yuan being due for each use. {A} did not find customers, did not direct the women, and they came "
            "and went as they liked. {Nine|Twelve} visits were proved.",
        ),
        (
            Part(
                PROCURING,
                "Defendant {X}, a {porter|taxi driver} with no share in the house, spoke to travellers, told them what "
                "could be had there, brought {four|six} of them to the women and received 50 yuan for each from the "
                "women.",
            ),
        ),
    ),
    Trial(
        Part(
            PREMISES,
            "In {month} defendant {A} sublet {a flat|three rooms} in {city} by the hour to women who, as {A} was "
            "aware, met paying customers there for sex. {A} supplied keys and bed linen, collected {80|100} yuan each "
            "time and left all else to them. Officers who came on {day} met {two|three} couples.",
        ),
    ),
    Trial(
        Part(
            PROCURING,
            "Defendant {A}, a {hotel porter|barber} in {city}, kept the telephone numbers of {two|three} independent "
            "women and from {month} on put guests who asked for paid sex in touch with them, naming the price and the "
            "place, for {50|100} yuan a time. {A} provided no room and did not manage anyone. {Seven|Eleven} such "
            "introductions were shown from chat records.",
        ),
        (
            Part(
                PREMISES,
                "The meetings took place at the inn of defendant {X}, who saw what the women's visitors came for and "
                "nevertheless let them a room each time for 60 yuan, without finding a single customer.",
            ),
        ),
    ),
    # after the fact
    Trial(
        Part(
            PROCEEDS,
            "In {month} defendant {A}, a {scrap dealer|garage owner} in {city}, bought {four motorcycles|copper "
            "cable|two electric tricycles} at night from a stranger for a quarter of the value. {The numbers had been "
            "filed off|The seller asked to be paid in cash behind the yard}, and {A} understood that {victim} and "
            "other owners were looking for such things. {A} {repainted|cut up} the lot and sold it for {21,000|34,000} "
            "yuan.",
        ),
    ),
    Trial(
        Part(
            PROCEEDS,
            "A friend asked defendant {A} in {month} to let some money pass through {A}'s {bank card|payment code}. "
            "{A} realised that the sums came from people who had been deceived on the telephone, but agreed for "
            "{1.5|2} per cent, received {320,000|450,000} yuan, drew it out at counters in {city} within hours and "
            "handed it to a courier. The callers themselves are unknown to {A}.",
        ),
    ),
    Trial(
        Part(
            HARBORING,
            "On {day} {witness}, who had stabbed a colleague in {city} and was wanted, came to defendant {A} and told "
            "everything. {A} {hid {witness} in a pigsty|let {witness} sleep in the attic} for {eight|fifteen} days, "
            "{burnt the bloodstained shirt|cut and dyed {witness}'s hair} and told officers at the door that {witness} "
            "had gone south. {A} had nothing to do with the stabbing and got nothing for it.",
        ),
    ),
    Trial(
        Part(
            HARBORING,
            "At {hour} on {day} {witness} knocked down a pedestrian while drunk in {city} and fled. Defendant {A}, "
            "told of it by telephone, went to the police {the next morning|within the hour}, claimed to have been at "
            "the wheel and repeated this in two interviews, so that {witness} would not be prosecuted. Camera pictures "
            "showed {later} that {A} had been at home.",
        ),
    ),
)

CLOSINGS = (
    "{All} admitted these facts.",
    "There is no dispute about these facts.",
    "{All} {was|were} arrested the same month; the statements of witnesses, seized objects and the minutes of the "
    "inspection bear these facts out.",
    "In court {All} did not dispute the facts, which are confirmed by {victim}'s statement, bank records and expert "
    "opinions.",
    "These facts are established by photographs of the scene, telephone records and the statements made by {All}.",
    "{All} admitted the above after arrest. The evidence was heard in open court and is accepted.",
    "The above is proved by the testimony of {witness}, surveillance footage and the statements of {All}, and is found "
    "to be true.",
)
OPENINGS = (
    "The procuratorate of {city} brought the following before the court.",
    "The court found the following after trial.",
    "It was found at trial:",
    "",
    "According to the indictment, the events were these.",
    "",
)
