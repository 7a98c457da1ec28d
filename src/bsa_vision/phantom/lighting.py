"""Light: lamps of real colour temperatures, soft shadows, wrapped diffuse and glossy reflection."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bsa_vision.core.frames import FloatArray
from bsa_vision.phantom.noise import Float32
from bsa_vision.phantom.raycast import Caster

_XYZ_TO_SRGB = np.array(
    [[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]
)
#: How far light bleeds under skin past the terminator, by colour.
_WRAP = np.array([0.22, 0.08, 0.05], np.float32)

#: Rows of a picture handled at a time.
_BAND = 32


@dataclass(frozen=True)
class Lamp:
    """A distant lamp: unit direction towards it (3,), linear colour (3,), size in radians."""

    towards: Float32
    colour: Float32
    softness: float


@dataclass(frozen=True)
class Lighting:
    """The lamps, the ambient colour (3,) and the direction (3,) from which most of it comes."""

    lamps: tuple[Lamp, ...]
    ambient: Float32
    overhead: Float32


@dataclass(frozen=True)
class Surfaces:
    """What N = height x width pixels see, row by row; float32 unless said otherwise.

    Attributes
    ----------
    position, normal, albedo : (N, 3); albedo linear.
    gloss, roughness : (N,).
    translucent : (N,) bool, skin.
    group : (N,) int32; shadows are not smoothed across groups.
    """

    position: Float32
    normal: Float32
    albedo: Float32
    gloss: Float32
    roughness: Float32
    translucent: NDArray[np.bool_]
    group: NDArray[np.int32]


def planckian_rgb(kelvin: float) -> Float32:
    """Linear sRGB (3,) of a black body, green 1 (Kim et al. 2002, 1667-25000 K)."""
    t = 1e3 / kelvin
    if kelvin <= 4000:
        x = -0.2661239 * t**3 - 0.2343589 * t**2 + 0.8776956 * t + 0.179910
    else:
        x = -3.0258469 * t**3 + 2.1070379 * t**2 + 0.2226347 * t + 0.240390
    if kelvin <= 2222:
        y = -1.1063814 * x**3 - 1.34811020 * x**2 + 2.18555832 * x - 0.20219683
    elif kelvin <= 4000:
        y = -0.9549476 * x**3 - 1.37418593 * x**2 + 2.09137015 * x - 0.16748867
    else:
        y = 3.0817580 * x**3 - 5.87338670 * x**2 + 3.75112997 * x - 0.37001483
    rgb = np.clip(_XYZ_TO_SRGB @ np.array([x / y, 1.0, (1 - x - y) / y]), 0.02, None)
    return np.asarray(rgb / rgb[1], np.float32)


def random_lighting(rng: np.random.Generator, to_camera: FloatArray, up: FloatArray) -> Lighting:
    """One or two lamps on the camera's side of the body, sometimes a flash, and ambient light."""
    kelvin = float(np.exp(rng.uniform(np.log(2700), np.log(7500))))
    lamps = []
    key_share = rng.uniform(0.35, 0.75)
    count = 1 if rng.random() < 0.45 else 2
    shares = rng.dirichlet(np.full(count, 2.0)) * key_share
    for share in shares:
        side = rng.normal(size=3)
        towards = to_camera * rng.uniform(0.5, 1.6) + 0.7 * side + up * rng.uniform(-0.1, 0.9)
        towards /= np.linalg.norm(towards)
        colour = planckian_rgb(float(np.clip(kelvin * np.exp(rng.normal(0, 0.12)), 2200, 9000)))
        lamps.append(
            Lamp(
                towards.astype(np.float32),
                colour * np.float32(share * np.pi / 2),
                float(rng.uniform(0.02, 0.3)),
            )
        )
    if rng.random() < 0.25:
        flash = to_camera + 0.04 * rng.normal(size=3)
        flash /= np.linalg.norm(flash)
        lamps.append(
            Lamp(
                flash.astype(np.float32),
                planckian_rgb(5600) * np.float32(rng.uniform(0.2, 0.8)),
                0.02,
            )
        )
    sky = planckian_rgb(float(np.clip(kelvin * np.exp(rng.normal(0.05, 0.15)), 2200, 9500)))
    overhead = up + 0.5 * to_camera + 0.3 * rng.normal(size=3)
    overhead /= np.linalg.norm(overhead)
    return Lighting(tuple(lamps), sky * np.float32(1 - key_share), overhead.astype(np.float32))


def illuminant(lighting: Lighting) -> Float32:
    """Colour (3,) of a white surface that faces all the light, green 1."""
    total = lighting.ambient.copy()
    for lamp in lighting.lamps:
        total += lamp.colour
    return np.asarray(total / total[1], np.float32)


def open_light(lighting: Lighting, towards: FloatArray) -> Float32:
    """Light (3,) on a white surface that faces `towards` (3,), of any length, without shadow."""
    normal = np.asarray(towards / np.linalg.norm(towards), np.float32)
    total = lighting.ambient * (0.65 + 0.35 * (normal @ lighting.overhead))
    for lamp in lighting.lamps:
        total = total + lamp.colour * np.maximum(normal @ lamp.towards, 0)
    return np.asarray(total, np.float32)


def _smoothed(values: Float32, group: NDArray[np.int32], sigma: float) -> Float32:
    """Gaussian smoothing of (h, w) inside each group of pixels."""
    total = np.zeros_like(values)
    for code in np.flatnonzero(np.bincount(group.ravel())):
        inside = (group == code).astype(np.float32)
        weight = cv2.GaussianBlur(inside, (0, 0), sigma)
        blurred = cv2.GaussianBlur(values * inside, (0, 0), sigma)
        total += inside * (blurred / np.maximum(weight, 1e-3))
    return total


def _spread(values: Float32, coarse: NDArray[np.int32], group: NDArray[np.int32]) -> Float32:
    """(h, w) values of a coarse grid to the full grid, without mixing groups."""
    size = (group.shape[1], group.shape[0])
    result = np.zeros(group.shape, np.float32)
    for code in np.flatnonzero(np.bincount(group.ravel())):
        inside = (coarse == code).astype(np.float32)
        weight = cv2.resize(inside, size, interpolation=cv2.INTER_LINEAR)
        blown = cv2.resize(values * inside, size, interpolation=cv2.INTER_LINEAR)
        here = group == code
        result[here] = (blown / np.maximum(weight, 1e-3))[here]
    return result


def lamp_visibility(
    caster: Caster, surfaces: Surfaces, lamp: Lamp, size: tuple[int, int], rng: np.random.Generator
) -> Float32:
    """Share of a lamp that reaches each pixel (N,), one jittered ray per 2 x 2 pixels, smoothed."""
    width, height = size
    step = 2
    position = surfaces.position.reshape(height, width, 3)[::step, ::step]
    normal = surfaces.normal.reshape(height, width, 3)[::step, ::step].reshape(-1, 3)
    group = surfaces.group.reshape(height, width)
    coarse = group[::step, ::step]
    rays = lamp.towards + rng.standard_normal((coarse.size, 3), np.float32) * np.float32(
        lamp.softness
    )
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    start = position.reshape(-1, 3) + np.float32(8e-4) * normal
    open_way = ~caster.blocked(start, rays)
    values = _smoothed(
        open_way.reshape(coarse.shape).astype(np.float32), coarse, 0.8 + 9 * lamp.softness
    )
    return _spread(values, coarse, group).ravel()


def openness(
    caster: Caster, surfaces: Surfaces, size: tuple[int, int], rng: np.random.Generator
) -> Float32:
    """Share of the surroundings each pixel sees (N,): ambient occlusion at quarter resolution."""
    width, height = size
    step = 4
    position = surfaces.position.reshape(height, width, 3)[::step, ::step].reshape(-1, 3)
    normal = surfaces.normal.reshape(height, width, 3)[::step, ::step].reshape(-1, 3)
    group = surfaces.group.reshape(height, width)
    coarse = group[::step, ::step]
    total = np.zeros(coarse.size, np.float32)
    rounds = 5
    for _ in range(rounds):
        rays = normal + 0.97 * _unit(rng.standard_normal((coarse.size, 3), np.float32))
        total += ~caster.blocked(position + np.float32(1e-3) * normal, _unit(rays))
    values = _smoothed((total / rounds).reshape(coarse.shape), coarse, 2.0)
    return _spread(values, coarse, group).ravel()


def _unit(vectors: Float32) -> Float32:
    length = np.sqrt(np.einsum("ij,ij->i", vectors, vectors))
    unit: Float32 = vectors / np.maximum(length, np.float32(1e-6))[:, None]
    return unit


def shade(
    surfaces: Surfaces,
    rays: Float32,
    lighting: Lighting,
    caster: Caster,
    size: tuple[int, int],
    rng: np.random.Generator,
) -> Float32:
    """Linear radiance (N, 3) that the camera receives from each pixel."""
    normal = surfaces.normal
    clear = openness(caster, surfaces, size, rng)
    ambient = clear * (0.65 + 0.35 * (normal @ lighting.overhead))
    against = np.clip(-np.einsum("ij,ij->i", normal, rays), 0, 1)
    mirrored = rays + (2 * against)[:, None] * normal
    grazing = (1 - against) ** 2
    grazing *= grazing
    # A Phong lobe is four times narrower in exponent than the half-vector one of the same width.
    exponent = 0.5 / np.maximum(surfaces.roughness, 0.08) ** 3
    strength = surfaces.gloss * (0.04 + 0.5 * grazing) * (exponent + 2) / 6.3
    sheen = 0.3 * np.minimum(surfaces.gloss, 0.6) * grazing * clear
    wraps = [surfaces.translucent * amount for amount in _WRAP]
    light = [ambient * shade_of for shade_of in lighting.ambient]
    shine = [sheen * shade_of for shade_of in lighting.ambient]
    for lamp in lighting.lamps:
        reach = lamp_visibility(caster, surfaces, lamp, size, rng)
        cosine = normal @ lamp.towards
        lobe = strength * np.exp(exponent * (mirrored @ lamp.towards - 1)) * reach * (cosine > 0)
        for channel, colour in enumerate(lamp.colour):
            wrap = wraps[channel]
            light[channel] += colour * reach * np.maximum((cosine + wrap) / (1 + wrap), 0)
            shine[channel] += colour * lobe
    return np.stack([surfaces.albedo[:, c] * light[c] + shine[c] for c in range(3)], axis=1).astype(
        np.float32
    )


def perturbed_normals(
    position: Float32,
    normal: Float32,
    height_m: Float32,
    group: NDArray[np.int32],
    size: tuple[int, int],
) -> Float32:
    """Normals (N, 3) tilted by a height field along the picture (Mikkelsen 2010)."""
    width, height = size
    result = np.empty((height, width, 3), np.float32)
    p = position.reshape(height, width, 3)
    n = normal.reshape(height, width, 3)
    h = height_m.reshape(height, width)
    g = group.reshape(height, width)
    for top in range(0, height, _BAND):  # bands that fit into the processor's cache
        rows = slice(top, min(top + _BAND + 1, height))
        bent = _bent_band(p[rows], n[rows], h[rows], g[rows])
        result[top : top + _BAND] = bent[:_BAND]
    return result.reshape(-1, 3)


def _bent_band(
    position: Float32, normal: Float32, height_m: Float32, group: NDArray[np.int32]
) -> Float32:
    """Tilted normals (h, w, 3) of a band of rows; the last row sees no row below it."""
    p = np.ascontiguousarray(position.transpose(2, 0, 1))
    n = np.ascontiguousarray(normal.transpose(2, 0, 1))
    h, g = height_m, group
    px, py = np.zeros_like(p), np.zeros_like(p)
    hx, hy = np.zeros_like(h), np.zeros_like(h)
    px[:, :, :-1], py[:, :-1] = p[:, :, 1:] - p[:, :, :-1], p[:, 1:] - p[:, :-1]
    hx[:, :-1] = (h[:, 1:] - h[:, :-1]) * (g[:, 1:] == g[:, :-1])
    hy[:-1] = (h[1:] - h[:-1]) * (g[1:] == g[:-1])
    first, second = _cross(py, n), _cross(n, px)
    scale = (px * first).sum(axis=0)
    tilt = np.sign(scale) * (hx * first + hy * second)
    limit = np.abs(scale) + np.float32(1e-12)
    steep = np.sqrt((tilt * tilt).sum(axis=0)) / limit
    tilt *= np.minimum(1, np.float32(0.9) / np.maximum(steep, np.float32(1e-6)))
    bent = limit * n - tilt
    bent /= np.maximum(np.sqrt((bent * bent).sum(axis=0)), np.float32(1e-20))
    rows_first: Float32 = bent.transpose(1, 2, 0)
    return rows_first


def _cross(a: Float32, b: Float32) -> Float32:
    """Cross product along the first axis."""
    return np.stack(
        [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    )
