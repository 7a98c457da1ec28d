"""Settle a grid of points on a colour card until every patch is even around its point."""

import cv2
import numpy as np
from numpy.typing import NDArray

from bsa_vision.core.frames import FloatArray

#: Share of a patch that must be even.
EVEN_SHARE = 0.75
#: The grid may shift up to this share of a patch: half a pitch is as far as a grid can be told from
#: its neighbour.
MAX_SHIFT = 0.55
COARSE_STEP_PX = 2.0
COARSE_TURNS_DEG = (-4.0, -2.0, 0.0, 2.0, 4.0)
#: Then all five parameters (shift x, y in px; turn in rad; stretch x, y) go downhill in ever
#: smaller steps.
FINE_STEPS = (1.0, 0.5, 0.25)
STEP_UNITS = np.array([1.0, 1.0, 0.01, 0.01, 0.01])
MAX_MOVES = 60


def settle_grid(
    rectified: NDArray[np.uint8], nominal: FloatArray, patch_px: int, slack_px: float
) -> FloatArray:
    """Centres of a card's patches.

    Parameters
    ----------
    rectified : (h, w, 3), the card about square-on.
    nominal : (n, 2) where the patches would be if the card lay on its place.
    patch_px : side of a patch in pixels.
    slack_px : how far the card may be off.

    Returns
    -------
    (n, 2) centres in pixels.
    """
    uneven = _unevenness(rectified, int(EVEN_SHARE * patch_px) | 1)
    reach = min(slack_px, MAX_SHIFT * patch_px)
    shifts = np.arange(-reach, reach + 1e-6, COARSE_STEP_PX)
    dx, dy, turn = np.meshgrid(shifts, shifts, np.deg2rad(COARSE_TURNS_DEG), indexing="ij")
    unchanged = np.zeros(dx.size)
    options = np.stack([dx.ravel(), dy.ravel(), turn.ravel(), unchanged, unchanged], axis=1)
    costs = _costs(uneven, nominal, options)
    best, cost = options[costs.argmin()], float(costs.min())
    directions = np.vstack([np.diag(STEP_UNITS), -np.diag(STEP_UNITS)])
    for step in FINE_STEPS:
        for _ in range(MAX_MOVES):
            options = best + step * directions
            costs = _costs(uneven, nominal, options)
            if costs.min() >= cost:
                break
            best, cost = options[costs.argmin()], float(costs.min())
    return np.asarray(_grids(nominal, best[None])[0])


def _unevenness(rectified: NDArray[np.uint8], side: int) -> FloatArray:
    """Standard deviation of colour in a window around each pixel, (h, w)."""
    light = rectified.astype(np.float32)
    mean = cv2.boxFilter(light, -1, (side, side))
    square = cv2.boxFilter(light * light, -1, (side, side))
    variance = np.maximum(square - mean * mean, 0).sum(axis=2)
    return np.asarray(np.sqrt(variance), dtype=np.float64)


def _grids(nominal: FloatArray, options: FloatArray) -> FloatArray:
    """Points (m, n, 2) of the grid under m sets of the five parameters."""
    middle = nominal.mean(axis=0)
    relative = nominal - middle
    x = relative[:, 0] * (1 + options[:, 3, None])
    y = relative[:, 1] * (1 + options[:, 4, None])
    cos, sin = np.cos(options[:, 2, None]), np.sin(options[:, 2, None])
    turned = np.stack([x * cos - y * sin, x * sin + y * cos], axis=-1)
    return np.asarray(turned + middle + options[:, None, :2])


def _costs(uneven: FloatArray, nominal: FloatArray, options: FloatArray) -> FloatArray:
    """Mean unevenness at the grid's points, (m,), read bilinearly; the border's goes on outside."""
    points = _grids(nominal, options)
    height, width = uneven.shape
    x = np.clip(points[..., 0], 0, width - 1.001)
    y = np.clip(points[..., 1], 0, height - 1.001)
    left, top = x.astype(int), y.astype(int)
    fx, fy = x - left, y - top
    upper = uneven[top, left] * (1 - fx) + uneven[top, left + 1] * fx
    lower = uneven[top + 1, left] * (1 - fx) + uneven[top + 1, left + 1] * fx
    return np.asarray((upper * (1 - fy) + lower * fy).mean(axis=1))
