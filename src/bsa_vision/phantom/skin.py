"""The colour of healthy skin: all tones, from skin maps or from pigments.

Monk tones 1-10 (E. Monk, "The Monk Skin Tone Scale", 2019) are the base; melanin and haemoglobin
vary over the body, with freckles, moles, hair, darker nipples and redder lips.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bsa_vision.phantom.marks import Marks, add_marks, random_marks
from bsa_vision.phantom.noise import Float32, Noise, smoothstep
from bsa_vision.phantom.pigments import HAEMOGLOBIN, MELANIN

#: sRGB of the Monk skin tones 1-10.
MONK_TONES = np.array(
    [
        (246, 237, 228),
        (243, 231, 219),
        (247, 234, 208),
        (234, 218, 186),
        (215, 189, 150),
        (160, 126, 86),
        (130, 92, 67),
        (96, 65, 52),
        (58, 49, 42),
        (41, 36, 32),
    ],
    np.uint8,
)
#: Places in texture coordinates (u, v): nipples, lips and the painted scalp of the skin maps.
_NIPPLES = ((0.326, 0.700), (0.437, 0.700))
_LIPS = (0.908, 0.484, 0.017, 0.026)
_MAP_SIZES = (256, 512, 1024, 2048)


def srgb_to_linear(values: NDArray[np.uint8] | Float32) -> Float32:
    """sRGB 0..255 -> linear 0..1 (IEC 61966-2-1)."""
    v = np.asarray(values, np.float32) / 255
    linear: Float32 = np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4).astype(
        np.float32
    )
    return linear


_LINEAR_OF_BYTE = srgb_to_linear(np.arange(256, dtype=np.uint8))


@dataclass(frozen=True)
class SkinLook:
    """How one patient's healthy skin looks.

    Attributes
    ----------
    tone : (3,) linear base colour.
    texture : path of a skin map in Anny's texture coordinates, or None.
    tint : (3,) factor on the map's colours.
    mottle, freckles, moles, body_hair, stubble, ruddy : amounts, 0 for none.
    marks : bruises, scars and tattoos.
    noise : placement of the pigment fields.
    """

    tone: Float32
    texture: Path | None
    tint: Float32
    mottle: float
    freckles: float
    moles: float
    body_hair: float
    stubble: float
    ruddy: float
    marks: Marks
    noise: Noise


@lru_cache(maxsize=8)
def _skin_map(path: Path, size: int) -> NDArray[np.uint8]:
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        message = f"A skin map was needed, got no readable image at {path}."
        raise FileNotFoundError(message)
    rgb = np.asarray(bgr)[:, :, ::-1]
    return np.ascontiguousarray(cv2.resize(rgb, (size, size), interpolation=cv2.INTER_AREA))


def random_skin_look(rng: np.random.Generator, textures: Path | None) -> SkinLook:
    """A look drawn at random; with a folder of skin maps, three of four looks use one."""
    # A little beyond both ends, so that the lightest and the darkest are met as often as others.
    level = float(np.clip(rng.uniform(-0.6, 9.6), 0, 9))
    low = min(int(level), 8)
    monk = srgb_to_linear(MONK_TONES)
    tone = monk[low] + (level - low) * (monk[low + 1] - monk[low])
    # The published swatches are lighter and yellower than skin photographed in a ward.
    tone = tone * np.exp(-rng.uniform(0.05, 0.45) * HAEMOGLOBIN - rng.uniform(0, 0.25))
    maps = sorted(textures.glob("*.png")) if textures is not None else []
    texture = maps[rng.integers(len(maps))] if maps and rng.random() < 0.75 else None
    tint = np.ones(3, np.float32)
    if texture is not None:
        darker = float(np.log(_mean_of_map(texture).mean() / tone.mean()))
        # Most of the way to the tone, so that all tones are met as often.
        amount = np.clip(darker * rng.uniform(0.8, 1.1), -0.8, 3.6)
        tint = np.exp(-amount * MELANIN / MELANIN.mean() - rng.normal(0, 0.08, 3))
        # Melanin alone leaves the map's yellow in the lightest skin, and its red in the darkest.
        hue = min(float(rng.uniform(0, 2.5)), 1.0)
        tint = tint ** (1 - hue) * (tone / _mean_of_map(texture)) ** hue
    return SkinLook(
        tone=tone.astype(np.float32),
        texture=texture,
        tint=tint.astype(np.float32),
        mottle=float(rng.uniform(0.3, 1.4)),
        freckles=float(max(rng.normal(-0.3, 0.6), 0)),
        moles=float(max(rng.normal(0.2, 0.5), 0)),
        body_hair=float(max(rng.normal(-0.1, 0.5), 0)),
        stubble=float(rng.uniform(0, 1)),
        ruddy=float(rng.uniform(0, 1)),
        marks=random_marks(rng),
        noise=Noise.from_rng(rng),
    )


def with_monk_tone(look: SkinLook, tone: int) -> SkinLook:
    """The same patient with skin of another Monk tone, 1 to 10; a skin map is tinted to it."""
    # As photographed: see `random_skin_look`, whose middle this is.
    wanted = srgb_to_linear(MONK_TONES[tone - 1]) * np.exp(-0.25 * HAEMOGLOBIN - 0.12)
    tint = look.tint
    if look.texture is not None:
        tint = wanted / _mean_of_map(look.texture)
    return replace(look, tone=wanted.astype(np.float32), tint=tint.astype(np.float32))


def _mean_of_map(path: Path) -> Float32:
    """Linear colour (3,) of the trunk in a skin map."""
    trunk = _LINEAR_OF_BYTE[_skin_map(path, 256)][60:150, 60:130]
    return np.asarray(trunk.mean(axis=(0, 1)), np.float32)


def skin_albedo(
    look: SkinLook, position: Float32, uv: Float32, inclination: Float32, mm_per_px: float
) -> Float32:
    """Linear colour of healthy skin at N points.

    Parameters
    ----------
    position : (N, 3) on the resting body, metres.
    uv : (N, 2) texture coordinates.
    inclination : (N,) see `lesions.vertex_inclination`; low at hands and feet.
    mm_per_px : size of a pixel on the skin; details below it are left out.

    Returns
    -------
    (N, 3) float32.
    """
    patches = look.noise.sample(position, 0.12)
    albedo: Float32
    if look.texture is not None:
        albedo = _from_map(look.texture, uv, mm_per_px) * look.tint
    else:
        albedo = np.broadcast_to(look.tone, position.shape) * _landmark_pigment(look, uv)
    blood = 0.06 * look.mottle * patches[:, 0] + 0.04 * look.mottle * patches[:, 1]
    blood = blood + look.ruddy * 0.25 * smoothstep(0.0, -0.3, inclination)
    melanin = 0.06 * look.mottle * patches[:, 2]
    if mm_per_px < 3:
        fine = look.noise.sample(position, 0.012)
        blood = blood + 0.05 * look.mottle * fine[:, 0]
        melanin = melanin + 0.03 * look.mottle * fine[:, 1] + _spots(look, position, mm_per_px)
    albedo = albedo * np.exp(-blood[:, None] * HAEMOGLOBIN - melanin[:, None] * MELANIN)
    albedo = add_marks(look.marks, albedo, position)
    if look.body_hair > 0 and mm_per_px < 1.2:
        lean = position + 0.004 * patches[:, :3]
        strands = look.noise.sample(lean * np.array((1, 1, 0.15), np.float32), 0.0022)[:, 0]
        hairy = smoothstep(0.2, 1.6, patches[:, 3] + look.body_hair - 0.3)
        albedo = albedo * (1 - 0.55 * hairy * smoothstep(1.3, 2.0, strands))[:, None]
    return np.asarray(np.clip(albedo, 0.004, 0.95), np.float32)


def _from_map(path: Path, uv: Float32, mm_per_px: float) -> Float32:
    """Colours of a skin map (N, 3), from the copy whose texels are no finer than the pixels."""
    size = next((s for s in _MAP_SIZES if 2200 / s < 1.5 * mm_per_px), _MAP_SIZES[-1])
    image = _skin_map(path, size)
    rows = -(-len(uv) // 2048)
    xy = np.zeros((rows * 2048, 2), np.float32)
    xy[: len(uv), 0] = uv[:, 0] * size - 0.5
    xy[: len(uv), 1] = (1 - uv[:, 1]) * size - 0.5
    grid = xy.reshape(rows, 2048, 2)
    found = cv2.remap(image, grid[..., 0], grid[..., 1], cv2.INTER_LINEAR)
    colours = np.asarray(found, np.uint8).reshape(-1, 3)[: len(uv)]
    return np.asarray(_LINEAR_OF_BYTE[colours], np.float32)


def _landmark_pigment(look: SkinLook, uv: Float32) -> Float32:
    """Factor (N, 3) that darkens nipples, reddens lips and shades a shaved scalp."""
    factor = np.ones((len(uv), 3), np.float32)
    for u, v in _NIPPLES:
        away = np.hypot(uv[:, 0] - u, uv[:, 1] - v)
        amount = smoothstep(0.011, 0.006, away) * np.float32(0.7)
        factor *= np.exp(-amount[:, None] * (0.5 * MELANIN + 0.35 * HAEMOGLOBIN))
    u, v, wide, high = _LIPS
    away = np.hypot((uv[:, 0] - u) / wide, (uv[:, 1] - v) / high)
    factor *= np.exp(-smoothstep(1.0, 0.7, away)[:, None] * 0.8 * HAEMOGLOBIN)
    scalp = (uv[:, 0] > 0.64) * smoothstep(0.80, 0.74, uv[:, 0]) * (uv[:, 1] > 0.14)
    scalp = scalp * (uv[:, 1] < 0.82)
    factor *= np.exp(-(look.stubble * 0.9 * scalp)[:, None] * MELANIN)
    return factor


def _spots(look: SkinLook, position: Float32, mm_per_px: float) -> Float32:
    """Melanin of freckles and moles at N points."""
    melanin = np.zeros(len(position), np.float32)
    if look.freckles > 0 and mm_per_px < 1.5:
        grain = look.noise.sample(position, 0.006, "blobs")[:, 0]
        melanin += 0.5 * look.freckles * smoothstep(1.6, 2.3, grain)
    if look.moles > 0:
        grain = look.noise.sample(position, 0.02, "blobs")[:, 1]
        melanin += 1.6 * smoothstep(3.3 - 0.4 * look.moles, 3.6 - 0.4 * look.moles, grain)
    return melanin
