"""The calibration sheets that are known: a table of geometry.

A sheet's frame is millimetres from its top-left corner, x right, y down. Another sheet is another
entry of `SHEETS`.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from bsa_vision.core.frames import FloatArray

CARD_ROWS = 4
CARD_COLUMNS = 6


@dataclass(frozen=True)
class CardPlace:
    """A ColorChecker Classic on a sheet.

    Attributes
    ----------
    centre_mm : centre of the 24 patches.
    patch_mm, pitch_mm : side of a patch, distance between the centres of neighbours.
    quarter_turns : how often the card is turned clockwise from "dark skin top-left, neutrals
        below"; the user may also lay it upside down.
    slack_mm : how far from its place the card may lie.
    outline_mm : (width, height) of the card's board as it lies on the sheet.
    """

    centre_mm: tuple[float, float]
    patch_mm: float
    pitch_mm: float
    quarter_turns: int
    slack_mm: float
    outline_mm: tuple[float, float]

    def centres(self) -> FloatArray:
        """Centres of the 24 patches in chart order (row by row), (24, 2) mm on the sheet."""
        column, row = np.meshgrid(np.arange(CARD_COLUMNS), np.arange(CARD_ROWS))
        x = (column.ravel() - (CARD_COLUMNS - 1) / 2) * self.pitch_mm
        y = (row.ravel() - (CARD_ROWS - 1) / 2) * self.pitch_mm
        angle = np.deg2rad(90 * self.quarter_turns)
        turned = np.stack(
            [x * np.cos(angle) - y * np.sin(angle), x * np.sin(angle) + y * np.cos(angle)], axis=1
        )
        return np.asarray(turned + self.centre_mm)


@dataclass(frozen=True)
class Sheet:
    """A marker sheet: paper, markers (ArUco DICT_4X4_50), card.

    Attributes
    ----------
    name : as used on the command line and in results.
    size_mm : (width, height) of the paper.
    marker_mm : side of a marker's black square.
    marker_corners : top-left corner of each marker by id.
    cards : where a colour card may lie on it, the sheet's own card first.
    """

    name: str
    size_mm: tuple[float, float]
    marker_mm: float
    marker_corners: dict[int, tuple[float, float]]
    cards: tuple[CardPlace, ...]

    @property
    def card(self) -> CardPlace:
        """The sheet's own card."""
        return self.cards[0]

    @property
    def centre_mm(self) -> tuple[float, float]:
        """Centre of the paper."""
        return self.size_mm[0] / 2, self.size_mm[1] / 2

    def marker(self, marker_id: int) -> FloatArray:
        """Corners of a marker's black square, (4, 2) mm: TL, TR, BR, BL."""
        x, y = self.marker_corners[marker_id]
        side = self.marker_mm
        return np.array([[x, y], [x + side, y], [x + side, y + side], [x, y + side]])

    def outline(self) -> FloatArray:
        """Corners of the paper, (4, 2) mm, in the same order."""
        width, height = self.size_mm
        return np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float64)


def _around_opening(
    size_mm: tuple[float, float], opening_mm: tuple[float, float], marker_mm: float
) -> dict[int, tuple[float, float]]:
    """Markers 0-3 (row by row) whose inner corners bound an opening centred on the paper."""
    left = (size_mm[0] - opening_mm[0]) / 2 - marker_mm
    top = (size_mm[1] - opening_mm[1]) / 2 - marker_mm
    right = left + marker_mm + opening_mm[0]
    bottom = top + marker_mm + opening_mm[1]
    return {0: (left, top), 1: (right, top), 2: (left, bottom), 3: (right, bottom)}


A4_CLASSIC = Sheet(
    name="a4-classic",
    size_mm=(210.0, 297.0),
    marker_mm=40.0,
    marker_corners={0: (10.0, 10.0), 1: (160.0, 10.0), 2: (160.0, 247.0), 3: (10.0, 247.0)},
    # The second is the Classic Mini, laid between the ticks of the printed sheet.
    cards=(
        CardPlace((105.0, 148.5), 24.0, 28.0, 0, 12.0, (172.0, 116.0)),
        CardPlace((105.0, 148.5), 11.6, 14.9, 0, 6.0, (109.0, 63.5)),
    ),
)
#: Printed sheets of the `arcu_colorchecker` project (J. van Dijk, MIT licence).
ARCU_A3 = Sheet(
    name="arcu-a3",
    size_mm=(297.0, 420.0),
    marker_mm=35.28,
    marker_corners=_around_opening((297.0, 420.0), (210.0, 300.0), 35.28),
    cards=(CardPlace((148.5, 210.0), 41.0, 47.0, 3, 15.0, (203.0, 292.0)),),
)
ARCU_A4_MINI = Sheet(
    name="arcu-a4-mini",
    size_mm=(210.0, 297.0),
    marker_mm=17.64,
    marker_corners=_around_opening((210.0, 297.0), (70.0, 115.0), 17.64),
    cards=(CardPlace((105.0, 148.5), 11.6, 14.9, 3, 6.0, (63.5, 109.0)),),
)
SHEETS: dict[str, Sheet] = {sheet.name: sheet for sheet in (A4_CLASSIC, ARCU_A3, ARCU_A4_MINI)}

#: The dictionary of every sheet's markers.
MARKER_DICTIONARY = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50)
