"""What the sample's households are made of, with the names that ALFWorld's domain gives to kinds of things."""

from __future__ import annotations

# room -> its receptacles and how many of each
ROOMS: dict[str, dict[str, int]] = {
    "kitchen": {
        "Cabinet": 4,
        "Drawer": 2,
        "CounterTop": 2,
        "Fridge": 1,
        "Microwave": 1,
        "SinkBasin": 1,
        "StoveBurner": 2,
        "DiningTable": 1,
        "GarbageCan": 1,
    },
    "bedroom": {"Bed": 1, "Desk": 2, "Drawer": 3, "Shelf": 2, "Safe": 1, "GarbageCan": 1, "Dresser": 1},
    "living room": {"Sofa": 1, "ArmChair": 1, "CoffeeTable": 1, "SideTable": 2, "Shelf": 2, "Cabinet": 2, "TVStand": 1},
    "bathroom": {"SinkBasin": 1, "CounterTop": 1, "Cabinet": 2, "Drawer": 2, "Toilet": 1, "GarbageCan": 1, "Shelf": 1},
}
OPENABLE = ("Cabinet", "Drawer", "Fridge", "Microwave", "Safe")

# kind of object -> what can be done to it, and the receptacles that can hold it
OBJECTS: dict[str, tuple[str, str]] = {
    "Apple": ("clean heat cool", "CounterTop DiningTable Fridge GarbageCan Microwave SinkBasin"),
    "Bread": ("heat cool", "CounterTop DiningTable Fridge GarbageCan Microwave"),
    "Egg": ("clean heat cool", "CounterTop DiningTable Fridge GarbageCan Microwave SinkBasin"),
    "Lettuce": ("clean cool", "CounterTop DiningTable Fridge GarbageCan SinkBasin"),
    "Potato": ("clean heat cool", "CounterTop DiningTable Fridge GarbageCan Microwave SinkBasin"),
    "Tomato": ("clean heat cool", "CounterTop DiningTable Fridge GarbageCan Microwave SinkBasin"),
    "Bowl": ("clean cool", "Cabinet CounterTop DiningTable Fridge SinkBasin Shelf Desk CoffeeTable"),
    "Cup": ("clean heat cool", "Cabinet CounterTop DiningTable Fridge Microwave SinkBasin"),
    "Mug": ("clean heat cool", "Cabinet CounterTop DiningTable Fridge Microwave SinkBasin Desk Shelf Drawer"),
    "Plate": ("clean heat cool", "Cabinet CounterTop DiningTable Fridge Microwave SinkBasin CoffeeTable"),
    "Pan": ("clean cool", "Cabinet CounterTop DiningTable Fridge SinkBasin StoveBurner"),
    "Fork": ("clean", "CounterTop DiningTable Drawer SinkBasin"),
    "Spoon": ("clean", "CounterTop DiningTable Drawer SinkBasin"),
    "Ladle": ("clean", "Cabinet CounterTop DiningTable Drawer SinkBasin"),
    "SaltShaker": ("", "Cabinet CounterTop DiningTable Drawer"),
    "PepperShaker": ("", "Cabinet CounterTop DiningTable Drawer"),
    "AlarmClock": ("", "Desk Shelf Dresser"),
    "Book": ("", "Bed Desk Shelf Drawer Dresser Sofa ArmChair CoffeeTable SideTable"),
    "CD": ("", "Desk Drawer Safe Shelf GarbageCan Dresser"),
    "CellPhone": ("", "Bed Desk Drawer Safe Shelf Dresser Sofa CoffeeTable SideTable"),
    "CreditCard": ("", "Desk Drawer Shelf Dresser Sofa CoffeeTable SideTable TVStand ArmChair"),
    "KeyChain": ("", "Desk Drawer Safe Shelf Dresser Sofa CoffeeTable SideTable ArmChair"),
    "Laptop": ("", "Bed Desk Dresser Sofa CoffeeTable ArmChair"),
    "Newspaper": ("", "Sofa CoffeeTable SideTable ArmChair TVStand"),
    "Pen": ("", "Desk Drawer Shelf Dresser GarbageCan"),
    "Pencil": ("", "Desk Drawer Shelf Dresser GarbageCan"),
    "Pillow": ("", "Bed Sofa ArmChair"),
    "RemoteControl": ("", "Sofa CoffeeTable SideTable TVStand ArmChair"),
    "Statue": ("", "Shelf CoffeeTable SideTable TVStand Dresser"),
    "Vase": ("", "Shelf CoffeeTable SideTable TVStand Cabinet"),
    "Watch": ("", "Desk Drawer Safe Shelf Dresser CoffeeTable SideTable"),
    "Candle": ("", "CounterTop Cabinet Drawer Toilet Shelf"),
    "Cloth": ("clean", "CounterTop Cabinet Drawer SinkBasin"),
    "SoapBar": ("clean", "CounterTop Cabinet Drawer SinkBasin Toilet GarbageCan"),
    "SoapBottle": ("", "CounterTop Cabinet Drawer Toilet GarbageCan Shelf"),
    "SprayBottle": ("", "CounterTop Cabinet Drawer Toilet GarbageCan Shelf"),
    "ToiletPaper": ("", "CounterTop Cabinet Drawer Toilet GarbageCan"),
}
LAMPS = {"bedroom": "DeskLamp", "living room": "FloorLamp"}
LAMP_PLACES = {"DeskLamp": ("Desk", "Dresser"), "FloorLamp": ("SideTable",)}

# goal kind -> (what has to be done to the object first, the rooms where the games take place)
GOALS: dict[str, tuple[str, tuple[str, ...]]] = {
    "pick_and_place_simple": ("", ("kitchen", "bedroom", "living room", "bathroom")),
    "look_at_obj_in_light": ("", ("bedroom", "living room")),
    "pick_clean_then_place_in_recep": ("clean", ("kitchen", "bathroom")),
    "pick_heat_then_place_in_recep": ("heat", ("kitchen",)),
    "pick_cool_then_place_in_recep": ("cool", ("kitchen",)),
    "pick_two_obj_and_place": ("", ("kitchen", "bedroom", "living room", "bathroom")),
}
TREATED_AT = {"clean": "SinkBasin", "heat": "Microwave", "cool": "Fridge"}
