"""Names and wordings of the 2wiki sample. Every person, place and work is invented."""

from __future__ import annotations

REGIONS = {  # region -> its capital and its towns
    "Ostravia": ("Brennholm", ["Brennholm", "Ketterby", "Lundvar", "Osk", "Torvika"]),
    "Calmera": ("Sant Oriel", ["Sant Oriel", "Bellacosta", "Miravent", "Portelas", "Vinhedo Alto"]),
    "Dravonia": ("Kolgrad", ["Kolgrad", "Zelin", "Novi Hrast", "Petrovar", "Sumice"]),
    "Upper Merrow": ("Harrowick", ["Harrowick", "Thistleford", "Cold Ashby", "Penmarl", "Whinmoor"]),
    "Tesharet": ("Al-Qasrin", ["Al-Qasrin", "Beni Sakhr", "Wadi Noor", "Tell Amran", "Marsa Halil"]),
    "Hanoura": ("Minatsugi", ["Minatsugi", "Kurobane", "Shirasato", "Ogiwara", "Takehama"]),
}
RIVERS = {
    "Ostravia": "Lunde",
    "Calmera": "Orbelo",
    "Dravonia": "Sava Mala",
    "Upper Merrow": "Whin",
    "Tesharet": "Amran",
}
GIVEN = (
    "Adela Bruno Clarice Dario Edda Florin Greta Hamid Ilse Jorun Katsuro Leonie Matteo Nadira Otakar Petra "
    "Quirin Rosalba Stellan Tomoko Ulrika Viggo Wenzel Xenia Yusuf Zdenka Anselm Birgitta Corrado Delphine"
).split()
FAMILY = (
    "Aldermoor Brakespeare Castellano Dvorny Ekeland Fontanar Grimsdal Haddow Ivarsen Jelinko Kurosato Lindqvar "
    "Marchetto Nasrallin Oberwald Pellegrin Quistgaard Rotherham Sandoval Tessaro Umezaki Vantorre Wolkenstein "
    "Yarrowby Zemanek"
).split()
FILMS = (
    "The Lantern Keeper|A Winter in Zelin|Salt and Copper|The Last Ferry|Seven Bridges|The Glass "
    "Orchard|Nightjar|The Clockmaker's Debt|Paper Tigers of Osk|The Silent Quarry|Beneath the Almond Tree|The "
    "Cartographer|Harvest of Rain|The Second Violin|Red Dust Road|The Ninth Passenger|A House Without Doors|The "
    "Beekeeper's War|Low Tide at Penmarl|The Ivory Signal|Ashes of June|The Mountain Telegraph|Blue Window|The "
    "Counterfeit Prince|Sparrow Street|The Long Meadow|Thirteen Lamps|The Drowned Bell|A Letter for Ilse|The Wolf "
    "of Kolgrad"
).split("|")
NOVELS = (
    "The Weight of Feathers|Cinder Hall|A Grammar of Snow|The Orchard Thief|Letters from Marsa|The Tin "
    "Cathedral|Under the Sable Moon|The Hour of Herons|A Map of Small Regrets|The Saltwife|Ninety Mirrors|The "
    "Apothecary's Ledger|Where the Whin Divides|The Copper Nightingale|Tomorrow's Almanac|The Quiet Engine|House "
    "of Falling Leaves|The Ropemaker|Lessons in Thunder|The Hollow Crown of Tesharet"
).split("|")
COMPANIES = (
    "Ferrolux|Halvard Optics|Corvina Airlines|Tessaro Ceramics|Nordmere Shipping|Altaview Instruments|Brightwell "
    "Looms|Kestrel Motors|Solveig Foods|Umbra Records|Petrel Radio|Marlowe Clocks|Zenith Pianos|Orbis "
    "Toys|Lunaria Perfumes|Granit Tools"
).split("|")
UNIVERSITIES = (
    "Ketterby Polytechnic|University of Sant Oriel|Kolgrad Academy of Arts|Harrowick College|Minatsugi Imperial "
    "University|Al-Qasrin School of Letters|Petrovar Institute of Mines|Thistleford Conservatory"
).split("|")
MONTHS = "January February March April May June July August September October November December".split()
TRADES = {
    "film": ("film director", "screenwriter"),
    "novel": ("novelist", "essayist"),
    "company": ("industrialist", "engineer"),
}
TRADES_OF_OTHERS = ("botanist", "judge", "organist", "physician", "cartographer", "teacher", "merchant", "sculptor")
GENRES = ("drama", "comedy", "thriller", "war film", "romance", "mystery")
PRODUCTS = ("lamps", "lenses", "looms", "clocks", "radios", "tools", "engines", "instruments")

PERSON = "{name} ({birth} – {death}) was {a_trade} from {region}. {Born}. {study} {family}"
BORN = ("{name} was born in {town}", "Born in {town}, {name} grew up there", "The birthplace of {name} is {town}")
STUDY = (
    "{last} studied at {university}.",
    "After school {last} went to {university}.",
    "{last} was educated at {university}.",
)
SPOUSE = ("{last} was married to {spouse}.", "In {wedding} {last} married {spouse}.")
CHILD = ("{last} was the child of {parent}, {a_parent_trade}.", "A parent of {last} was {parent}.")
FILM = (
    "{title} is a {year} {genre} directed by {maker}. It stars {star} and was shot in {town}.",
    "{title} is a {genre} of {year}. The director was {maker}; {star} played the leading part. Most scenes were filmed "
    "in {town}.",
)
NOVEL = (
    "{title} is a novel by {maker}, published in {year}. Its story is set in {town}.",
    "{title}, a novel set in {town}, appeared in {year}. It was written by {maker}.",
)
COMPANY = (
    "{title} is a maker of {product} with its seat in {town}. It was founded in {year} by {maker}.",
    "Founded in {year} by {maker}, {title} makes {product}. Its head office is in {town}.",
)
TOWN = (
    "{town} is a town in the region of {region}{river}. It had {people} inhabitants at the last census.",
    "{town} lies in {region}{river} and has a population of {people}.",
)
REGION = "{region} is a region whose capital is {capital}. It is known for its {product} and for the towns of {towns}."
UNIVERSITY = "{university} is a school of higher education in {town}. It was founded in {year}."
