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


def view_number(view: str) -> int:
    """The number of a view in a network's input, from 1; 0 for one that is not known."""
    return 1 + VIEW_NAMES.index(view) if view in VIEW_NAMES else 0


def mirrored_view(view: str) -> str:
    """The view that a photo's mirror image shows."""
    return "_".join({"left": "right", "right": "left"}.get(word, word) for word in view.split("_"))


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
    """

    size: tuple[int, int]
    skin: NDArray[np.float32]
    places: NDArray[np.float32]
    spread: NDArray[np.float32]
    left: NDArray[np.float32]


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
