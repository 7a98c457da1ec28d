"""Marks that look like lesions and are none: bruises, scars, tattoos, patches of other pigment."""

from dataclasses import dataclass

import numpy as np

from bsa_vision.phantom.noise import Float32, Noise, smoothstep
from bsa_vision.phantom.pigments import MELANIN

#: Linear factors on the colour of the skin, of lightened skin for scars.
_BRUISE = np.array([0.55, 0.42, 0.62], np.float32)
_OLD_BRUISE = np.array([0.9, 0.85, 0.5], np.float32)
_SCAR = np.array([1.0, 0.82, 0.78], np.float32)


@dataclass(frozen=True)
class Marks:
    """How much of each a patient has, 0 for none.

    Attributes
    ----------
    bruises, scars, tattoos, dark_patches, pale_patches : amounts up to 1.
    ink : (3,) linear colour of the tattoos.
    noise : placement.
    """

    bruises: float
    scars: float
    tattoos: float
    dark_patches: float
    pale_patches: float
    ink: Float32
    noise: Noise


def random_marks(rng: np.random.Generator) -> Marks:
    """Marks drawn at random; most people have none."""

    def amount(chance: float) -> float:
        return float(rng.uniform(0.2, 1) * (rng.random() < chance))

    return Marks(
        bruises=amount(0.2),
        scars=amount(0.25),
        tattoos=amount(0.15),
        dark_patches=amount(0.2),
        pale_patches=amount(0.08),
        ink=rng.uniform((0.01, 0.01, 0.015), (0.1, 0.06, 0.06)).astype(np.float32),
        noise=Noise.from_rng(rng),
    )


def add_marks(marks: Marks, albedo: Float32, position: Float32) -> Float32:
    """Colour (N, 3) of healthy skin with its marks.

    Parameters
    ----------
    albedo : (N, 3) linear, without marks.
    position : (N, 3) on the resting body, metres.
    """
    if not any((marks.bruises, marks.scars, marks.tattoos, marks.dark_patches, marks.pale_patches)):
        return albedo
    broad = marks.noise.sample(position, 0.3)
    if marks.bruises:
        depth = broad[:, 0] - (2.6 - 0.9 * marks.bruises)
        old = smoothstep(-0.35, 0.1, depth)[:, None] * (1 - _OLD_BRUISE)
        fresh = smoothstep(0.0, 0.5, depth)[:, None] * (1 - _BRUISE)
        albedo = albedo * (1 - old) * (1 - fresh)
    if marks.scars:
        line = smoothstep(0.07, 0.02, np.abs(broad[:, 1] + 0.02 * broad[:, 3]))
        where = smoothstep(1.6 - marks.scars, 1.8 - marks.scars, broad[:, 2])
        pale = _SCAR * albedo**0.7
        albedo = albedo + (pale - albedo) * (0.8 * line * where)[:, None]
    if marks.dark_patches or marks.pale_patches:
        # As after an old inflammation, or in vitiligo: flat, matt, with a clear outline.
        spread = marks.noise.sample(position, 0.06)
        dark = smoothstep(2.0, 2.2, spread[:, 0] + marks.dark_patches + 0.3 * broad[:, 1])
        pale = smoothstep(2.2, 2.3, spread[:, 1] + marks.pale_patches + 0.3 * broad[:, 2])
        amount = 0.7 * bool(marks.dark_patches) * dark - 0.8 * bool(marks.pale_patches) * pale
        albedo = np.clip(albedo * np.exp(-amount[:, None] * MELANIN), 0.004, 0.95)
    if marks.tattoos:
        drawing = marks.noise.sample(position, 0.035, "blobs")
        stroke = smoothstep(0.45, 0.3, np.abs(drawing[:, 0])) + smoothstep(1.2, 1.3, drawing[:, 1])
        where = smoothstep(2.1 - marks.tattoos, 2.15 - marks.tattoos, broad[:, 3])
        alpha = (0.85 * where * np.clip(stroke, 0, 1))[:, None]
        albedo = albedo + (marks.ink - albedo) * alpha
    return np.asarray(albedo, np.float32)
