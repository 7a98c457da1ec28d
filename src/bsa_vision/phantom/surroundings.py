"""What lies around the body: sheets, walls and floors, the calibration sheet, pillows, gloves."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bsa_vision.chart.anny_model import BodyModel
from bsa_vision.core.frames import FloatArray
from bsa_vision.core.labels import Label
from bsa_vision.phantom.noise import Float32, Noise, smoothstep
from bsa_vision.phantom.raycast import Mesh
from bsa_vision.phantom.sheet_texture import SHEET_MM
from bsa_vision.phantom.skin import MONK_TONES, srgb_to_linear
from bsa_vision.phantom.views import VIEWS, random_pose

#: Places tried for the calibration sheet.
_TRIES = 48
#: sRGB of linen and walls seen in wards, besides random hues and skin colours.
# fmt: off
_LINEN = ((238, 238, 234), (205, 212, 216), (120, 150, 185), (70, 110, 95), (140, 175, 160),
          (60, 80, 120), (215, 205, 190), (160, 160, 165), (95, 60, 70), (190, 150, 150))
_GLOVES = ((60, 95, 190), (225, 225, 230), (120, 90, 170), (90, 170, 150), (235, 215, 190),
           (40, 42, 48))
# fmt: on


@dataclass(frozen=True)
class Plane:
    """A cloth, wall or floor behind the body.

    Attributes
    ----------
    point, normal, across, along : (3,) metres and unit vectors.
    colours : (2, 3) linear, of the cloth and its pattern.
    pattern : "plain", "stripes", "checks", "flowers" or "tiles".
    pattern_m : its size; fold_m, fold_height_m : wavelength and height of the folds.
    stains : amount of blood and exudate stains.
    gloss : of the surface.
    noise : placement.
    """

    point: Float32
    normal: Float32
    across: Float32
    along: Float32
    colours: Float32
    pattern: str
    pattern_m: float
    fold_m: float
    fold_height_m: float
    stains: float
    gloss: float
    noise: Noise


@dataclass(frozen=True)
class SheetPlacement:
    """The calibration sheet in space: centre (3,) metres, unit vectors to its right and down."""

    centre: FloatArray
    right: FloatArray
    down: FloatArray

    @property
    def normal(self) -> FloatArray:
        """Towards the reader (3,)."""
        return -np.cross(self.right, self.down)

    def corners(self) -> FloatArray:
        """TL, TR, BR, BL (4, 3) metres."""
        half = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * np.array(SHEET_MM) / 2000
        corners: FloatArray = self.centre + half[:, :1] * self.right + half[:, 1:] * self.down
        return corners


@dataclass(frozen=True)
class Prop:
    """A thing with a mesh: pillow, gloved hand.

    Attributes
    ----------
    mesh : its surface.
    colour : (3,) linear; gloss : strength.
    label : what its pixels are in the mask.
    fold_m : wavelength of its wrinkles.
    """

    mesh: Mesh
    colour: Float32
    gloss: float
    label: Label
    fold_m: float


def random_colour(rng: np.random.Generator) -> Float32:
    """A linear colour (3,) of linen: ward colours, any hue, or the colour of skin."""
    kind = rng.random()
    picked: FloatArray
    if kind < 0.55:
        picked = np.array(_LINEN[rng.integers(len(_LINEN))], np.float64)
    elif kind < 0.7:
        picked = MONK_TONES[rng.integers(10)].astype(np.float64)
    elif kind < 0.76:
        picked = np.array((rng.uniform(120, 220), rng.uniform(20, 110), rng.uniform(20, 110)))
    else:
        grey = rng.uniform(30, 235)
        picked = grey + rng.uniform(0.1, 1.0) * (rng.uniform(20, 240, 3) - grey)
    return srgb_to_linear(np.clip(picked + rng.normal(0, 10, 3), 8, 250))


def random_plane(
    rng: np.random.Generator, behind: FloatArray, normal: FloatArray, gap: float, stray: float
) -> Plane:
    """A plane facing along `normal`, `gap` metres behind the farthest of `behind` (N, 3).

    `stray` (0..1) is how far from plain linen its pattern and stains may go.
    """
    normal = normal / np.linalg.norm(normal)
    depth = float((behind @ normal).min()) - gap
    helper = rng.normal(size=3)
    across = np.cross(normal, helper)
    across /= np.linalg.norm(across)
    patterns = ("plain", "stripes", "checks", "flowers", "tiles")
    folds = float(rng.uniform(0.05, 0.5))
    odd = np.array((0.0, 0.1, 0.08, 0.12, 0.08)) * stray
    odd[0] = 1 - odd.sum()
    return Plane(
        point=(normal * depth).astype(np.float32),
        normal=normal.astype(np.float32),
        across=across.astype(np.float32),
        along=np.cross(normal, across).astype(np.float32),
        colours=np.stack([random_colour(rng), random_colour(rng)]),
        pattern=patterns[rng.choice(5, p=odd)],
        pattern_m=float(rng.uniform(0.015, 0.2)),
        fold_m=folds,
        fold_height_m=float(rng.uniform(0, 0.07) * folds * (rng.random() < 0.8)),
        stains=float(rng.uniform(0.2, 1) * (rng.random() < 0.25 * stray)),
        gloss=float(rng.uniform(0, 0.25)),
        noise=Noise.from_rng(rng),
    )


def plane_surface(plane: Plane, points: Float32, mm_per_px: float) -> tuple[Float32, Float32]:
    """Linear colour (N, 3) and relief in metres (N,) of a plane at points of it (N, 3)."""
    broad = plane.noise.sample(points, plane.fold_m * 2.2)
    across, along = points @ plane.across, points @ plane.along
    warped = points + np.float32(0.35 * plane.fold_m) * (
        broad[:, :1] * plane.across + broad[:, 1:2] * plane.along
    )
    folds = plane.noise.sample(warped, plane.fold_m)
    ridge = 1 - np.abs(np.clip(folds[:, 0], -2, 2))
    height = plane.fold_height_m * (0.55 * ridge + 0.35 * broad[:, 2])
    amount = _pattern(plane, across, along, folds)
    albedo = plane.colours[0] + (plane.colours[1] - plane.colours[0]) * amount[:, None]
    albedo = albedo * (1 + 0.04 * broad[:, 3:4])
    if mm_per_px < 1.5:
        weave = plane.noise.sample(points, 0.006)
        albedo = albedo * (1 + 0.04 * weave[:, :1])
        height = height + 8e-5 * weave[:, 1]
    if plane.stains:
        wet = smoothstep(2.2 - plane.stains, 2.5 - plane.stains, broad[:, 2] + 0.6 * folds[:, 1])
        stain = srgb_to_linear(np.array((150, 60, 50), np.uint8))
        albedo = albedo * (1 + wet[:, None] * (0.3 + 0.7 * stain - 1))
    return np.clip(albedo, 0.004, 0.93).astype(np.float32), height.astype(np.float32)


def _pattern(plane: Plane, across: Float32, along: Float32, folds: Float32) -> Float32:
    """Share of the second colour (N,)."""
    a, b = across / plane.pattern_m, along / plane.pattern_m
    if plane.pattern == "stripes":
        return smoothstep(0.1, 0.3, np.sin(2 * np.pi * a))
    if plane.pattern == "checks":
        return 0.5 * (smoothstep(0, 0.2, np.sin(6.28 * a)) + smoothstep(0, 0.2, np.sin(6.28 * b)))
    if plane.pattern == "flowers":
        spots = plane.noise.sample(
            (across[:, None] * plane.across + along[:, None] * plane.along),
            plane.pattern_m,
            "blobs",
        )
        return smoothstep(1.0, 1.15, spots[:, 0] + 0.2 * folds[:, 2])
    if plane.pattern == "tiles":
        edge = np.minimum(np.abs(a - np.round(a)), np.abs(b - np.round(b)))
        return smoothstep(0.04, 0.02, edge)
    return np.zeros_like(across)


def place_sheet(
    rng: np.random.Generator, group: FloatArray, everyone: FloatArray, rotation: FloatArray
) -> SheetPlacement:
    """Put the sheet beside the part in view, where it hides little of the body.

    Parameters
    ----------
    group : (N, 3) vertices of the part in view; everyone : (M, 3) of the whole body.
    rotation : (3, 3) body -> camera.
    """
    near, every = group @ rotation.T, everyone[::4] @ rotation.T
    low, high = near[:, :2].min(axis=0), near[:, :2].max(axis=0)
    middle, half = (low + high) / 2, (high - low) / 2
    half_sheet = np.array(SHEET_MM) / 2000
    best, best_cost = (middle, 0.0), np.inf
    for _ in range(_TRIES):
        turn = float(np.radians(90 * rng.integers(4) + rng.normal(0, 10)))
        if rng.random() < 0.5:
            turn = float(np.radians(rng.normal(0, 12)))
        heading = rng.uniform(0, 2 * np.pi)
        away = np.array([np.cos(heading), np.sin(heading)])
        reach = half * rng.uniform(0.5, 1.05) + 0.16
        place = middle + away * reach / max(np.abs(away).max(), 1e-6)
        axis = np.array([np.cos(turn), np.sin(turn)])
        offset = every[:, :2] - place
        u, v = offset @ axis, offset @ np.array([-axis[1], axis[0]])
        hidden = (np.abs(u) < half_sheet[0] + 0.025) & (np.abs(v) < half_sheet[1] + 0.025)
        grown = np.maximum(np.abs(place - middle) + 0.15, half).prod() / half.prod()
        cost = 60 * hidden.mean() + 0.15 * grown + 0.1 * rng.random() + 2.0 * bool(hidden.any())
        if cost < best_cost:
            best, best_cost = (place, turn), cost
    place, turn = best
    depth = float(np.median(near[:, 2]) + rng.uniform(-0.02, 0.12))
    tilt = np.radians(rng.uniform(0, 22))
    lean = rng.uniform(0, 2 * np.pi)
    axis3 = np.array([np.cos(lean), np.sin(lean), 0])
    right, down = (
        _turned(np.array(v), axis3, tilt)
        for v in ((np.cos(turn), np.sin(turn), 0.0), (-np.sin(turn), np.cos(turn), 0.0))
    )
    return SheetPlacement(
        centre=np.array([*place, depth]) @ rotation, right=right @ rotation, down=down @ rotation
    )


def _turned(vector: FloatArray, axis: FloatArray, angle: float) -> FloatArray:
    turned: FloatArray = (
        vector * np.cos(angle)
        + np.cross(axis, vector) * np.sin(angle)
        + axis * (axis @ vector) * (1 - np.cos(angle))
    )
    return turned


def pillow(rng: np.random.Generator, centre: FloatArray, rotation: FloatArray) -> Prop:
    """A cushion around a point, seen flat on by a camera of orientation `rotation`."""
    count = 40
    theta, phi = np.meshgrid(
        np.linspace(0, np.pi, count), np.linspace(0, 2 * np.pi, 2 * count), indexing="ij"
    )

    def rounded(values: FloatArray, power: float) -> FloatArray:
        return np.sign(values) * np.abs(values) ** power

    ball = np.stack(
        [
            rounded(np.sin(theta), 0.6) * rounded(np.cos(phi), 0.5),
            rounded(np.sin(theta), 0.6) * rounded(np.sin(phi), 0.5),
            np.cos(theta),
        ],
        axis=-1,
    ).reshape(-1, 3)
    sizes = np.array([rng.uniform(0.15, 0.35), rng.uniform(0.1, 0.25), rng.uniform(0.04, 0.09)])
    spin = rng.uniform(0, np.pi)
    turn = np.array([[np.cos(spin), -np.sin(spin), 0], [np.sin(spin), np.cos(spin), 0], [0, 0, 1]])
    vertices = (ball * sizes) @ turn.T @ rotation + centre
    cells = np.arange(count * 2 * count).reshape(count, 2 * count)
    a, b, c, d = (
        corner.ravel()
        for corner in (cells[:-1, :-1], cells[1:, :-1], cells[1:, 1:], cells[:-1, 1:])
    )
    faces = np.concatenate([np.stack([a, b, c], 1), np.stack([a, c, d], 1)]).astype(np.int32)
    return Prop(Mesh(vertices, faces), random_colour(rng), 0.05, Label.BACKGROUND, 0.15)


def gloved_hand(rng: np.random.Generator, target: FloatArray, towards: FloatArray) -> Prop:
    """Another person's gloved hand and forearm that reaches to a point of the skin.

    Parameters
    ----------
    target : (3,) point touched; towards : (3,) unit vector from it to the camera.
    """
    model = BodyModel.load()
    rest = model.rest({"gender": float(rng.random()), "age": 0.75})
    posed = model.posed(rest, random_pose(rng, VIEWS["arm_left_front"]))
    strongest = model.skin_bones[
        np.arange(len(model.skin_bones)), model.skin_weights.argmax(axis=1)
    ]
    stems = ("lowerarm02.L", "wrist.L", "finger", "metacarpal")
    wanted = np.array(
        [label.startswith(stems) and label.endswith(".L") for label in model.bone_labels]
    )[strongest]
    kept: NDArray[np.intp] = np.flatnonzero(wanted[model.faces].all(axis=1))
    used, faces = np.unique(model.faces[kept], return_inverse=True)
    hand = posed[used]
    tip = posed[wanted][posed[wanted][:, 2].argmin()]
    arm_axis = (hand.mean(axis=0) - tip) / np.linalg.norm(hand.mean(axis=0) - tip)
    wanted_axis = towards * rng.uniform(0.2, 0.8) + rng.normal(0, 0.8, 3)
    wanted_axis /= np.linalg.norm(wanted_axis)
    half = arm_axis + wanted_axis
    half /= np.linalg.norm(half)
    turn = 2 * np.outer(half, half) - np.eye(3)  # half a turn about the bisector
    vertices = (hand - tip) @ turn.T + target + 0.012 * towards
    colour = srgb_to_linear(np.array(_GLOVES[rng.integers(len(_GLOVES))], np.uint8))
    return Prop(
        Mesh(vertices, faces.reshape(-1, 3).astype(np.int32)), colour,
        float(rng.uniform(0.2, 0.6)), Label.NOT_ASSESSABLE, 0.02,
    )  # fmt: skip
