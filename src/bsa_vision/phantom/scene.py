"""A photo about to be taken: who, in which pose, on which day, seen from where, in what light."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bsa_vision.chart.anny_model import BodyModel
from bsa_vision.core.frames import Camera, FloatArray
from bsa_vision.core.labels import Label
from bsa_vision.phantom.bedside import bedside_pose
from bsa_vision.phantom.dressings import Dressing, random_patch, random_wrap
from bsa_vision.phantom.legibility import legible_lesion_look
from bsa_vision.phantom.lesion_looks import LesionLook
from bsa_vision.phantom.lesions import LesionCourse, Surface, random_course, sample_surface
from bsa_vision.phantom.lighting import Lighting, random_lighting
from bsa_vision.phantom.noise import Float32
from bsa_vision.phantom.patient import PhantomPatient, random_patient
from bsa_vision.phantom.raycast import vertex_normals
from bsa_vision.phantom.skin import (
    MONK_TONES,
    SkinLook,
    random_skin_look,
    skin_albedo,
    srgb_to_linear,
)
from bsa_vision.phantom.surroundings import (
    Plane,
    Prop,
    SheetPlacement,
    gloved_hand,
    pillow,
    place_sheet,
    random_plane,
)
from bsa_vision.phantom.views import (
    View,
    framing_camera,
    look_rotation,
    random_pose,
    view_direction,
    view_groups,
)


@dataclass(frozen=True)
class Case:
    """A patient with the course and the looks of the disease.

    Attributes
    ----------
    patient : the person.
    surface : the skin, finely sampled.
    course, skin, lesions : how the disease goes and how skin and lesions look.
    """

    patient: PhantomPatient
    surface: Surface
    course: LesionCourse
    skin: SkinLook
    lesions: LesionLook


@dataclass(frozen=True)
class Tube:
    """A line or cable over the picture: control points (N, 2) in 0..1 of the frame, width in mm."""

    points: FloatArray
    width_mm: float
    colour: Float32


@dataclass(frozen=True)
class Scene:
    """Everything that makes a photo; see the records of its parts.

    Attributes
    ----------
    vertices : (13718, 3) posed body, metres.
    day : from D0.
    seed : of chance while rendering (shadow jitter).
    """

    case: Case
    day: float
    vertices: FloatArray
    dressings: tuple[Dressing, ...]
    camera: Camera
    lighting: Lighting
    planes: tuple[Plane, ...]
    sheet: SheetPlacement | None
    props: tuple[Prop, ...]
    tubes: tuple[Tube, ...]
    seed: int


@dataclass(frozen=True)
class Framing:
    """How a photo is to be framed.

    Attributes
    ----------
    view : what is seen and from where.
    size : (width, height).
    focal_35mm : 35 mm equivalent focal length.
    fill : share of the frame's half extent used.
    close_up : (vertex index, radius in metres) to fill the frame with, or None.
    with_sheet : whether the calibration sheet lies beside the body.
    harshness : 0..1, how far viewpoints and clutter stray from a careful photographer's.
    bedside : whether the patient may leave the pose that was asked for (`bedside_pose`).
    """

    view: View
    size: tuple[int, int]
    focal_35mm: float
    fill: float
    close_up: tuple[int, float] | None
    with_sheet: bool
    harshness: float
    bedside: bool = False


def make_case(
    seed: int,
    textures: Path | None = None,
    max_fraction: float | None = None,
    *,
    adult: bool = True,
    least_margin: float = 1.0,
) -> Case:
    """A patient with a disease course, drawn at random.

    Parameters
    ----------
    seed : same seed, same case.
    textures : folder of skin maps, or None.
    max_fraction : share of the skin ever affected; drawn from 3-60 % when None.
    adult : whether the patient is of age; a child is a year or older.
    least_margin : how far lesions are to stand out (`legibility.margin`).
    """
    rng = np.random.default_rng([seed, 2])
    patient = random_patient(seed, adult=adult)
    surface = sample_surface(patient.rest.vertices)
    drawn = float(np.exp(rng.uniform(np.log(0.03), np.log(0.6))))
    course = random_course(rng, surface, drawn if max_fraction is None else max_fraction)
    skin = random_skin_look(rng, textures)
    lesions = legible_lesion_look(rng, surface, course, skin, least_margin)
    return Case(patient, surface, course, skin, lesions)


def monk_tone(case: Case) -> int:
    """The Monk tone (1-10) whose lightness is nearest to that of the patient's healthy skin."""
    model = BodyModel.load()
    face, bary = case.surface.face[::50], case.surface.barycentric[::50]
    uv = np.einsum("nk,nkc->nc", bary, model.uv[model.face_uv[face]])
    albedo = skin_albedo(
        case.skin, case.surface.position[::50], uv, case.surface.inclination[::50], 10.0
    )
    # Photographed skin is about 30 % darker than the published swatch (see `random_skin_look`).
    lightness = np.cbrt(srgb_to_linear(MONK_TONES).mean(axis=1) * 0.7)
    return 1 + int(np.abs(lightness - np.cbrt(np.median(albedo.mean(axis=1)))).argmin())


def random_dressings(rng: np.random.Generator, case: Case, mean: float) -> tuple[Dressing, ...]:
    """Dressings of one visit, `mean` of them on average."""
    model = BodyModel.load()
    normals = vertex_normals(case.patient.rest.vertices, model.faces)
    index = model.faces[case.surface.face]
    at_points = np.einsum("nk,nkc->nc", case.surface.barycentric, normals[index])
    return tuple(
        random_wrap(rng, case.patient.rest)
        if rng.random() < 0.25
        else random_patch(rng, case.surface, at_points)
        for _ in range(rng.poisson(mean))
    )


def build_scene(
    case: Case,
    day: float,
    dressings: tuple[Dressing, ...],
    framing: Framing,
    seed: int,
) -> Scene:
    """Pose the patient, place camera, sheet, light and clutter."""
    rng = np.random.default_rng([seed, 3])
    model = BodyModel.load()
    view = framing.view
    pose = random_pose(rng, view)
    if framing.bedside:
        pose = bedside_pose(np.random.default_rng([seed, 17]), pose)
    vertices = model.posed(case.patient.rest, pose)
    stray = framing.harshness
    direction = view_direction(
        view.azimuth_deg + rng.normal(0, 5 + 9 * stray),
        view.elevation_deg + rng.normal(3, 3 + 6 * stray),
    )
    group = vertices[view_groups()[view.group]]
    if framing.close_up is not None:
        group, direction = _close_up(rng, vertices, framing.close_up)
    roll = np.radians(rng.normal(0, 2 + 6 * stray))
    if stray > 0.5 and rng.random() < 0.25:
        roll += np.radians(90 * rng.integers(1, 4))
    rotation = look_rotation(direction, roll)
    inner = _without_tails(group, rotation)
    sheet = place_sheet(rng, inner, vertices, rotation) if framing.with_sheet else None
    shown = inner
    if sheet is not None and (framing.close_up is None or rng.random() < 0.3):
        shown = np.concatenate([inner, sheet.corners()])
    camera = framing_camera(shown, rotation, framing.focal_35mm, framing.size, framing.fill)
    planes = _planes(rng, vertices, sheet, -direction, stray)
    centre = shown.mean(axis=0)
    props = _props(rng, vertices, group, rotation, centre, framing)
    return Scene(
        case=case,
        day=day,
        vertices=vertices,
        dressings=dressings,
        camera=camera,
        lighting=random_lighting(rng, -direction, -rotation[1]),
        planes=planes,
        sheet=sheet,
        props=props,
        tubes=tuple(_tube(rng) for _ in range(rng.poisson(0.35 * stray))),
        seed=seed,
    )


def _close_up(
    rng: np.random.Generator, vertices: FloatArray, close_up: tuple[int, float]
) -> tuple[FloatArray, FloatArray]:
    """Points of a ball around a vertex, and a direction to look at it from outside."""
    index, radius = close_up
    normal = vertex_normals(vertices, BodyModel.load().faces)[index]
    direction = -(normal + 0.28 * rng.normal(size=3))
    direction /= np.linalg.norm(direction)
    helper = np.cross(direction, rng.normal(size=3))
    helper /= np.linalg.norm(helper)
    other = np.cross(direction, helper)
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * radius
    return vertices[index] + square[:, :1] * helper + square[:, 1:] * other, direction


def _without_tails(group: FloatArray, rotation: FloatArray) -> FloatArray:
    """The points of a part without the outermost 1 % on each side of the picture."""
    turned = group @ rotation.T
    low, high = np.quantile(turned[:, :2], (0.01, 0.99), axis=0)
    kept = ((turned[:, :2] >= low) & (turned[:, :2] <= high)).all(axis=1)
    return group[kept] if kept.sum() >= 4 else group


def _planes(
    rng: np.random.Generator,
    vertices: FloatArray,
    sheet: SheetPlacement | None,
    to_camera: FloatArray,
    stray: float,
) -> tuple[Plane, ...]:
    solid = vertices if sheet is None else np.concatenate([vertices, sheet.corners()])
    lean = to_camera + rng.normal(0, 0.06 + 0.12 * stray, 3)
    planes = [random_plane(rng, solid, lean, float(rng.exponential(0.12) * stray + 0.01), stray)]
    if rng.random() < 0.35 * stray:
        side = np.cross(to_camera, rng.normal(size=3))
        second = side + 0.4 * to_camera + 0.5 * np.array([0, 0, 1.0])
        planes.append(random_plane(rng, solid, second, float(rng.uniform(0.02, 0.5)), stray))
    return tuple(planes)


def _props(
    rng: np.random.Generator,
    vertices: FloatArray,
    group: FloatArray,
    rotation: FloatArray,
    centre: FloatArray,
    framing: Framing,
) -> tuple[Prop, ...]:
    stray = framing.harshness
    props: list[Prop] = []
    extent = float(np.ptp(group @ rotation.T, axis=0)[:2].max())
    for _ in range(rng.poisson(0.35 * stray)):
        aside = np.array([*rng.normal(0, 0.5 * extent, 2), 0.0])
        behind = (vertices @ rotation.T)[:, 2].max() * 0.5 + (centre @ rotation.T)[2] * 0.5
        place = (centre @ rotation.T) + aside
        place[2] = behind + 0.12
        props.append(pillow(rng, place @ rotation, rotation))
    if rng.random() < 0.12 * stray:
        depth = (group @ rotation.T)[:, 2]
        facing = group[depth <= np.quantile(depth, 0.5)]
        target = facing[rng.integers(len(facing))]
        props.append(gloved_hand(rng, target, -rotation[2]))
    return tuple(props)


def _tube(rng: np.random.Generator) -> Tube:
    start, end = rng.uniform(-0.1, 1.1, (2, 2))
    bend = rng.normal(0, 0.12, (2, 2))
    points = np.stack([start, start + (end - start) / 3 + bend[0],
                       start + (end - start) * 2 / 3 + bend[1], end])  # fmt: skip
    shades = ((225, 225, 220), (120, 170, 210), (200, 60, 60), (90, 160, 120), (60, 60, 60))
    colour = srgb_to_linear(np.array(shades[rng.integers(len(shades))], np.uint8))
    return Tube(points, float(rng.uniform(2.5, 9)), colour)


def lesion_vertices(scene_case: Case, day: float, label: Label) -> NDArray[np.intp]:
    """Vertices near which the skin is in a state on a day; may be empty."""
    surface = scene_case.surface
    state = scene_case.course.state(surface.position[::7], surface.inclination[::7], day)
    faces = surface.face[::7][state.label == label]
    return np.asarray(BodyModel.load().faces[faces, 0], np.intp)
