"""The photo record: what every later stage may know about a photograph, and nothing more.

There is no room in it for places, names, serial numbers or maker notes: what is not in the record
cannot reach a result.
"""

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bsa_vision.core.frames import frozen

SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Photo:
    """One photograph as displayed, in sRGB.

    Attributes
    ----------
    pixels : uint8 (H, W, 3), sRGB, as displayed; read-only. A read-only array is taken as it is, a
        writeable one is copied.
    digest : hex SHA-256 of the original file's bytes.
    full_size : (width, height) in pixels, as displayed, at full resolution.
    captured_at : ISO 8601 local time, with the offset from UTC where the camera wrote one.
    focal_px : focal length in pixels of the full-size photo; None where the camera wrote none
        or the photo was cropped.
    source_format : "JPEG", "PNG", "TIFF" or "HEIC", from the content, whatever the file's name.

    Raises
    ------
    ValueError
        If the pixels are not uint8 (H, W, 3), or the digest, sizes or focal length are impossible.
    """

    pixels: NDArray[np.uint8]
    digest: str
    full_size: tuple[int, int]
    captured_at: str | None
    focal_px: float | None
    source_format: str

    def __post_init__(self) -> None:
        if self.pixels.dtype != np.uint8 or self.pixels.ndim != 3 or self.pixels.shape[2] != 3:
            msg = f"pixels: need uint8 (H, W, 3), got {self.pixels.dtype} {self.pixels.shape}"
            raise ValueError(msg)
        height, width = self.pixels.shape[:2]
        if not (0 < width <= self.full_size[0] and 0 < height <= self.full_size[1]):
            msg = f"pixels: need at most the full size {self.full_size}, got {(width, height)}"
            raise ValueError(msg)
        if not SHA256.fullmatch(self.digest):
            msg = f"digest: need 64 lower-case hex digits, got {self.digest!r}"
            raise ValueError(msg)
        if self.focal_px is not None and self.focal_px <= 0:
            msg = f"focal_px: need a positive length or None, got {self.focal_px}"
            raise ValueError(msg)
        if self.pixels.flags.writeable:
            object.__setattr__(self, "pixels", frozen(self.pixels, np.uint8))

    @property
    def scale(self) -> float:
        """Width of `pixels` per width of the full-size photo: 1 at full resolution."""
        return float(self.pixels.shape[1] / self.full_size[0])
