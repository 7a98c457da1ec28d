"""How well outlines agree: the boundary F1.

After G. Csurka and others, "What is a good evaluation measure for semantic segmentation?", 2013.
A pixel of an outline is met when the other mask's outline of the class passes within a tolerance of
0.75 % of the picture's diagonal. Precision and recall are counted over all outlines first.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
TOLERANCE = 0.0075
#: Larger masks are first reduced to this long side: the tolerance stays several pixels.
LONG_SIDE = 1024


@dataclass(frozen=True)
class BoundaryCounts:
    """Pixels of the true and of the found outline of one class, and how many are met."""

    true: int
    true_met: int
    found: int
    found_met: int

    @staticmethod
    def pooled(counts: Sequence["BoundaryCounts"]) -> "BoundaryCounts":
        """The sums over several pictures."""
        return BoundaryCounts(
            sum(c.true for c in counts),
            sum(c.true_met for c in counts),
            sum(c.found for c in counts),
            sum(c.found_met for c in counts),
        )

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None where neither mask has an outline."""
        if not self.true and not self.found:
            return None
        if not self.true_met or not self.found_met:
            return 0.0
        recall, precision = self.true_met / self.true, self.found_met / self.found
        return 2 * precision * recall / (precision + recall)


def boundary_counts(truth: Pixels, found: Pixels) -> dict[int, BoundaryCounts]:
    """Counts of each code that occurs in either of two masks (H, W) of codes."""
    size = truth.shape[::-1]
    if max(size) > LONG_SIDE:
        factor = LONG_SIDE / max(size)
        size = (max(1, round(size[0] * factor)), max(1, round(size[1] * factor)))
        truth, found = (
            np.asarray(cv2.resize(m, size, interpolation=cv2.INTER_NEAREST_EXACT), np.uint8)
            for m in (truth, found)
        )
    reach = max(1, round(TOLERANCE * float(np.hypot(*size))))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    counts = {}
    for code in np.union1d(truth, found).tolist():
        outlines = [_outline(mask == code) for mask in (truth, found)]
        near = [cv2.dilate(outline, disc) for outline in outlines]
        counts[int(code)] = BoundaryCounts(
            true=int(outlines[0].sum()),
            true_met=int(cv2.countNonZero(cv2.bitwise_and(outlines[0], near[1]))),
            found=int(outlines[1].sum()),
            found_met=int(cv2.countNonZero(cv2.bitwise_and(outlines[1], near[0]))),
        )
    return counts


def _outline(region: NDArray[np.bool_]) -> Pixels:
    """The region's pixels with a neighbour outside it; the picture's rim is no outline."""
    filled = region.astype(np.uint8)
    inner = cv2.erode(filled, np.ones((3, 3), np.uint8), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.subtract(filled, inner), np.uint8)
