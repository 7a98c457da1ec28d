"""What the rest of the project knows of segmentation: two records and a protocol, no torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from bsa_vision.core.frames import frozen


@dataclass(frozen=True)
class Segmentation:
    """What a network says of one photo, at the network's own resolution.

    Attributes
    ----------
    labels : uint8 (h, w), the code of the most probable class.
    probabilities : uint8 (h, w, n_classes), softmax x 255, channels in the order of the
        segmenter's `classes`. Read as a photo of the same aspect: pixel (0, 0) covers the same
        corner of the photo, so photo x = (x + 0.5) * width / w - 0.5.
    """

    labels: NDArray[np.uint8]
    probabilities: NDArray[np.uint8]

    def __post_init__(self) -> None:
        if self.labels.ndim != 2:
            msg = f"labels: need shape (h, w), got {self.labels.shape}"
            raise ValueError(msg)
        if self.probabilities.ndim != 3 or self.probabilities.shape[:2] != self.labels.shape:
            msg = (
                f"probabilities: need shape {(*self.labels.shape, 'n_classes')}, "
                f"got {self.probabilities.shape}"
            )
            raise ValueError(msg)
        object.__setattr__(self, "labels", frozen(self.labels, np.uint8))
        object.__setattr__(self, "probabilities", frozen(self.probabilities, np.uint8))

    def labels_at(self, size: tuple[int, int]) -> NDArray[np.uint8]:
        """The labels at the size (width, height) of an image, nearest pixel: uint8 (H, W)."""
        resized = cv2.resize(self.labels, size, interpolation=cv2.INTER_NEAREST_EXACT)
        return np.asarray(resized, dtype=np.uint8)


def sharpened(probabilities: NDArray[np.uint8], power: float) -> NDArray[np.uint8]:
    """Probabilities (h, w, n) x 255 raised to a power and made to sum to one again, uint8 x 255.

    Probabilities that are right on average are spread thin over what a photo leaves open, such as a
    whole leg that may be faintly pink: a little of each state everywhere. Summed over the skin that
    is more than any reader would call. Sharper ones give areas nearer to the truth
    (docs/BENCHMARKS.md).
    """
    if power == 1:
        return probabilities
    table = (np.arange(256, dtype=np.float32) / 255) ** np.float32(power)
    raised = np.asarray(cv2.LUT(probabilities, table), np.float32)
    raised *= 255 / raised.sum(axis=2, keepdims=True)
    return np.asarray(raised + 0.5, np.uint8)


class Segmenter(Protocol):
    """Anything that can label the pixels of a photo."""

    @property
    def name(self) -> str:
        """Name of the model and of the engine that runs it."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 over everything that decides the output."""
        ...

    @property
    def classes(self) -> Mapping[int, str]:
        """Mask code -> class name, in the order of the probability channels."""
        ...

    @property
    def area_power(self) -> float:
        """What probabilities are raised to before areas are summed, 1 for nothing."""
        ...

    def segment(self, pixels: NDArray[np.uint8]) -> Segmentation:
        """Label an sRGB photo, uint8 (H, W, 3). May be called from several threads."""
        ...
