"""Dressings and tape: they hide skin, live on the body's surface and stay for one visit."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bsa_vision.chart.anny_model import BodyModel, RestBody
from bsa_vision.core.frames import FloatArray
from bsa_vision.phantom.lesion_looks import Paint
from bsa_vision.phantom.lesions import Surface
from bsa_vision.phantom.noise import Float32, Noise, smoothstep
from bsa_vision.phantom.skin import srgb_to_linear

#: Name of the material and its sRGB.
_MATERIALS: dict[str, tuple[int, int, int]] = {
    "gauze": (236, 234, 228),
    "pad": (240, 240, 240),
    "foam": (214, 178, 150),
    "foam_white": (228, 224, 214),
    "silver": (120, 120, 126),
    "petrolatum": (214, 198, 150),
    "film": (0, 0, 0),
    "towel": (90, 140, 170),
    "drape": (60, 120, 100),
    "tape": (232, 226, 214),
    "brown_tape": (196, 150, 116),
}
#: How far from a limb's axis a bandage finds its skin, in metres.
_WRAP_REACH = 0.1
_LIMBS = (("lowerarm01", "wrist"), ("upperarm01", "lowerarm01"), ("lowerleg01", "foot"))


@dataclass(frozen=True)
class Dressing:
    """A patch on the skin, or a wrap around a limb.

    Attributes
    ----------
    material : key of the material table.
    centre, across, along, outward : (3,) on the resting body; the patch's axes, or a wrap's limb
        axis in `along`.
    half_m : (3,) half sizes along the axes; for a wrap the reach around the limb.
    wrap : around a limb.
    stain : amount of exudate.
    colour : (3,) linear.
    noise : placement.
    """

    material: str
    centre: Float32
    across: Float32
    along: Float32
    outward: Float32
    half_m: Float32
    wrap: bool
    stain: float
    colour: Float32
    noise: Noise

    def inside(self, position: Float32) -> Float32:
        """Distance in metres from the nearest edge, negative outside, at (N, 3) rest points."""
        away = position - self.centre
        along = self.half_m[1] - np.abs(away @ self.along)
        if self.wrap:
            axial = (away @ self.along)[:, None] * self.along
            around = self.half_m[0] - np.linalg.norm(away - axial, axis=1)
            return np.asarray(np.minimum(along, around), np.float32)
        across = self.half_m[0] - np.abs(away @ self.across)
        deep = self.half_m[2] - np.abs(away @ self.outward)
        return np.asarray(np.minimum(np.minimum(across, along), deep), np.float32)


def random_patch(rng: np.random.Generator, surface: Surface, normals: Float32) -> Dressing:
    """A patch at a random place of the skin; `normals` (N, 3) of the surface's points."""
    index = int(rng.choice(len(surface.area), p=surface.area / surface.area.sum(dtype=np.float64)))
    outward = normals[index]
    across = np.cross(outward, rng.normal(size=3))
    across /= np.linalg.norm(across)
    names = tuple(_MATERIALS)
    material = names[rng.integers(len(names))]
    size = np.array([rng.uniform(0.03, 0.1), rng.uniform(0.04, 0.13), 0.06])
    if material in {"towel", "drape"}:
        size *= np.array([2.2, 2.2, 2.5])
    if "tape" in material:
        size = np.array([rng.uniform(0.008, 0.018), rng.uniform(0.03, 0.1), 0.03])
    return _dressing(rng, material, surface.position[index], (across, np.cross(outward, across)),
                     outward, size, wrap=False)  # fmt: skip


def random_wrap(rng: np.random.Generator, rest: RestBody) -> Dressing:
    """A bandage around a random part of a limb."""
    model = BodyModel.load()
    start, end = _LIMBS[rng.integers(len(_LIMBS))]
    side = "LR"[rng.integers(2)]
    a, b = (rest.bone_heads[model.bone_index(f"{bone}.{side}")] for bone in (start, end))
    length = float(np.linalg.norm(b - a))
    along = (b - a) / length
    half = rng.uniform(0.1, 0.33)
    middle = rng.uniform(0.33 + half, 1 - half)  # clear of the armpit
    material = ("gauze", "gauze", "foam_white", "brown_tape")[rng.integers(4)]
    outward = np.cross(along, (0.3, 0.4, 0.86))
    outward /= np.linalg.norm(outward)
    return _dressing(
        rng, material, a + middle * length * along, (outward, along), outward,
        np.array([_WRAP_REACH, half * length, _WRAP_REACH]), wrap=True,
    )  # fmt: skip


def _dressing(
    rng: np.random.Generator,
    material: str,
    centre: FloatArray,
    axes: tuple[FloatArray, FloatArray],
    outward: FloatArray,
    half_m: FloatArray,
    *,
    wrap: bool,
) -> Dressing:
    colour = srgb_to_linear(np.array(_MATERIALS[material], np.uint8))
    return Dressing(
        material=material,
        centre=np.asarray(centre, np.float32),
        across=np.asarray(axes[0], np.float32),
        along=np.asarray(axes[1], np.float32),
        outward=np.asarray(outward, np.float32),
        half_m=half_m.astype(np.float32),
        wrap=wrap,
        stain=float(rng.uniform(0, 1) * (rng.random() < 0.6)),
        colour=(colour * np.exp(rng.normal(0, 0.06, 3))).astype(np.float32),
        noise=Noise.from_rng(rng),
    )


def covered(
    dressings: tuple[Dressing, ...], position: Float32
) -> tuple[NDArray[np.bool_], list[Float32]]:
    """Which of (N, 3) rest points lie under a dressing, and the depth inside each."""
    depths = [dressing.inside(position) for dressing in dressings]
    hidden = np.zeros(len(position), np.bool_)
    for depth in depths:
        hidden |= depth > 0
    return hidden, depths


def cover(
    dressings: tuple[Dressing, ...], depths: list[Float32], position: Float32, paint: Paint
) -> Paint:
    """The paint of N points with dressings laid on."""
    albedo, gloss = paint.albedo.copy(), paint.gloss.copy()
    roughness, height = paint.roughness.copy(), paint.height_m.copy()
    for dressing, depth in zip(dressings, depths, strict=True):
        chosen = np.flatnonzero(depth > 0)
        if not chosen.size:
            continue
        here, edge = position[chosen], depth[chosen]
        cloth = dressing.noise.sample(here, 0.02)
        if dressing.material == "film":
            haze = np.clip(
                0.3 + 0.12 * cloth[:, 1] + 0.5 * smoothstep(0.005, 0.001, edge), 0.2, 0.8
            )
            crease = 1 - smoothstep(0.0, 0.25, np.abs(cloth[:, 0]))
            haze = np.clip(haze + 0.25 * crease, 0, 0.9)[:, None]
            albedo[chosen] = albedo[chosen] * (1 - haze) + 0.62 * haze
            gloss[chosen], roughness[chosen] = 2.0, 0.18
            height[chosen] += 5e-4 * cloth[:, 0] + 6e-4 * crease
            continue
        here, edge = position[chosen], depth[chosen]
        cloth = dressing.noise.sample(here, 0.02)
        if dressing.material == "film":
            sheen = 0.85 + 0.15 * smoothstep(0.004, 0.001, edge)
            albedo[chosen] = albedo[chosen] * 0.8 + 0.12 * sheen[:, None]
            gloss[chosen], roughness[chosen] = 1.6, 0.16
            height[chosen] += 3e-4 * cloth[:, 0]
            continue
        colour = np.broadcast_to(dressing.colour, (len(chosen), 3)) * (1 + 0.06 * cloth[:, :1])
        weave = np.sin(3100 * (here @ dressing.along)) * np.sin(3100 * (here @ dressing.across))
        if dressing.stain:
            broad = dressing.noise.sample(here, 0.1)
            wet = smoothstep(1.3 - 1.6 * dressing.stain, 2.2 - dressing.stain,
                             broad[:, 0] + 0.3 * cloth[:, 1])  # fmt: skip
            tints = srgb_to_linear(np.array([(196, 160, 90), (150, 60, 50)], np.uint8))
            tint = tints[0] + (tints[1] - tints[0]) * smoothstep(0, 1, broad[:, 1])[:, None]
            colour = colour * (1 + wet[:, None] * (0.25 + 0.85 * tint - 1))
        border = smoothstep(0.0, 0.002, edge)
        albedo[chosen] = np.clip(colour * (0.75 + 0.25 * border)[:, None], 0.01, 0.93)
        gloss[chosen], roughness[chosen] = 0.08, 0.6
        folds = 4e-4 * cloth[:, 2] + (1.5e-3 * np.abs(cloth[:, 3]) if dressing.wrap else 0)
        height[chosen] = 2e-3 * border + folds + 8e-5 * weave
    return Paint(albedo, gloss, roughness, height)
