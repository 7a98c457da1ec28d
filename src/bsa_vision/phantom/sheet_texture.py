"""The printed `a4-classic` calibration sheet: its geometry and its colours.

White A4 with ArUco markers 0-3 (DICT_4X4_50, 40 mm, outer corners 10 mm from the edges) and a
ColorChecker Classic board of 172 x 116 mm in the middle (24 patches of 24 mm, 4 mm gaps).
"""

from functools import lru_cache

import cv2
import numpy as np

from bsa_vision.phantom.noise import Float32
from bsa_vision.phantom.skin import srgb_to_linear

SHEET_MM = (210.0, 297.0)
_MARKER_MM = 40.0
_MARGIN_MM = 10.0
_BOARD_MM = (172.0, 116.0)
_PATCH_MM = 24.0
_GAP_MM = 4.0
#: sRGB of the ColorChecker Classic (BabelColor, average of 30 charts, D65), row by row.
COLORCHECKER_SRGB = np.array(
    [
        (115, 82, 68), (194, 150, 130), (98, 122, 157), (87, 108, 67), (133, 128, 177),
        (103, 189, 170), (214, 126, 44), (80, 91, 166), (193, 90, 99), (94, 60, 108),
        (157, 188, 64), (224, 163, 46), (56, 61, 150), (70, 148, 73), (175, 54, 60),
        (231, 199, 31), (187, 86, 149), (8, 133, 161), (243, 243, 242), (200, 200, 200),
        (160, 160, 160), (122, 122, 121), (85, 85, 85), (52, 52, 52),
    ],
    np.uint8,
)  # fmt: skip
#: Reflectance of the paper, of printed black and of the board.
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
    dictionary = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50)
    side, margin = round(_MARKER_MM * scale), round(_MARGIN_MM * scale)
    corners = (
        (margin, margin),
        (width - margin - side, margin),
        (width - margin - side, height - margin - side),
        (margin, height - margin - side),
    )
    for identity, (x, y) in enumerate(corners):
        cells = cv2.aruco.generateImageMarker(dictionary, identity, 6)
        marker = np.kron(cells > 0, np.ones((-(-side // 6), -(-side // 6)))) > 0
        marker = marker[:, :, None]
        marker = np.asarray(
            cv2.resize(marker.astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST)
        )[:, :, None]
        texture[y : y + side, x : x + side] = np.where(marker > 0, _PAPER, _INK)
    _draw_board(texture)
    texture.setflags(write=False)
    return texture


def _draw_board(texture: Float32) -> None:
    scale = _TEXELS_PER_MM
    left = round((SHEET_MM[0] - _BOARD_MM[0]) / 2 * scale)
    top = round((SHEET_MM[1] - _BOARD_MM[1]) / 2 * scale)
    texture[top : top + round(_BOARD_MM[1] * scale), left : left + round(_BOARD_MM[0] * scale)] = (
        _BOARD
    )
    patches = srgb_to_linear(COLORCHECKER_SRGB)
    size, pitch, gap = (
        round(mm * scale) for mm in (_PATCH_MM, _PATCH_MM + _GAP_MM, _GAP_MM)
    )
    for index, colour in enumerate(patches):
        row, column = divmod(index, 6)
        y, x = top + gap + row * pitch, left + gap + column * pitch
        texture[y : y + size, x : x + size] = colour


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
