"""What the rest of the project knows of dense placement: a record and a protocol, no torch.

A *place* is where a point of the skin lies on the body model's plain person at rest, the same for
every patient in every pose (`chart.places`): metres, z up, the person faces -y and has their left
at +x.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bsa_vision.core.views import VIEW_NAMES

#: Network pixels from one output pixel to the next.
STRIDE = 4
#: A stated view is wrong when, of the probability of all views, it and what it may be taken for
#: have less than this and another has most: the largest share at which none of 900 held-out photos
#: is refused; of swapped arms 84 % are (docs/BENCHMARKS.md). The photo of a real sole was once
#: called a hand with 0.5.
_RULED_OUT, _INSTEAD = 0.02, 0.6
#: What is more probably none of the views contradicts none.
_LEAST_SHOWN = 0.5


def view_number(view: str) -> int:
    """The number of a view in a network's input, from 1; 0 for one that is not known."""
    return 1 + VIEW_NAMES.index(view) if view in VIEW_NAMES else 0


def mirrored_view(view: str) -> str:
    """The view that a photo's mirror image shows."""
    return "_".join({"left": "right", "right": "left"}.get(word, word) for word in view.split("_"))


#: What no photo shows at once, and parts of the body that one photo may well show together.
_OPPOSITE = ({"left", "right"}, {"front", "back"}, {"dorsal", "plantar"}, {"dorsal", "palmar"})
_ADJOINING = (
    {"head", "trunk"},
    {"trunk", "arm"},
    {"trunk", "legs"},
    {"arm", "hands"},
    {"legs", "feet"},
)


def compatible(one: str, other: str) -> bool:
    """Whether a photo may show both views: of parts that adjoin, neither from the other's back."""
    part, *facing = one.split("_")
    other_part, *other_facing = other.split("_")
    if any({a, b} in _OPPOSITE for a in facing for b in other_facing):
        return False
    parts = {part, other_part}
    return len(parts) == 1 or "whole" in parts or parts in _ADJOINING


def contradicting_view(views: NDArray[np.float32], stated: str) -> tuple[str, float] | None:
    """The view that a photo shows instead of the stated one, and its probability.

    Parameters
    ----------
    views : as in `PlaceMap`.
    stated : one of `VIEW_NAMES`; "" for none, which nothing contradicts.

    Returns
    -------
    None where the stated view, one compatible with it or a close-up is not ruled out, or nothing
    is sure.
    """
    if view_number(stated) == 0:
        return None
    shown = 1 - float(views[0])
    probability = {name: float(views[view_number(name)]) / max(shown, 1e-6) for name in VIEW_NAMES}
    agreeing = sum(p for name, p in probability.items() if compatible(name, stated))
    best = max(probability, key=lambda name: probability[name])
    if shown <= _LEAST_SHOWN or agreeing >= _RULED_OUT or probability[best] < _INSTEAD:
        return None
    return best, probability[best]


@dataclass(frozen=True)
class PlaceMap:
    """Where on the body a photo's pixels lie, at a quarter of the network's resolution.

    Attributes
    ----------
    size : (width, height) of the photo in network pixels: the middle of output pixel i is at
        (i + 0.5) * `STRIDE` of them from the photo's edge.
    skin : (h, w) probability that the patient's skin, or a dressing on it, is seen.
    places : (h, w, 3) metres; x is the distance from the midline, whichever side it is.
    spread : (h, w) metres, how far places are expected to be off: mean of each coordinate.
    left : (h, w) probability that it is the patient's left half.
    views : (views + 1,) probability that the photo shows each of `VIEW_NAMES`, whatever was stated;
        the first that it shows none of them.
    """

    size: tuple[int, int]
    skin: NDArray[np.float32]
    places: NDArray[np.float32]
    spread: NDArray[np.float32]
    left: NDArray[np.float32]
    views: NDArray[np.float32]


class PlaceFinder(Protocol):
    """Anything that can tell where on the body a photo's pixels lie."""

    @property
    def name(self) -> str:
        """Name of the model."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 over everything that decides the output."""
        ...

    def find(self, pixels: NDArray[np.uint8], view: str) -> PlaceMap:
        """Places in an sRGB photo, uint8 (H, W, 3), of a stated view ("" for none)."""
        ...
