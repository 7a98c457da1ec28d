"""The printed `a4-classic` calibration sheet as a picture of reflectances."""

from functools import lru_cache

import cv2
import numpy as np

from bsa_vision.calibration.reference import reference_linear
from bsa_vision.calibration.sheets import A4_CLASSIC, MARKER_DICTIONARY
from bsa_vision.phantom.noise import Float32

#: Width and height in mm.
SHEET_MM = A4_CLASSIC.size_mm
#: Reflectance of the paper, of printed black and of the card's board.
_PAPER = (0.86, 0.87, 0.88)
_INK = 0.03
_BOARD = 0.02
_TEXELS_PER_MM = 4


@lru_cache(maxsize=1)
def _full_texture() -> Float32:
    scale = _TEXELS_PER_MM
    width, height = (round(side * scale) for side in SHEET_MM)
    texture = np.empty((height, width, 3), np.float32)
    texture[:] = _PAPER
    side = round(A4_CLASSIC.marker_mm * scale)
    for identity, corner in A4_CLASSIC.marker_corners.items():
        cells = cv2.aruco.generateImageMarker(MARKER_DICTIONARY, identity, 6)
        marker = cv2.resize(cells, (side, side), interpolation=cv2.INTER_NEAREST_EXACT)
        x, y = (round(mm * scale) for mm in corner)
        texture[y : y + side, x : x + side] = np.where(marker[:, :, None] > 0, _PAPER, _INK)
    _draw_card(texture)
    texture.setflags(write=False)
    return texture


def _draw_card(texture: Float32) -> None:
    card = A4_CLASSIC.card
    boxes = [(card.centre_mm, card.outline_mm, np.full(3, _BOARD))]
    sides = (card.patch_mm, card.patch_mm)
    boxes += [
        ((float(x), float(y)), sides, np.clip(colour, 0, 1))
        for (x, y), colour in zip(card.centres(), reference_linear(), strict=True)
    ]
    for (x, y), (width, height), colour in boxes:
        left, right = (round((x + sign * width / 2) * _TEXELS_PER_MM) for sign in (-1, 1))
        top, bottom = (round((y + sign * height / 2) * _TEXELS_PER_MM) for sign in (-1, 1))
        texture[top:bottom, left:right] = colour


@lru_cache(maxsize=12)
def _reduced(halvings: int) -> Float32:
    full = _full_texture()
    if halvings == 0:
        return full
    size = (full.shape[1] >> halvings, full.shape[0] >> halvings)
    return np.asarray(cv2.resize(full, size, interpolation=cv2.INTER_AREA), np.float32)


def sheet_albedo(x_mm: Float32, y_mm: Float32, mm_per_px: float) -> Float32:
    """Linear reflectance (N, 3) at points of the sheet.

    Parameters
    ----------
    x_mm, y_mm : (N,) from the sheet's centre, x right, y down.
    mm_per_px : pixel size on the sheet; the texture is averaged down to about that.
    """
    halvings = int(np.clip(np.floor(np.log2(max(mm_per_px * _TEXELS_PER_MM, 1))), 0, 5))
    texture = _reduced(halvings)
    scale = texture.shape[1] / SHEET_MM[0]
    across = ((x_mm + SHEET_MM[0] / 2) * scale - 0.5).astype(np.float32)
    down = ((y_mm + SHEET_MM[1] / 2) * scale - 0.5).astype(np.float32)
    rows = -(-len(across) // 2048)
    grid = np.zeros((2, rows * 2048), np.float32)
    grid[0, : len(across)], grid[1, : len(across)] = across, down
    found = cv2.remap(
        texture,
        grid[0].reshape(rows, 2048),
        grid[1].reshape(rows, 2048),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    albedo: Float32 = np.asarray(found, np.float32).reshape(-1, 3)[: len(across)]
    return albedo
