"""True places of a rendered photo as a picture: 16-bit PNG, a quarter of the photo's size.

Channels (as stored, blue to red) are x, y, z in steps of 0.05 mm from -1.5 m; 0 is off the skin.
"""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bsa_vision.core.errors import InputError

#: Size relative to the photo.
FACTOR = 0.25
_STEPS_PER_M, _LOWEST_M = 20_000, -1.5


def encode_places(places: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Places (h, w, 3) in metres, nan off the skin, as the picture's values."""
    steps = np.rint((places - _LOWEST_M) * _STEPS_PER_M)
    return np.asarray(np.nan_to_num(np.clip(steps, 1, 65535), nan=0), np.uint16)


def read_places(path: Path) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Places (h, w, 3) in metres and where there is skin (h, w).

    Raises
    ------
    InputError
        When the file cannot be read.
    """
    values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16 or values.ndim != 3:
        msg = f"{path}: need a 16-bit picture of places."
        raise InputError(msg, "Render the training photos again.")
    skin = np.asarray(values.any(axis=2))
    return (values / np.float32(_STEPS_PER_M) + np.float32(_LOWEST_M)).astype(np.float32), skin
