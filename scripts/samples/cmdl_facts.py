"""Criminal acts by gravity, and what speaks for or against a defendant: the facts behind the cmdl sample.

{A} is the principal, {X} the defendant a sentence is about; {victim} and {witness} and the other details come from
`court.draw_details`. See `wording.expand` for the braces. Gravity runs from 1 (petty) to 6 (the gravest).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Offence:
    """One kind of act: `acts` by gravity; `fined` if it is about money, drugs or the road; what a helper did, if any.

    `victims` says whether somebody can be compensated; otherwise gains can only be handed over. Where there are `jobs`,
    the principal is an adult who has one of them.
    """

    acts: dict[int, str]
    fined: bool
    help: str | None = None
    victims: bool = True
    jobs: tuple[str, ...] | None = None


JOBS = ("farmer", "driver", "shop assistant", "cook", "builder", "mechanic", "street trader", "office worker")
YOUNG_JOBS = ("apprentice", "pupil of a trade school", "kitchen help")
DRIVERS = ("driver", "farmer", "builder", "salesperson")

OFFENCES = (
    Offence(
        {
            1: "On {day} defendant {A} took {an electric bicycle|a mobile phone} worth {1,800|2,300} yuan that "
            "{victim} had left unwatched {outside a market|on a counter} in {city}.",
            2: "In {month} defendant {A} climbed into {victim}'s yard in {city} at night and carried off {copper "
            "wire|two goats|a pump} worth {7,900|12,400} yuan.",
            3: "Between {month} and {day} defendant {A} forced the doors of {nine|fourteen} flats in {city} while the "
            "owners were away and took jewellery and cash of {88,000|126,000} yuan in all.",
            4: "On {day} defendant {A} drilled open the safe of {a jeweller|a trading firm} in {city} and made off "
            "with gold and cash of {640,000|910,000} yuan, little of which was recovered.",
        },
        True,
        "{kept watch in the street|drove the van|carried the bags}",
    ),
    Offence(
        {
            1: "In {month} defendant {A} sold {victim} of {city} a {telephone|train ticket} over the internet, took "
            "{3,200|4,600} yuan and sent nothing.",
            2: "From {month} on defendant {A} told {three|four} people in {city} that {a school place|a driving "
            "licence} could be had through connections and took {28,000|41,000} yuan; there were none.",
            4: "Between {month} and {day} defendant {A} ran a false investment scheme from an office in {city}; "
            "{sixty|ninety} people, {victim} among them, lost {1.9|2.7} million yuan.",
            5: "From {month} defendant {A} collected savings in {city} for a resort that was never to be built. More "
            "than two thousand families lost {180|240} million yuan, and hardly any of it is left.",
        },
        True,
        "{answered the telephone from a script|handed out leaflets and drew a wage|lent a bank card}",
    ),
    Offence(
        {
            2: "On {day} defendant {A} sold {0.4|0.7} grams of methamphetamine to {witness} in {city} for {300|400} "
            "yuan.",
            3: "In {month} defendant {A} sold heroin on {five|eight} occasions in {city}; {16|27} grams were proved "
            "in all.",
            5: "In {month} defendant {A} bought {420|590} grams of heroin on the border and brought it to {city} for "
            "resale.",
            6: "From {month} defendant {A} led a group that brought {6.2|9.4} kilograms of heroin over the border to "
            "{city} in lorries and had it sold in three provinces.",
        },
        True,
        "{carried one packet to a buyer|rented the room in which it was kept|waited in the car}",
        victims=False,
    ),
    Offence(
        {
            1: "At {hour} on {day} defendant {A} and {victim} came to blows over {a parking space|a bill} in {city}; "
            "{victim} lost a tooth and had a light injury of the second grade, after striking first.",
            2: "At {hour} on {day} defendant {A} hit {victim} with a {beer bottle|stool} in a {restaurant|tea house} "
            "in {city}. The wrist broke, a minor injury of the first grade.",
            3: "On {day} defendant {A} stabbed {victim} in the {abdomen|back} with a fruit knife during a quarrel in "
            "{city}; the spleen had to be taken out, a serious injury of the second grade.",
            4: "On {day} defendant {A} threw {acid|boiling oil} at {victim} in {city} out of revenge. {victim} has "
            "lost the sight of both eyes, a serious injury of the first grade.",
        },
        False,
        "{held {victim}'s arms for a moment|handed over the stick|blocked the door}",
    ),
    Offence(
        {
            5: "For years {victim} had beaten defendant {A}. On {day}, after another beating in their house in "
            "{city}, {A} struck the sleeping {victim} with a {hammer|hoe}; {victim} died.",
        },
        False,
    ),
    Offence(
        {
            6: "On {day} defendant {A}, who had planned it for weeks over {an inheritance|a debt}, killed {victim} "
            "and {victim}'s child in {city} with {a cleaver|an axe} and set fire to the house to cover it up.",
        },
        False,
        "{bought the petrol without asking what it was for|stood at the gate}",
    ),
    Offence(
        {
            1: "At {hour} on {day} defendant {A} drove home from a dinner in {city} by {car|motorcycle} and hit "
            "{victim}'s garden wall; the blood held {128|164|192} milligrams of alcohol in 100 millilitres. Nobody "
            "else came to harm.",
        },
        True,
        jobs=DRIVERS,
    ),
    Offence(
        {
            2: "On {day} defendant {A} drove a {lorry|van} through a red light in {city} and ran over {victim}, who "
            "died. {A} had been looking at a telephone.",
            3: "At {hour} on {day} defendant {A} knocked down {victim} on a country road near {city} with an "
            "overloaded {lorry|tractor} and drove off; {victim} died, and help at once would have saved {victim}'s "
            "life.",
        },
        False,
        jobs=DRIVERS,
    ),
    Offence(
        {
            1: "From {month} defendant {A} let {a dozen|fifteen} neighbours play dice for money in a {shed|back room} "
            "in {city} and kept {4,800|6,500} yuan from the stakes.",
            2: "From {month} defendant {A} ran card tables for money in {city} every night, with guards and lenders, "
            "and kept {160,000|230,000} yuan.",
        },
        True,
        "{poured tea for the players|fetched players by car}",
        victims=False,
    ),
    Offence(
        {
            3: "At {hour} on {day} defendant {A} showed a knife to {victim} in an {alley|underpass} in {city} and "
            "took {460|900} yuan and a telephone by force.",
            4: "Between {month} and {day} defendant {A} broke into {four|six} homes in {city} at night, tied the "
            "people up at knifepoint and took {92,000|150,000} yuan.",
            6: "On {day} defendant {A} strangled {victim}, a taxi driver in {city}, for the takings of {700|1,200} "
            "yuan and threw the body into a canal.",
        },
        True,
        "{kept a lookout at the corner|sold the telephone afterwards as agreed}",
    ),
    Offence(
        {
            1: "At {hour} on {day} defendant {A}, drunk, overturned {three|five} stalls in the night market of {city} "
            "and slapped {victim}, a stranger.",
            2: "Between {month} and {day} defendant {A} ate without paying in {six|nine} restaurants in {city}, beat "
            "two waiters and smashed furniture worth {8,600|14,000} yuan for fun.",
        },
        False,
        "{shouted along|threw a chair}",
    ),
    Offence(
        {
            2: "As {head of a township office|clerk of a land bureau} in {city}, defendant {A} took {45,000|70,000} "
            "yuan from {witness} from {month} on for settling a permit.",
            4: "As director of a {hospital|road} board in {city}, defendant {A} took {2.6|2.9} million yuan from "
            "builders from {month} on.",
            5: "As deputy head of {city}, defendant {A} sold posts and building land from {month} on and took "
            "{88|130} million yuan, part of it out of relief funds; the harm to the public was exceptional.",
        },
        True,
        "{carried the envelopes|kept the money in a flat}",
        victims=False,
        jobs=("official", "civil servant"),
    ),
    Offence(
        {
            1: "On {day} officers in {city} wanted to {tow away a car|check a stall}; defendant {A} pushed one of "
            "them, {victim}, and tore the uniform.",
            2: "On {day} defendant {A} drove a {tricycle|car} at officers who were closing a road in {city}; one of "
            "them, {victim}, was dragged along and had a fractured rib.",
        },
        False,
        "{pulled at an officer's sleeve|filmed and shouted}",
    ),
    Offence(
        {
            1: "In {month} defendant {A} felled {eleven|fourteen} cubic metres of pine on a slope near {city} without "
            "a permit.",
            2: "Between {month} and {day} defendant {A} had {sixty|eighty} cubic metres of protected forest near "
            "{city} cut down without a permit and sold the wood.",
        },
        True,
        "{worked the saw for a daily wage|drove the tractor}",
        victims=False,
    ),
    Offence(
        {
            1: "{witness} had knocked down a cyclist in {city}. On {day} defendant {A} told the police falsely to "
            "have been at the wheel, and took it back {the next day|after a week}.",
            2: "{witness} was wanted for a killing in {city}. From {month} to {day} defendant {A} hid {witness} in an "
            "orchard and misled the searchers twice.",
        },
        False,
        victims=False,
    ),
    Offence(
        {
            1: "On {day} defendant {A} shut {victim}, who owed money, in a {hotel room|shop} in {city} for "
            "{twenty-six|thirty} hours, without touching {victim}.",
            2: "From {month} to {day} defendant {A} kept {victim} locked in a cellar in {city}, on little food, to "
            "force payment of a debt.",
        },
        False,
        "{sat by the door for one night|brought {victim} meals}",
    ),
    Offence(
        {
            4: "On {day} defendant {A} dragged {victim}'s child into a car in {city}, demanded {500,000|800,000} yuan "
            "and let the child go unhurt when it had been paid.",
            6: "On {day} defendant {A} seized {victim}'s child in {city} to obtain {500,000|800,000} yuan, killed the "
            "child the same night and went on demanding the money.",
        },
        True,
        "{bought the telephone cards|watched the family's house}",
    ),
    Offence(
        {
            1: "In {month} defendant {A} fished with electric current in a closed stretch of river near {city}; the "
            "catch was {31|44} kilograms.",
        },
        True,
        "{rowed the boat|carried the battery}",
        victims=False,
    ),
    Offence(
        {
            3: "At {hour} on {day} defendant {A} set fire to {victim}'s {barn|kiosk} in {city} after a dispute; "
            "neighbours put it out before it spread, and nobody was hurt.",
            5: "At {hour} on {day} defendant {A} poured petrol on the stairs of a full {dance hall|lodging house} in "
            "{city} and lit it; two people died and {eleven|sixteen} were badly burnt.",
        },
        False,
        "{carried the can|waited on the motorcycle}",
    ),
)

# how a second or third defendant took part
EQUAL = (
    "Defendant {X} had planned it with {A} and did as much.",
    "Defendant {X} acted side by side with {A} throughout, and they shared alike.",
    "Nothing in it was done without defendant {X}, who was {A}'s equal in every step.",
)
MINOR = (
    "Defendant {X} only {help}.",
    "Defendant {X}, asked by {A} at the last moment, {help} and did nothing else.",
    "Defendant {X} had a small part: {X} {help}.",
)

# what counts
RECIDIVIST = (
    "{X} had left prison only {two|three} years before, after serving a term for {a similar matter|theft|an assault}.",
    "It was not the first time: {X} had served {four|six} years and been free for {eighteen months|three years}.",
)
SURRENDER = (
    "{X} went to the police unasked and told them everything.",
    "{X} telephoned the police, waited for them and gave a full and true account.",
)
COMPENSATED = (
    "{X} has paid full damages and was forgiven in writing.",
    "{X}'s family has paid damages, and a letter of forgiveness was filed.",
)
RETURNED = (
    "{X} handed everything gained over to the court before trial.",
    "{X} paid back all the gains and {undid what could be undone|named the source}.",
)
# what does not count
CAUGHT = (
    "{X} was arrested at home and admitted it at the second interview.",
    "{X} was caught {on the spot|at a bus station} and denied it until trial.",
    "{X} was traced by cameras and gave three different accounts.",
)
NO_RECORD = ("{X} has no record.", "{X} had not been before a court until then.")
NEUTRAL = (
    "{X} supports {two children|an old mother}.",
    "{X} is in good health.",
    "{X} has lived in {city} since birth.",
)
