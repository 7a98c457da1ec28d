"""Published colours of the ColorChecker Classic.

Source: X-Rite, "New color specifications for ColorChecker SG and Classic charts", for charts made
since November 2014: CIELAB, D50, 2 degree observer.
"""

import functools

import numpy as np

from bsa_vision.calibration.srgb import lab_to_linear
from bsa_vision.core.frames import FloatArray, frozen

#: Patch names in chart order: rows from "dark skin" (top-left) to the neutrals (bottom).
PATCH_NAMES = (
    "dark skin", "light skin", "blue sky", "foliage", "blue flower", "bluish green",
    "orange", "purplish blue", "moderate red", "purple", "yellow green", "orange yellow",
    "blue", "green", "red", "yellow", "magenta", "cyan",
    "white", "neutral 8", "neutral 6.5", "neutral 5", "neutral 3.5", "black",
)  # fmt: skip
FIRST_NEUTRAL = 18

#: CIELAB D50 in chart order, (24, 3).
REFERENCE_LAB = frozen(
    np.array(
        [
            [37.54, 14.37, 14.92], [64.66, 19.27, 17.50], [49.32, -3.82, -22.54],
            [43.46, -12.74, 22.72], [54.94, 9.61, -24.79], [70.48, -32.26, -0.37],
            [62.73, 35.83, 56.50], [39.43, 10.75, -45.17], [50.57, 48.64, 16.67],
            [30.10, 22.54, -20.87], [71.77, -24.13, 58.19], [71.51, 18.24, 67.37],
            [28.37, 15.42, -49.80], [54.38, -39.72, 32.27], [42.43, 51.05, 28.62],
            [81.80, 2.67, 80.41], [50.63, 51.28, -14.12], [49.57, -29.71, -28.32],
            [95.19, -1.03, 2.93], [81.29, -0.57, 0.44], [66.89, -0.75, -0.06],
            [50.76, -0.13, 0.14], [35.63, -0.46, -0.48], [20.64, 0.07, -0.46],
        ]
    ),
    np.float64,
)  # fmt: skip


@functools.cache
def reference_linear() -> FloatArray:
    """Linear sRGB of the 24 patches, (24, 3); cyan lies outside sRGB and has a negative red."""
    return frozen(lab_to_linear(REFERENCE_LAB), np.float64)
