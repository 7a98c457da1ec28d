"""Which photos would show the skin that a visit's photos do not."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from bsa_vision.core.frames import FloatArray
from bsa_vision.core.views import VIEW_NAMES

DATA = "data/view_cells.npz"
#: Photos that would show less new skin than this, percent of BSA, are not asked for.
LEAST_PERCENT = 1.0
#: A view that was photographed already: half of what is missing is taken to be missing for a
#: reason that another photo mends (cropped, blurred, covered).
AGAIN = 0.5
#: Of views that show nearly as much as the best, the closest is asked for: finer pixels.
NEARLY = 0.85

#: How a patient lies or is held for a view, for the person who takes the photo.
HOW: Mapping[str, str] = {
    "whole_front": "whole body from the front, patient on the back, arms away from the trunk",
    "whole_back": "whole body from behind, patient prone or standing, arms away from the trunk",
    "head_front": "face and neck from the front",
    "head_back": "back of the head and neck, patient on the side or sitting up",
    "head_left": "left side of the head and neck, face turned to the patient's right",
    "head_right": "right side of the head and neck, face turned to the patient's left",
    "trunk_front": "chest and belly, patient on the back, arms away from the trunk",
    "trunk_back": "back and buttocks, patient prone or on the side, seen straight from behind",
    "trunk_left": "left flank, patient on the right side, left arm raised",
    "trunk_right": "right flank, patient on the left side, right arm raised",
    "arm_left_front": "left arm away from the trunk, palm up",
    "arm_left_back": "left arm away from the trunk, back of the hand up",
    "arm_right_front": "right arm away from the trunk, palm up",
    "arm_right_back": "right arm away from the trunk, back of the hand up",
    "legs_front": "legs from the front, slightly apart",
    "legs_back": "legs from behind, slightly apart, patient prone or on the side",
    "hands_dorsal": "backs of both hands, fingers spread",
    "hands_palmar": "both palms, fingers spread",
    "feet_dorsal": "backs of both feet",
    "feet_plantar": "both soles",
}


@dataclass(frozen=True)
class PhotoToTake:
    """A photo that would show skin that no photo of the visit shows.

    Attributes
    ----------
    view : one of the twenty. how : the patient's position, in words.
    percent : of BSA that it is expected to show beyond the photos before it in the list.
    again : whether the visit has a photo of this view.
    """

    view: str
    how: str
    percent: float
    again: bool


def photos_to_take(
    unseen: NDArray[np.bool_], weights: FloatArray, taken: Collection[str]
) -> tuple[PhotoToTake, ...]:
    """The photos that would show most of the skin not seen, the most useful or nearly so first.

    Each is chosen for what it adds to the ones before (a greedy cover, G. L. Nemhauser and
    others, 1978), until none adds `LEAST_PERCENT`.

    Parameters
    ----------
    unseen : (n,) cells that no usable photo shows. weights : (n,) percent of BSA.
    taken : views of which the visit has a usable photo.
    """
    shows = _shown_by_view()
    footprint = shows @ weights
    trust = np.array([AGAIN if name in taken else 1.0 for name in VIEW_NAMES])
    missing = np.where(unseen, weights, 0.0)
    found: list[PhotoToTake] = []
    while True:
        gains = trust * (shows @ missing)
        if gains.max() < LEAST_PERCENT:
            return tuple(found)
        near = np.flatnonzero(gains >= max(NEARLY * gains.max(), LEAST_PERCENT))
        best = int(near[np.argmin(footprint[near])])
        name = VIEW_NAMES[best]
        found.append(PhotoToTake(name, HOW[name], float(gains[best]), name in taken))
        missing *= 1 - trust[best] * shows[best]
        trust[best] = 0.0


@lru_cache(maxsize=1)
def _shown_by_view() -> FloatArray:
    """How often a photo of each view shows each cell, (20, n) from 0 to 1, in rendered patients."""
    with files("bsa_vision.chart").joinpath(DATA).open("rb") as stream, np.load(stream) as data:
        return np.asarray(data["percent"] / 100, np.float64)
