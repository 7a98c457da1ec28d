"""How diseased skin looks: colour, gloss and relief of each state.

Erythema: blotchy macules that blend into the skin. Detachable: dusky, wrinkled, flaccid, with
blisters. Detached: raw glossy dermis with slough, crust and remaining flecks of epidermis, and a
torn whitish rim. Re-epithelialised: smooth thin new skin, pinker than the patient's own whatever
its tone, at times mottled, scaly or outlined; a patch that is only darker or paler is pigment. The
dermis has no melanin, so detached skin is red in every skin tone.
"""

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from bsa_vision.core.labels import Label
from bsa_vision.phantom.lesions import LesionState
from bsa_vision.phantom.noise import Float32, Noise, smoothstep
from bsa_vision.phantom.pigments import HAEMOGLOBIN, MELANIN
from bsa_vision.phantom.skin import srgb_to_linear

_FRESH_DERMIS = ((200, 62, 60), (176, 36, 40), (222, 98, 92), (190, 60, 80), (205, 80, 62))
_DEEP_DERMIS = ((120, 20, 26), (150, 32, 38), (96, 26, 36), (140, 50, 50))
_SLOUGH = ((208, 188, 120), (226, 208, 158), (190, 178, 118), (214, 180, 132), (176, 168, 132))
_DUSKY = (
    (118, 98, 118),
    (112, 90, 92),
    (98, 88, 106),
    (130, 104, 98),
    (92, 74, 90),
    (140, 118, 124),
    (158, 134, 130),
    (120, 72, 78),
)
_NEW_SKIN = (
    (236, 178, 172),
    (226, 160, 156),
    (232, 190, 182),
    (214, 150, 150),
    (240, 196, 184),
    (204, 122, 124),
    (244, 206, 200),
    (208, 146, 160),
)
_BLISTER = ((186, 170, 140), (160, 148, 146), (110, 70, 88), (205, 190, 160), (150, 120, 110))
_RIM = ((232, 222, 214), (205, 196, 196), (222, 206, 186), (180, 168, 172))
_CRUST = ((84, 34, 26), (110, 60, 34), (60, 26, 24))
#: Share of wrinkled skin that lies in a fold: how much of its darkness a photo from afar shows.
_FOLDED = 0.18


@dataclass(frozen=True)
class LesionLook:
    """The palette and texture of one patient's lesions; colours and `blood` are linear (3,).

    `blood` is what one unit of redness takes from the light. Healed skin is the patient's own with
    `pigment` units of melanin more (less where negative), mixed with new skin that follows the
    patient's tone to the power `follow` and fades over `fading` days. `detail` is how much relief
    and mottling there is within a state, 0 for even colours: a photo from afar, or in a soft light,
    shows little of it. `torn` is how much of the whitish rim of torn epidermis stands.
    """

    fresh: Float32
    deep: Float32
    slough: Float32
    dusky: Float32
    new_skin: Float32
    blister: Float32
    rim: Float32
    crust: Float32
    redness: float
    purpura: float
    duskiness: float
    wrinkle_m: float
    wrinkles: float
    blisters: float
    slough_amount: float
    flecks: float
    crusting: float
    rim_m: float
    torn: float
    wetness: float
    new_amount: float
    mottling: float
    scale: float
    blood: Float32
    pigment: float
    follow: float
    fading: float
    outline: float
    healed_rim: float
    detail: float
    noise: Noise


@dataclass(frozen=True)
class Borders:
    """Distances in metres along the picture, (N,): how far inside a state, or from it."""

    to_detached: Float32
    into_detached: Float32
    to_healed: Float32
    into_healed: Float32


@dataclass(frozen=True)
class Paint:
    """A surface ready for light: albedo (N, 3) linear; gloss, roughness, height_m (N,)."""

    albedo: Float32
    gloss: Float32
    roughness: Float32
    height_m: Float32


def random_lesion_look(rng: np.random.Generator) -> LesionLook:
    """A look drawn at random."""

    def colour(
        choices: tuple[tuple[int, int, int], ...], spread: tuple[float, float] = (0.18, 0.09)
    ) -> Float32:
        """One of the sRGB colours, varied by log-normal spreads of brightness and of channels."""
        picked = srgb_to_linear(np.array(choices, np.uint8))[rng.integers(len(choices))]
        varied = picked * np.exp(rng.normal(0, spread[0]) + rng.normal(0, spread[1], 3))
        return np.asarray(varied, np.float32)

    def sometimes(share: float, most: float) -> float:
        return float(rng.uniform(0, most) * (rng.random() < share))

    return LesionLook(
        fresh=colour(_FRESH_DERMIS),
        deep=colour(_DEEP_DERMIS),
        slough=colour(_SLOUGH),
        dusky=colour(_DUSKY),
        # It must stay pink.
        new_skin=colour(_NEW_SKIN, (0.12, 0.06)),
        blister=colour(_BLISTER),
        rim=colour(_RIM),
        crust=colour(_CRUST),
        redness=float(rng.uniform(0.35, 1.6)),
        purpura=float(max(rng.normal(0.1, 0.4), 0)),
        duskiness=float(rng.uniform(0.4, 0.95)),
        wrinkle_m=float(rng.uniform(0.005, 0.015)),
        wrinkles=float(rng.uniform(0.2, 1.3)),
        blisters=float(rng.uniform(0.8, 2.6)),
        slough_amount=float(rng.uniform(-0.6, 0.9)),
        flecks=float(rng.uniform(1.4, 2.8)),
        crusting=float(rng.uniform(0.3, 1) * (rng.random() < 0.35)),
        rim_m=float(rng.uniform(0.0008, 0.0035)),
        torn=float(min(0.9, rng.uniform(0, 1.4))),
        wetness=float(rng.uniform(0.15, 1.0)),
        new_amount=float(rng.uniform(0.25, 0.92)),
        mottling=sometimes(0.5, 0.6),
        scale=sometimes(0.45, 1.0),
        noise=Noise.from_rng(rng),
        blood=(HAEMOGLOBIN * np.exp(rng.normal(0, 0.12, 3))).astype(np.float32),
        pigment=float(np.clip(rng.normal(0.05, 0.15), -0.25, 0.45)),
        follow=float(rng.uniform(0.3, 0.8)),
        fading=float(np.exp(rng.uniform(np.log(4.0), np.log(15.0)))),
        # Often new skin is told by nothing but its even pink.
        outline=sometimes(0.3, 0.5),
        healed_rim=sometimes(0.3, 0.5),
        detail=float(min(1.0, rng.uniform(0, 1.6))),
    )


@dataclass(frozen=True)
class _Grain:
    """Noise shared by all states: middle (2 cm), wrinkle and fine (4 mm) fields, (N, 4) each."""

    middle: Float32
    wrinkle: Float32
    fine: Float32


Record = TypeVar("Record", LesionState, _Grain, Borders, Paint)


def _wrinkles(look: LesionLook, position: Float32) -> Float32:
    """Band-limited relief (N, 4), drawn out in two directions as in wrinkled paper."""
    first = position * np.array((1.0, 1.0, 0.45), np.float32)
    second = position @ np.array([[0.6, 0.3, 0.5], [-0.4, 0.5, 0.3], [0.5, -0.2, 0.9]], np.float32)
    one = look.noise.sample(first, look.wrinkle_m, "blobs")
    two = look.noise.sample(second, 0.7 * look.wrinkle_m, "blobs")
    return np.concatenate([one[:, :2], two[:, 2:]], axis=1)


def _mix(base: Float32, other: Float32, amount: Float32) -> Float32:
    return base + (other - base) * amount[:, None]


def paint_skin(
    look: LesionLook,
    state: LesionState,
    healthy: Float32,
    position: Float32,
    borders: Borders,
    mm_per_px: float,
) -> Paint:
    """Colour and relief of the skin at N points on one day.

    Parameters
    ----------
    look, state : the patient's palette and the day's state.
    healthy : (N, 3) linear colour of the healthy skin.
    position : (N, 3) on the resting body, metres.
    borders : distances to the borders between states.
    mm_per_px : pixel size on the skin; finer relief is left out.
    """
    count = len(position)
    zero = np.zeros((count, 4), np.float32)
    close = mm_per_px < 2.5
    grain = _Grain(
        middle=look.noise.sample(position, 0.025),
        wrinkle=_wrinkles(look, position) if mm_per_px < 4 else zero,
        fine=look.noise.sample(position, 0.005) if close else zero,
    )
    erythema = state.erythema * np.clip(0.85 + 0.25 * grain.middle[:, 0], 0.4, 1.3)
    # New skin has its own colour; what redness was there before it is mostly gone.
    erythema = np.where(state.label == Label.REEPITHELIALISED, 0.3 * erythema, erythema)
    # On dark skin the same redness shows as a dusky darkening.
    dark = np.clip(1 - healthy.mean(axis=1) / 0.25, 0, 1)
    blood = look.redness * erythema * (1 + 0.9 * dark)
    purple = 0.3 * dark * erythema + look.purpura * smoothstep(0.6, 1.0, erythema) * smoothstep(
        0.2, 1.2, state.blobs[:, 1]
    )
    albedo = healthy * np.exp(-blood[:, None] * look.blood - purple[:, None] * MELANIN)
    paint = Paint(
        albedo=albedo.astype(np.float32),
        gloss=np.full(count, 0.25, np.float32) + 0.05 * grain.middle[:, 3],
        roughness=np.full(count, 0.5, np.float32),
        height_m=(3e-5 * grain.fine[:, 0] + 4e-5 * grain.wrinkle[:, 3]).astype(np.float32),
    )
    grain = replace(grain, middle=look.detail * grain.middle, fine=look.detail * grain.fine)
    muted = replace(state, fine=look.detail * state.fine, blobs=look.detail * state.blobs)
    for code, painter in _PAINTERS:
        chosen = np.flatnonzero(state.label == code)
        if chosen.size:
            part = painter(
                look,
                _rows(muted, chosen),
                _rows(grain, chosen),
                _rows(borders, chosen),
                _rows(paint, chosen),
            )
            for name, values in vars(paint).items():
                values[chosen] = getattr(part, name)
    return _with_rim(look, state, grain, borders, paint, mm_per_px)


def _rows(record: Record, chosen: NDArray[np.intp]) -> Record:
    """The record of some of the points."""
    return replace(record, **{name: values[chosen] for name, values in vars(record).items()})


def _detachable(
    look: LesionLook, state: LesionState, grain: _Grain, borders: Borders, paint: Paint
) -> Paint:
    del borders
    age = smoothstep(-0.3, 0.8, state.since)
    amount = np.clip(
        look.duskiness * (0.55 + 0.45 * age) + 0.12 * grain.middle[:, 0] + 0.1 * state.fine[:, 2],
        0.15,
        0.97,
    )
    tone = np.clip(paint.albedo.mean(axis=1) / 0.3, 0.25, 1.1)
    albedo = _mix(paint.albedo, look.dusky * tone[:, None] ** 0.7, amount)
    lines = 1 - smoothstep(0.0, 0.3, np.abs(grain.wrinkle[:, 0] + 0.15 * grain.fine[:, 1]))
    cross = 1 - smoothstep(0.0, 0.25, np.abs(grain.wrinkle[:, 2]))
    wrinkles = look.detail * look.wrinkles
    resolved = grain.wrinkle.any()
    folds = wrinkles * (
        np.maximum(lines, 0.7 * cross) if resolved else np.full_like(lines, _FOLDED)
    )
    crests = smoothstep(0.7, 1.8, grain.wrinkle[:, 3])
    albedo = albedo * (1 - 0.42 * folds + 0.2 * wrinkles * crests)[:, None]
    blister = smoothstep(
        look.blisters, look.blisters + 0.5, state.blobs[:, 3] + 0.5 * state.fine[:, 1]
    )
    albedo = _mix(albedo, look.blister * tone[:, None] ** 0.4, 0.8 * blister)
    edge = blister * (1 - blister) * 4
    albedo = albedo * (1 - 0.25 * edge)[:, None]
    height = paint.height_m - 7e-4 * folds * (1 - blister) + 2.5e-3 * blister
    return Paint(
        albedo=albedo.astype(np.float32),
        gloss=(0.3 + 0.5 * blister + 0.2 * wrinkles).astype(np.float32),
        roughness=(0.45 - 0.2 * blister).astype(np.float32),
        height_m=(height + 2e-4 * look.detail * grain.wrinkle[:, 1]).astype(np.float32),
    )


def _detached(
    look: LesionLook, state: LesionState, grain: _Grain, borders: Borders, paint: Paint
) -> Paint:
    dry = smoothstep(3.0, 10.0, state.since)
    deep = smoothstep(
        -1.2, 1.6, 0.8 * grain.middle[:, 0] + 0.5 * state.fine[:, 1] + 0.7 * grain.fine[:, 0]
    )
    albedo = _mix(np.broadcast_to(look.fresh, paint.albedo.shape), look.deep, deep)
    pale = smoothstep(0.8, 2.2, grain.middle[:, 1] + 0.5 * grain.fine[:, 2])
    albedo = _mix(albedo, look.new_skin, 0.45 * pale)
    albedo = albedo * np.exp(-0.12 * grain.fine[:, 3])[:, None]
    film = state.fine[:, 3] + 0.7 * grain.middle[:, 2] + 0.45 * grain.fine[:, 1]
    slough = smoothstep(1.5, 1.85, film + look.slough_amount * smoothstep(0.3, 3.0, state.since))
    albedo = _mix(albedo, look.slough * (1 + 0.12 * grain.fine[:, 0:1]), 0.88 * slough)
    crust = look.crusting * dry * smoothstep(1.0, 1.5, grain.middle[:, 3] + 0.5 * grain.fine[:, 2])
    albedo = _mix(albedo, look.crust, 0.8 * crust)
    fleck = smoothstep(look.flecks, look.flecks + 0.15, state.blobs[:, 3] + 0.3 * grain.fine[:, 3])
    fleck = fleck * smoothstep(6.0, 2.0, state.since)
    albedo = _mix(albedo, look.rim, 0.85 * fleck)
    rind = np.exp(-borders.into_detached / 0.0035)
    albedo = albedo * (1 - 0.25 * look.detail * rind)[:, None]
    wet = look.wetness * (1 - 0.6 * dry)
    height = (
        -6e-4 * (1 - rind)
        + 2.2e-4 * look.detail * grain.wrinkle[:, 0]
        + 1.4e-4 * grain.fine[:, 0]
        + 4e-4 * fleck
        + 2.5e-4 * slough
    )
    return Paint(
        albedo=np.clip(albedo, 0.004, 0.9).astype(np.float32),
        gloss=np.clip(0.15 + 1.8 * wet * (1 - 0.5 * slough - 0.6 * crust), 0.05, 2.0).astype(
            np.float32
        ),
        roughness=(0.22 + 0.2 * slough + 0.25 * dry).astype(np.float32),
        height_m=height.astype(np.float32),
    )


def _healed(
    look: LesionLook, state: LesionState, grain: _Grain, borders: Borders, paint: Paint
) -> Paint:
    young = np.exp(-np.clip(state.since, 0, 30) / look.fading)
    pink = look.new_skin * np.exp(-(look.redness * (0.12 + 0.45 * young))[:, None] * look.blood)
    tone = np.clip(paint.albedo.mean(axis=1, keepdims=True) / 0.32, 0.18, 1.15)
    amount = np.clip(look.new_amount + 0.15 * young + 0.1 * state.fine[:, 1], 0.1, 0.95)
    own = paint.albedo * np.exp(-look.pigment * MELANIN)
    albedo = _mix(own, pink * tone**look.follow, amount)
    mottle = look.mottling * (0.3 * grain.middle[:, 0] + 0.25 * grain.middle[:, 1])
    pigment = look.mottling * 0.25 * smoothstep(0.4, 1.4, state.fine[:, 2])
    albedo = albedo * np.exp(-mottle[:, None] * HAEMOGLOBIN * 0.8 - pigment[:, None] * MELANIN)
    flakes = smoothstep(1.4, 1.7, grain.wrinkle[:, 2] + 0.5 * grain.fine[:, 2])
    flakes = flakes * look.detail * look.scale * np.exp(-borders.into_healed / 0.02)
    albedo = _mix(albedo, look.rim, 0.7 * flakes)
    # Where nothing else is near, the border is further than divides.
    outline = np.exp(-np.minimum(borders.into_healed, 1.0) / 0.002)
    albedo = albedo * np.exp(-look.outline * outline[:, None] * HAEMOGLOBIN)
    return Paint(
        albedo=np.clip(albedo, 0.004, 0.9).astype(np.float32),
        gloss=(0.3 + 0.35 * look.wetness * young).astype(np.float32),
        roughness=np.full(len(young), 0.36, np.float32),
        height_m=(-2e-4 * (1 - outline) + 3e-4 * flakes + 2e-5 * grain.wrinkle[:, 3]).astype(
            np.float32
        ),
    )


_PAINTERS = (
    (Label.DETACHABLE, _detachable),
    (Label.DETACHED, _detached),
    (Label.REEPITHELIALISED, _healed),
)


def _with_rim(
    look: LesionLook,
    state: LesionState,
    grain: _Grain,
    borders: Borders,
    paint: Paint,
    mm_per_px: float,
) -> Paint:
    """The torn, curled edge of epidermis around raw dermis; a fine pearly line where it heals."""
    width = look.rim_m * np.clip(1 + 0.7 * state.fine[:, 1] + 0.5 * grain.middle[:, 2], 0.1, 2.5)
    reach = np.maximum(width, mm_per_px * 5e-4)
    intact = (state.label != Label.DETACHED) & (state.label != Label.REEPITHELIALISED)
    torn = smoothstep(-0.5, 0.4, state.fine[:, 3] + 0.5 * grain.middle[:, 1])
    strength = np.where(intact, look.torn * torn, 0.0) + np.where(
        state.label == Label.REEPITHELIALISED, look.healed_rim, 0.0
    )
    near = np.minimum(borders.to_detached, 1.0)
    rim = strength * np.clip(1.2 - near / reach, 0, 1)
    rim = (rim * np.minimum(1, width / (mm_per_px * 1e-3))).astype(np.float32)
    return replace(
        paint,
        albedo=_mix(paint.albedo, look.rim, rim).astype(np.float32),
        height_m=(paint.height_m + 6e-4 * rim).astype(np.float32),
    )
