"""The twenty views of a visit. Left and right are the patient's."""

from typing import Literal, get_args

View = Literal[
    "whole_front",
    "whole_back",
    "head_front",
    "head_back",
    "head_left",
    "head_right",
    "trunk_front",
    "trunk_back",
    "trunk_left",
    "trunk_right",
    "arm_left_front",
    "arm_left_back",
    "arm_right_front",
    "arm_right_back",
    "legs_front",
    "legs_back",
    "hands_dorsal",
    "hands_palmar",
    "feet_dorsal",
    "feet_plantar",
]
#: In an order that networks know them by.
VIEW_NAMES: tuple[str, ...] = get_args(View)
