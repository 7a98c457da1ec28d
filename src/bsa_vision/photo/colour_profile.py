"""Bring decoded pixels to sRGB by the colour profile that the photo carries.

Phones write Display P3, some cameras Adobe RGB; read as sRGB, either would make red skin paler. A
photo without a profile, or with one that cannot be used, is taken as sRGB, the web's and EXIF's
default. Colours outside sRGB are clipped.
"""

import io
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

#: ICC colour space (ICC.1:2022, table 19) that a profile must have to serve pixels of a mode.
SPACE_OF_MODE = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}
# Steps per axis of the lattice on which a profile is compared with sRGB.
LATTICE_STEPS = 18


def to_srgb(pixels: NDArray[np.uint8], mode: str, profile: bytes | None) -> NDArray[np.uint8]:
    """Pixels in sRGB.

    Parameters
    ----------
    pixels : uint8 (H, W) for mode "L", (H, W, 3) for "RGB", (H, W, 4) for "CMYK" (255 = full ink).
    mode : "L", "RGB" or "CMYK".
    profile : the ICC profile's bytes, or None.

    Returns
    -------
    uint8 (H, W, 3).
    """
    transform = _transform(profile, mode) if profile else None
    if transform is not None:
        image = ImageCms.applyTransform(Image.fromarray(pixels, mode=mode), transform)
        return np.asarray(image)
    if mode == "L":
        return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB), dtype=np.uint8)
    if mode == "CMYK":
        return np.asarray(Image.fromarray(pixels, mode=mode).convert("RGB"))
    return pixels


@lru_cache(maxsize=16)
def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform to sRGB; None where it would change nothing or the profile is unusable."""
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != SPACE_OF_MODE[mode]:
            return None
        transform = ImageCms.buildTransform(
            source,
            ImageCms.createProfile("sRGB"),
            mode,
            "RGB",
            ImageCms.Intent.RELATIVE_COLORIMETRIC,
        )
    except (ImageCms.PyCMSError, OSError):
        return None
    return None if mode == "RGB" and _changes_nothing(transform) else transform


def _changes_nothing(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether an RGB transform keeps a lattice of colours within one level (it is sRGB itself).

    Skipping it saves a sixth of a full decode on the many photos that name sRGB explicitly.
    """
    axis = np.linspace(0, 255, LATTICE_STEPS).astype(np.uint8)
    lattice = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    lattice = lattice.reshape(LATTICE_STEPS, -1, 3)
    moved = np.asarray(ImageCms.applyTransform(Image.fromarray(lattice), transform))
    return bool(np.abs(moved.astype(np.int16) - lattice).max() <= 1)
