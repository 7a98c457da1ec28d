"""The skin states, their codes in masks, their names in files and their colours in pictures."""

from enum import IntEnum

import numpy as np


class Label(IntEnum):
    """Mask code of a pixel or a body cell (uint8 on disk)."""

    BACKGROUND = 0
    UNAFFECTED = 1
    ERYTHEMA = 2
    DETACHABLE = 3
    DETACHED = 4
    REEPITHELIALISED = 5
    NOT_ASSESSABLE = 6


N_LABELS = len(Label)
LABEL_NAMES = tuple(label.name.lower() for label in Label)

#: States a skin cell can be in when it was seen; the order of `EvidenceMap` columns.
SKIN_STATES = (
    Label.UNAFFECTED,
    Label.ERYTHEMA,
    Label.DETACHABLE,
    Label.DETACHED,
    Label.REEPITHELIALISED,
)
#: Detached + detachable skin is what severity and the trial's maximum count; erythema never is.
COUNTED = (Label.DETACHABLE, Label.DETACHED)

#: sRGB of each label, distinguishable with the common colour-vision deficiencies (Okabe & Ito
#: 2008).
LABEL_COLOURS: dict[Label, tuple[int, int, int]] = {
    Label.BACKGROUND: (255, 255, 255),
    Label.UNAFFECTED: (232, 226, 218),
    Label.ERYTHEMA: (240, 228, 66),
    Label.DETACHABLE: (230, 159, 0),
    Label.DETACHED: (170, 30, 45),
    Label.REEPITHELIALISED: (86, 180, 233),
    Label.NOT_ASSESSABLE: (140, 140, 140),
}


def label_palette() -> np.ndarray:
    """Colours by code: uint8 array of shape (7, 3)."""
    return np.array([LABEL_COLOURS[label] for label in Label], dtype=np.uint8)
