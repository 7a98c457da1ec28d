"""Colour spaces of the correction: sRGB (IEC 61966-2-1), linear light, CIELAB, CIEDE2000.

CIELAB here is of D65 sRGB light adapted to D50 (Bradford), the white of the card's published
values.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bsa_vision.core.frames import FloatArray

#: Linear sRGB (D65) to XYZ (D50), Bradford-adapted (ICC sRGB profile; B. Lindbloom).
LINEAR_TO_XYZ_D50 = np.array(
    [
        [0.4360747, 0.3850649, 0.1430804],
        [0.2225045, 0.7168786, 0.0606169],
        [0.0139322, 0.0971045, 0.7141733],
    ]
)
XYZ_D50_TO_LINEAR = np.linalg.inv(LINEAR_TO_XYZ_D50)
WHITE_D50 = LINEAR_TO_XYZ_D50.sum(axis=1)

_DELTA = 6 / 29


def srgb_values_to_linear(values: ArrayLike) -> FloatArray:
    """sRGB values in 0..1 (any shape) to linear light."""
    signal = np.asarray(values, dtype=np.float64)
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


SRGB_CODE_TO_LINEAR = srgb_values_to_linear(np.arange(256) / 255)


def srgb_to_linear(codes: NDArray[np.uint8]) -> FloatArray:
    """sRGB codes (uint8, any shape) to linear light in 0..1."""
    return SRGB_CODE_TO_LINEAR[codes]


def linear_to_srgb(linear: ArrayLike) -> FloatArray:
    """Linear light (any shape; clipped to 0..1) to sRGB in 0..1."""
    light = np.clip(np.asarray(linear, dtype=np.float64), 0, 1)
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)


def linear_to_lab(linear: ArrayLike) -> FloatArray:
    """Linear sRGB (..., 3) to CIELAB D50. Out-of-gamut light is allowed."""
    xyz = np.asarray(linear, dtype=np.float64) @ LINEAR_TO_XYZ_D50.T / WHITE_D50
    f = np.where(xyz > _DELTA**3, np.cbrt(xyz), xyz / (3 * _DELTA**2) + 4 / 29)
    return np.stack(
        [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], -1
    )


def lab_to_linear(lab: ArrayLike) -> FloatArray:
    """CIELAB D50 (..., 3) to linear sRGB, not clipped."""
    values = np.asarray(lab, dtype=np.float64)
    y = (values[..., 0] + 16) / 116
    f = np.stack([y + values[..., 1] / 500, y, y - values[..., 2] / 200], axis=-1)
    xyz = np.where(f > _DELTA, f**3, 3 * _DELTA**2 * (f - 4 / 29)) * WHITE_D50
    return np.asarray(xyz @ XYZ_D50_TO_LINEAR.T)


def ciede2000(lab_1: ArrayLike, lab_2: ArrayLike) -> FloatArray:
    """CIEDE2000 colour difference of CIELAB pairs (..., 3), k_L = k_C = k_H = 1.

    Source: Sharma, Wu & Dalal, Color Research & Application 30(1), 2005.
    """
    one, two = np.asarray(lab_1, dtype=np.float64), np.asarray(lab_2, dtype=np.float64)
    chroma = (np.hypot(one[..., 1], one[..., 2]) + np.hypot(two[..., 1], two[..., 2])) / 2
    g = 0.5 * (1 - np.sqrt(chroma**7 / (chroma**7 + 25.0**7)))
    a_1, a_2 = (1 + g) * one[..., 1], (1 + g) * two[..., 1]
    c_1, c_2 = np.hypot(a_1, one[..., 2]), np.hypot(a_2, two[..., 2])
    h_1 = np.degrees(np.arctan2(one[..., 2], a_1)) % 360
    h_2 = np.degrees(np.arctan2(two[..., 2], a_2)) % 360
    grey = c_1 * c_2 == 0
    step = np.where(grey, 0.0, (h_2 - h_1 + 180) % 360 - 180)
    # Opposite hues: the formula's convention is +180 where h_2 > h_1.
    step = np.where((step == -180) & (h_2 > h_1), 180.0, step)
    d_h = 2 * np.sqrt(c_1 * c_2) * np.sin(np.radians(step / 2))
    mean_h = np.where(grey, h_1 + h_2, (h_1 + step / 2) % 360)
    mean_l, mean_c = (one[..., 0] + two[..., 0]) / 2, (c_1 + c_2) / 2
    t = (
        1
        - 0.17 * np.cos(np.radians(mean_h - 30))
        + 0.24 * np.cos(np.radians(2 * mean_h))
        + 0.32 * np.cos(np.radians(3 * mean_h + 6))
        - 0.20 * np.cos(np.radians(4 * mean_h - 63))
    )
    s_l = 1 + 0.015 * (mean_l - 50) ** 2 / np.sqrt(20 + (mean_l - 50) ** 2)
    s_c, s_h = 1 + 0.045 * mean_c, 1 + 0.015 * mean_c * t
    turn = 60 * np.exp(-(((mean_h - 275) / 25) ** 2))
    r_t = -2 * np.sqrt(mean_c**7 / (mean_c**7 + 25.0**7)) * np.sin(np.radians(turn))
    d_l, d_c = (two[..., 0] - one[..., 0]) / s_l, (c_2 - c_1) / s_c
    d_h = d_h / s_h
    return np.asarray(np.sqrt(np.maximum(d_l**2 + d_c**2 + d_h**2 + r_t * d_c * d_h, 0)))


def lab_jacobian(linear: FloatArray) -> FloatArray:
    """Derivatives of `linear_to_lab`: (..., 3) linear sRGB to (..., 3, 3)."""
    xyz = linear @ LINEAR_TO_XYZ_D50.T / WHITE_D50
    safe = np.maximum(xyz, _DELTA**3)
    slope = np.where(xyz > _DELTA**3, safe ** (-2 / 3) / 3, 1 / (3 * _DELTA**2))
    per_f = np.array([[0.0, 116.0, 0.0], [500.0, -500.0, 0.0], [0.0, 200.0, -200.0]])
    return np.asarray((per_f * slope[..., None, :]) @ (LINEAR_TO_XYZ_D50 / WHITE_D50[:, None]))
