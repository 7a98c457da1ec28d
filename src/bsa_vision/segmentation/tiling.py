"""Pictures too large for the network in one piece: overlapping tiles, blended without seams.

The shipped models see a whole photo at once, which tells redness from the rest of the skin and
costs least. Tiles are for models that a clinic trains at a resolution where that takes too much
memory.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
#: Largest side in one piece, and by how much tiles overlap at least; multiples of 32.
TILE, OVERLAP = 1024, 256


def run_tiled(
    pixels: Pixels, run: Callable[[Pixels], tuple[Pixels, Pixels]]
) -> tuple[Pixels, Pixels]:
    """Class indices and probabilities of a picture of any size.

    Parameters
    ----------
    pixels : (h, w, 3), sides multiples of 32.
    run : the network on one piece: class indices (h, w) and probabilities x 255 (h, w, n).

    Returns
    -------
    The same of the whole picture. Where tiles overlap, each counts the more the further a pixel
    lies inside it, so that none begins or ends with a step.
    """
    if max(pixels.shape[:2]) <= TILE:
        return run(pixels)
    blended = blend(pixels, lambda piece: run(piece)[1].astype(np.float32))
    return blended.argmax(axis=2).astype(np.uint8), np.floor(blended + 0.5).astype(np.uint8)


def blend(pixels: Pixels, run: Callable[[Pixels], NDArray[np.float32]]) -> NDArray[np.float32]:
    """What `run` gives (h, w, n) of pieces of a picture (h, w, 3), blended to the whole."""
    height, width = pixels.shape[:2]
    blended: NDArray[np.float32] = np.zeros((height, width, 0), np.float32)
    total = np.zeros((height, width, 1), np.float32)
    for y in _starts(height):
        for x in _starts(width):
            piece = np.ascontiguousarray(pixels[y : y + TILE, x : x + TILE])
            found = run(piece)
            if not blended.shape[2]:
                blended = np.zeros((height, width, found.shape[2]), np.float32)
            weight = np.outer(_ramp(piece.shape[0]), _ramp(piece.shape[1]))[:, :, None]
            window = np.s_[y : y + TILE, x : x + TILE]
            blended[window] += weight * found
            total[window] += weight
    blended /= total
    return blended


def _starts(length: int) -> list[int]:
    """Where tiles start along a side: evenly, the last one ending with the picture."""
    if length <= TILE:
        return [0]
    count = -(-(length - OVERLAP) // (TILE - OVERLAP))
    # Starts keep to the grid of 32 that the network halves down to.
    return [round(i * (length - TILE) / (count - 1) / 32) * 32 for i in range(count - 1)] + [
        length - TILE
    ]


def _ramp(length: int) -> NDArray[np.float32]:
    """Weight along a tile: rising over the overlap from its rim, then flat."""
    from_rim = np.minimum(np.arange(1, length + 1), np.arange(length, 0, -1))
    return np.minimum(from_rim / OVERLAP, 1.0).astype(np.float32)
