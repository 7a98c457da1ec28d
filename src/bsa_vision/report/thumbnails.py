"""Small pictures of the photos with the masks' outlines."""

import cv2
import numpy as np
from numpy.typing import NDArray

from bsa_vision.core.labels import LABEL_COLOURS, Label

#: Labels that are outlined; the border of unaffected skin is that of the body.
OUTLINED = (
    Label.ERYTHEMA,
    Label.DETACHABLE,
    Label.DETACHED,
    Label.REEPITHELIALISED,
    Label.NOT_ASSESSABLE,
)
#: Long side of a photo's thumbnail in pixels.
SIDE = 320
_JPEG_QUALITY = 82
#: Outlines are drawn at this multiple of the size and averaged down, for smooth lines.
_OVERSAMPLING = 2
#: Specks smaller than this, in oversampled pixels, would vanish beneath their own outline.
_LEAST_AREA = 30.0


def thumbnail(pixels: NDArray[np.uint8], labels: NDArray[np.uint8], side: int = SIDE) -> bytes:
    """JPEG of a photo with an outline round every lesion, in the colours of the chart.

    Parameters
    ----------
    pixels : (H, W, 3) sRGB. labels : (h, w) mask codes of the same picture, any size.
    side : long side of the thumbnail in pixels.
    """
    canvas, codes = oversampled(pixels, labels, side)
    for label in OUTLINED:
        mask = (codes == label).astype(np.uint8)
        found, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        outlines = [outline for outline in found if cv2.contourArea(outline) >= _LEAST_AREA]
        cv2.drawContours(canvas, outlines, -1, (20, 20, 20), 4, cv2.LINE_AA)
        cv2.drawContours(canvas, outlines, -1, LABEL_COLOURS[label], 2, cv2.LINE_AA)
    return jpeg(canvas)


def thumbnail_source(pixels: NDArray[np.uint8], side: int = SIDE) -> NDArray[np.uint8]:
    """As much of a picture (H, W, 3) as its `thumbnail` shows: no smaller than it is drawn."""
    size = _drawn_size(pixels, side)
    if max(size) >= max(pixels.shape[:2]):
        return pixels
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _drawn_size(pixels: NDArray[np.uint8], side: int) -> tuple[int, int]:
    """(width, height) at which outlines are drawn."""
    height, width = pixels.shape[:2]
    scale = side / max(height, width)
    wide, high = (_OVERSAMPLING * max(1, round(length * scale)) for length in (width, height))
    return wide, high


def oversampled(
    pixels: NDArray[np.uint8], labels: NDArray[np.uint8], side: int
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A photo and its mask, ready for outlines, larger than a picture of that long side will be."""
    large = _drawn_size(pixels, side)
    method = cv2.INTER_AREA if max(pixels.shape[:2]) > max(large) else cv2.INTER_LINEAR
    canvas = cv2.resize(pixels, large, interpolation=method)
    codes = cv2.resize(labels, large, interpolation=cv2.INTER_NEAREST)
    return np.asarray(canvas, np.uint8), np.asarray(codes, np.uint8)


def jpeg(canvas: NDArray[np.uint8]) -> bytes:
    """The JPEG of an oversampled picture, averaged down to its size."""
    size = (canvas.shape[1] // _OVERSAMPLING, canvas.shape[0] // _OVERSAMPLING)
    small = cv2.resize(canvas, size, interpolation=cv2.INTER_AREA)
    done, data = cv2.imencode(
        ".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    )
    if not done:
        msg = f"report: a {size} picture could not be encoded"
        raise RuntimeError(msg)
    return data.tobytes()
