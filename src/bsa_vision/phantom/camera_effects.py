"""From light to a photo: exposure, white balance, lens, noise, tone curve, JPEG."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bsa_vision.phantom.noise import Float32


@dataclass(frozen=True)
class CameraEffects:
    """What a camera and its settings do to the light.

    Attributes
    ----------
    gains : (3,) white-balance factors.
    exposure : factor on linear light.
    vignette, blur_px, shot_noise, read_noise, saturation, contrast, sharpen : strengths.
    motion_px : (2,) length of a shake across and down.
    jpeg_quality : 1..100.
    seed : of the noise.
    """

    gains: Float32
    exposure: float
    vignette: float
    blur_px: float
    motion_px: tuple[float, float]
    shot_noise: float
    read_noise: float
    saturation: float
    contrast: float
    sharpen: float
    jpeg_quality: int
    seed: int


def random_effects(
    rng: np.random.Generator, illuminant: Float32, brightness: float, harshness: float = 1.0
) -> CameraEffects:
    """Effects drawn at random.

    Parameters
    ----------
    illuminant : (3,) colour of white paper in the light.
    brightness : mean linear luminance of the subject, which the exposure aims at.
    harshness : 0..1, how far from a perfect camera.
    """
    cast = np.exp(harshness * rng.normal(0, (0.10, 0.025, 0.12)))
    adapted = illuminant ** np.float32(rng.uniform(0.6, 1.0))
    gains = cast / adapted * adapted[1]
    target = 0.24 * 2 ** (rng.normal(0, 0.45) * harshness)
    shaken = rng.random() < 0.08 * harshness
    return CameraEffects(
        gains=gains.astype(np.float32),
        exposure=float(target / max(brightness, 1e-3)),
        vignette=float(rng.uniform(0, 0.35) * harshness),
        blur_px=float(0.35 + abs(rng.normal(0, 0.45)) * harshness),
        motion_px=tuple(rng.normal(0, 2.0, 2)) if shaken else (0.0, 0.0),
        shot_noise=float(rng.uniform(0, 0.018) * harshness),
        read_noise=float(rng.uniform(0.0, 0.008) * harshness),
        saturation=float(np.exp(rng.normal(0, 0.12) * harshness)),
        contrast=float(rng.uniform(0, 0.6) * harshness),
        sharpen=float(max(rng.normal(0, 0.4), 0) * harshness),
        jpeg_quality=int(rng.integers(55, 96)),
        seed=int(rng.integers(2**31)),
    )


def take_photo(light: Float32, effects: CameraEffects) -> NDArray[np.uint8]:
    """Linear light (H, W, 3) -> sRGB uint8 (H, W, 3), before any JPEG compression."""
    height, width = light.shape[:2]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    falloff = 1 - np.float32(effects.vignette) * 0.5 * (x**2 + y**2)
    image = light * (effects.gains * np.float32(effects.exposure)) * falloff[..., None]
    image = np.asarray(cv2.GaussianBlur(image, (0, 0), effects.blur_px), np.float32)
    if effects.motion_px != (0.0, 0.0):
        image = _shaken(image, effects.motion_px)
    rng = np.random.default_rng(effects.seed)
    grain = rng.standard_normal(image.shape, np.float32)
    grain = np.asarray(cv2.GaussianBlur(grain, (0, 0), 0.6), np.float32) * 1.8
    image += grain * np.sqrt(
        np.float32(effects.shot_noise**2) * np.clip(image, 0, 1) + np.float32(effects.read_noise**2)
    )
    encoded = _encoded(image, effects.contrast)
    if effects.saturation != 1:
        grey = encoded.mean(axis=2, keepdims=True)
        encoded = grey + np.float32(effects.saturation) * (encoded - grey)
    if effects.sharpen:
        soft = np.asarray(cv2.GaussianBlur(encoded, (0, 0), 1.2), np.float32)
        encoded += np.float32(effects.sharpen) * (encoded - soft)
    return np.asarray(np.clip(encoded * 255 + 0.5, 0, 255), np.uint8)


def _encoded(linear: Float32, contrast: float) -> Float32:
    """Tone curve of linear (H, W, 3): a shoulder from 0.8 of full scale, sRGB, S-shaped contrast.

    Looked up in a table over the square root of the light, which is fine where the curve is steep.
    """
    top, entries = 4.0, 8191
    x = (np.arange(entries + 1, dtype=np.float64) / entries) ** 2 * top
    knee = 0.8
    x = np.minimum(x, knee) + (1 - knee) * (1 - np.exp(-np.maximum(x - knee, 0) / (1 - knee)))
    table = np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
    table += 0.5 * contrast * (table * table * (3 - 2 * table) - table)
    scaled = np.clip(linear, 0, top)
    scaled *= np.float32(entries**2 / top)
    np.sqrt(scaled, out=scaled)
    encoded: Float32 = np.take(table.astype(np.float32), scaled.astype(np.int16))
    return encoded


def _shaken(image: Float32, motion: tuple[float, float]) -> Float32:
    total = np.zeros_like(image)
    steps = np.linspace(-0.5, 0.5, 5)
    for step in steps:
        shift = np.array([[1, 0, step * motion[0]], [0, 1, step * motion[1]]], np.float32)
        size = (image.shape[1], image.shape[0])
        total += cv2.warpAffine(image, shift, size, borderMode=cv2.BORDER_REPLICATE)
    return total / len(steps)


def through_jpeg(pixels: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """The pixels (H, W, 3) as they come back from a JPEG file of that quality."""
    _, data = cv2.imencode(".jpg", pixels[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = cv2.imdecode(data, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(np.asarray(decoded, np.uint8)[:, :, ::-1])
