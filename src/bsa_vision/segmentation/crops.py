"""The augmented crops that a network learns from."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from bsa_vision.segmentation.augment import Augmenter
from bsa_vision.segmentation.dataset import IGNORED, TrainingFolder, class_indices
from bsa_vision.segmentation.padding import resample

Pixels = NDArray[np.uint8]


class Crops:
    """Augmented square crops: item i is a pure function of (seed, i).

    So the crops are the same whatever number of processes loads them, and a run that is taken up
    again goes on with the crops it would have had.

    Parameters
    ----------
    folder, names : where crops come from.
    side : of a crop, network pixels.
    long_side : network pixels of a whole photo's long side.
    count : number of items.
    seed : the chance of the draw.
    first : index of the first item, for runs taken up again.
    """

    #: A crop's scale relative to a whole photo at `long_side`, drawn log-uniformly: photos are
    #: taken from different distances than the training photos were.
    SCALES = (0.6, 1.5)
    #: Share of the crops centred on a pixel of a class drawn evenly from those in the photo, so
    #: that rare classes are met often.
    CENTRED_SHARE = 0.65
    #: Every how many pixels a photo is looked at to find a centre.
    STRIDE = 4

    def __init__(
        self,
        folder: TrainingFolder,
        names: Sequence[str],
        *,
        side: int,
        long_side: int,
        count: int,
        seed: int,
        first: int = 0,
    ) -> None:
        self._folder, self._names = folder, tuple(names)
        self._side, self._long_side = side, long_side
        self._count, self._seed, self._first = count, seed, first
        self._augmenter = Augmenter()

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, item: int) -> tuple[Pixels, Pixels]:
        """Crop (3, side, side) sRGB and class indices (side, side), both uint8."""
        if not 0 <= item < self._count:
            raise IndexError(item)
        rng = np.random.default_rng([self._seed, self._first + item])
        image, mask = self._folder.read(self._names[int(rng.integers(len(self._names)))])
        indices = class_indices(mask, tuple(self._folder.classes))
        crop, target = self._draw(rng, image, indices)
        crop, target = self._augmenter(crop, target, int(rng.integers(2**31)))
        return np.ascontiguousarray(crop.transpose(2, 0, 1)), target

    def _draw(
        self, rng: np.random.Generator, image: Pixels, indices: Pixels
    ) -> tuple[Pixels, Pixels]:
        height, width = indices.shape
        scale = float(np.exp(rng.uniform(*np.log(self.SCALES))))
        span = self._side / scale * max(height, width) / self._long_side
        span_x, span_y = min(round(span), width), min(round(span), height)
        cx, cy = self._centre(rng, indices, span)
        x = int(np.clip(cx - span_x // 2, 0, width - span_x))
        y = int(np.clip(cy - span_y // 2, 0, height - span_y))
        window = np.s_[y : y + span_y, x : x + span_x]
        size = (round(self._side * span_x / span), round(self._side * span_y / span))
        size = (min(max(1, size[0]), self._side), min(max(1, size[1]), self._side))
        target = cv2.resize(indices[window], size, interpolation=cv2.INTER_NEAREST_EXACT)
        crop = resample(image[window], size)
        if size == (self._side, self._side):
            return crop, np.asarray(target, np.uint8)
        # Wider than the photo: filled up as whole photos are, and left out of the loss.
        left, top = (int(rng.integers(self._side - length + 1)) for length in size)
        rims = top, self._side - size[1] - top, left, self._side - size[0] - left
        crop = np.asarray(cv2.copyMakeBorder(crop, *rims, cv2.BORDER_REPLICATE), np.uint8)
        target = cv2.copyMakeBorder(target, *rims, cv2.BORDER_CONSTANT, value=(IGNORED,))
        return crop, np.asarray(target, np.uint8)

    def _centre(self, rng: np.random.Generator, indices: Pixels, span: float) -> tuple[int, int]:
        """Where a crop that spans so many pixels of the photo is centred: x, y."""
        height, width = indices.shape
        if rng.random() < self.CENTRED_SHARE:
            coarse = indices[:: self.STRIDE, :: self.STRIDE]
            present = np.flatnonzero(np.bincount(coarse.ravel(), minlength=IGNORED)[:IGNORED])
            if len(present):
                wanted = present[int(rng.integers(len(present)))]
                rows, columns = np.nonzero(coarse == wanted)
                pick = int(rng.integers(len(rows)))
                jitter = rng.integers(-round(span / 4), round(span / 4) + 1, size=2)
                cx, cy = int(columns[pick]) * self.STRIDE, int(rows[pick]) * self.STRIDE
                return cx + int(jitter[0]), cy + int(jitter[1])
        return int(rng.integers(width)), int(rng.integers(height))
