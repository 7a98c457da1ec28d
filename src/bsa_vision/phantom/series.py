"""A full photo series of one made-up patient, in the series format, with the truth beside it."""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from bsa_vision.chart.anny_model import BodyModel
from bsa_vision.chart.cells import load_cells
from bsa_vision.chart.landmarks import LANDMARKS, landmark_points
from bsa_vision.core.files import write_whole
from bsa_vision.core.frames import Camera, FloatArray
from bsa_vision.core.labels import COUNTED, LABEL_NAMES, Label
from bsa_vision.core.provenance import canonical_json
from bsa_vision.phantom.camera_effects import random_effects, take_photo
from bsa_vision.phantom.dressings import Dressing, covered
from bsa_vision.phantom.folder import claim_folder, textures_digest, write_picture
from bsa_vision.phantom.lesions import percent_by_state, vertex_inclination
from bsa_vision.phantom.lighting import illuminant
from bsa_vision.phantom.phone_file import write_phone_jpeg
from bsa_vision.phantom.raycast import Caster, Mesh, vertex_normals
from bsa_vision.phantom.render import Rendering, render, subject_brightness
from bsa_vision.phantom.scene import (
    Case,
    Framing,
    Scene,
    build_scene,
    make_case,
    random_dressings,
)
from bsa_vision.phantom.surroundings import SheetPlacement
from bsa_vision.phantom.views import DEFAULT_VIEWS, PORTRAIT_GROUPS, VIEWS, focal_pixels

FORMAT = "bsa-vision-series/1"
TRUTH_FORMAT = "bsa-vision-phantom-truth/1"
DAYS = (0, 5, 7, 10, 15)
#: A few views and pixels that render in seconds, for demonstrations and tests.
SMALL_VIEWS = ("whole_front", "whole_back", "trunk_front", "trunk_back", "legs_front")
SMALL_SIZE = (600, 800)
#: A landmark counts as seen when nothing lies more than this in front of it, in metres, and the
#: skin there does not face away from the camera by more than this cosine.
_HIDDEN_BY_M = 0.004
_FACING = 0.1
#: Photographers of a study are careful: clutter, shake and noise are a share of the training's.
_HARSHNESS = 0.3
#: The paper's white stays below this share of full scale.
_WHITE_LIMIT = 0.9


@dataclass(frozen=True)
class SeriesPlan:
    """What to render; all of it follows from these and nothing else.

    Attributes
    ----------
    seed : of everything.
    days : visits, from D0.
    views : keys of `VIEWS`.
    size : (width, height) of portrait photos; landscape ones are turned.
    textures : folder of skin maps, or None.
    max_fraction : share of the skin ever affected; drawn when None.
    adult : whether the patient is of age.
    """

    seed: int
    days: tuple[int, ...]
    views: tuple[str, ...]
    size: tuple[int, int]
    textures: Path | None
    max_fraction: float | None
    adult: bool


def render_series(
    out: Path,
    seed: int,
    days: Sequence[int] = DAYS,
    views: Sequence[str] = DEFAULT_VIEWS,
    size: tuple[int, int] = (1500, 2000),
    *,
    textures: Path | None = None,
    max_fraction: float | None = None,
    adult: bool = True,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Render a series folder: photos, masks, landmarks, ``series.json`` and ``truth/``.

    The files do not depend on the number of workers. ``rendering.json``, written first, holds the
    settings; ``series.json`` comes last, so that an interrupted rendering has none.

    Parameters
    ----------
    out : folder, made when missing.
    seed : same seed, same patient, course and photos.
    days : visits, from D0.
    views : keys of `VIEWS`.
    size : (width, height) of portrait photos; head and trunk are landscape.
    textures : folder of skin maps, or None for skin from pigments.
    max_fraction : share of the skin ever affected, 0..1; between 3 and 60 % by chance when None.
    adult : whether the patient is of age.
    workers : processes.
    progress : called with photos done and photos in all.

    Returns
    -------
    The path of ``series.json``.

    Raises
    ------
    KeyError
        For an unknown view.
    InputError
        When `out` was begun with other settings or another version of the software.
    OSError
        When a file cannot be written.
    """
    plan = SeriesPlan(seed, tuple(days), tuple(views), size, textures, max_fraction, adult)
    for name in plan.views:
        VIEWS[name]  # an unknown view is better refused before rendering
    settings = {**asdict(plan), "kind": "series", "textures": textures_digest(textures)}
    claim_folder(out, settings, "D*/*.jpg")
    (out / "series.json").unlink(missing_ok=True)
    jobs = [(plan, out, d, v) for d in range(len(plan.days)) for v in range(len(plan.views))]
    for day in plan.days:
        (out / visit_folder(day)).mkdir(parents=True, exist_ok=True)
        (out / "truth" / visit_folder(day)).mkdir(parents=True, exist_ok=True)
    photos = []
    for photo in _photos(jobs, workers):
        photos.append(photo)
        if progress is not None:
            progress(len(photos), len(jobs))
    case = _case(plan)
    truth = _truth(plan, case, photos)
    (out / "truth" / "truth.json").write_text(canonical_json(truth), encoding="utf-8")
    _write_cells(out / "truth" / "cells.npz", plan, case)
    np.savez_compressed(
        out / "truth" / "body.npz", rest_vertices=case.patient.rest.vertices.astype(np.float32)
    )
    file = out / "series.json"
    write_whole(file, canonical_json(_series_document(plan, case)).encode())
    return file


def visit_folder(day: int) -> str:
    """Folder of a visit's photos, such as ``D05``."""
    return f"D{day:02d}"


def _photos(
    jobs: list[tuple[SeriesPlan, Path, int, int]], workers: int
) -> Iterator[dict[str, Any]]:
    """Truth entries of all photos, in order."""
    if workers <= 1:
        yield from map(_render_photo, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_render_photo, jobs)


@lru_cache(maxsize=2)
def _case(plan: SeriesPlan) -> Case:
    return make_case(plan.seed, plan.textures, plan.max_fraction, adult=plan.adult)


@lru_cache(maxsize=8)
def _visit_dressings(plan: SeriesPlan, visit: int) -> tuple[Dressing, ...]:
    rng = np.random.default_rng([plan.seed, 10, plan.days[visit]])
    return random_dressings(rng, _case(plan), 1.2)


def _render_photo(job: tuple[SeriesPlan, Path, int, int]) -> dict[str, Any]:
    """Render one photo, write its files and return its entry of the truth."""
    cv2.setNumThreads(1)
    plan, out, visit, number = job
    name, day = plan.views[number], plan.days[visit]
    rng = np.random.default_rng([plan.seed, 11, day, list(VIEWS).index(name)])
    view = VIEWS[name]
    size = plan.size if view.group in PORTRAIT_GROUPS else plan.size[::-1]
    focal_35mm = int(rng.integers(26, 41))
    framing = Framing(
        view=view,
        size=size,
        focal_35mm=float(focal_35mm),
        fill=float(rng.uniform(0.8, 0.95)),
        close_up=None,
        with_sheet=True,
        harshness=_HARSHNESS,
    )
    scene = build_scene(
        _case(plan), float(day), _visit_dressings(plan, visit), framing, int(rng.integers(2**40))
    )
    rendering = render(scene, 1.3 if size[0] * size[1] < 1_000_000 else 1.0)
    effects = random_effects(
        rng, illuminant(scene.lighting), subject_brightness(rendering), _HARSHNESS
    )
    white = rendering.light[rendering.sheet] * effects.gains
    if white.size:
        brightest = float(np.quantile(white, 0.98))
        effects = replace(
            effects, exposure=min(effects.exposure, _WHITE_LIMIT / max(brightest, 1e-3))
        )
    pixels = take_photo(rendering.light, effects)
    file = out / visit_folder(day) / f"{name}.jpg"
    orientation = 6 if number == 0 else 1
    photo = io.BytesIO()
    write_phone_jpeg(
        photo, pixels, focal_35mm=focal_35mm, orientation=orientation, day=day,
        quality=max(effects.jpeg_quality, 85),
    )  # fmt: skip
    write_whole(file, photo.getvalue())
    write_picture(file.with_suffix(".mask.png"), rendering.mask)
    points = visible_landmarks(scene, rendering)
    file.with_suffix(".landmarks.json").write_text(
        canonical_json({"points": points}), encoding="utf-8"
    )
    _write_geometry(out / "truth" / visit_folder(day) / f"{name}.geometry.npz", scene)
    return {
        "file": f"{visit_folder(day)}/{name}.jpg",
        "view": name,
        "orientation": orientation,
        "displayed_size": list(size),
        "focal_35mm": focal_35mm,
        "focal_px": focal_pixels(focal_35mm, size),
        "camera_distance_m": float(scene.camera.to_camera(scene.vertices)[:, 2].mean()),
        "calibration": None if scene.sheet is None else _sheet_truth(scene.sheet, scene.camera),
        "pixels_per_code": {
            LABEL_NAMES[code]: int(count)
            for code, count in enumerate(np.bincount(rendering.mask.ravel(), minlength=7))
        },
        "body_fraction": float(rendering.body.mean()),
    }


def visible_landmarks(scene: Scene, rendering: Rendering) -> dict[str, list[float]]:
    """Pixel places of the landmarks that the photo shows, by name."""
    names = list(LANDMARKS)
    points = landmark_points(scene.vertices, names)
    model = BodyModel.load()
    normals = vertex_normals(scene.vertices, model.faces)
    facing = np.stack(
        [
            np.asarray(LANDMARKS[name].barycentric) @ normals[model.faces[LANDMARKS[name].face]]
            for name in names
        ]
    )
    eye = scene.camera.centre()
    away = points - eye
    distance = np.linalg.norm(away, axis=1)
    rays = away / distance[:, None]
    caster = Caster([Mesh(scene.vertices, model.faces), *(prop.mesh for prop in scene.props)])
    reach = caster.nearest(eye.astype(np.float32), rays.astype(np.float32)).distance
    seen = (reach > distance - _HIDDEN_BY_M) & (np.einsum("ij,ij->i", facing, rays) < -_FACING)
    pixels = scene.camera.project(points)
    width, height = scene.camera.size
    found = {}
    for name, (x, y), visible in zip(names, pixels, seen, strict=True):
        inside = 0 <= x <= width - 1 and 0 <= y <= height - 1
        if visible and inside and rendering.body[round(y), round(x)]:
            found[name] = [round(float(x), 2), round(float(y), 2)]
    return found


def _write_geometry(file: Path, scene: Scene) -> None:
    np.savez_compressed(
        file,
        vertices=scene.vertices.astype(np.float32),
        K=scene.camera.k.astype(np.float32),
        R=scene.camera.r.astype(np.float32),
        t=scene.camera.t.astype(np.float32),
        size=np.array(scene.camera.size, np.int32),
    )


def _sheet_truth(sheet: SheetPlacement, camera: Camera) -> dict[str, Any]:
    """Where the sheet is in the picture; its frame has the centre as origin, x right, y down."""
    axes = np.stack([sheet.right / 1000, sheet.down / 1000], axis=1)
    homography = camera.k @ np.column_stack([camera.r @ axes, camera.r @ sheet.centre + camera.t])
    homography /= homography[2, 2]
    flat: FloatArray = homography[:2, :2] - np.outer(homography[:2, 2], homography[2, :2])
    normal = camera.r @ sheet.normal
    towards = -(camera.r @ sheet.centre + camera.t)
    cosine = float(normal @ towards / np.linalg.norm(towards))
    return {
        "mm_per_px": float(1 / np.sqrt(abs(np.linalg.det(flat)))),
        "tilt_deg": float(np.degrees(np.arccos(np.clip(cosine, -1, 1)))),
        "sheet_centre_px": homography[:2, 2].tolist(),
        "sheet_corners_px": camera.project(sheet.corners()).tolist(),
        "corner_order": "TL,TR,BR,BL of the sheet",
        "homography_sheet_mm_to_px": homography.tolist(),
    }


def _named(percent: Mapping[Label, float]) -> dict[str, float]:
    return {LABEL_NAMES[label]: value for label, value in percent.items()}


def _truth(plan: SeriesPlan, case: Case, photos: list[dict[str, Any]]) -> dict[str, Any]:
    """The document ``truth.json``."""
    surface, patient = case.surface, case.patient
    visits: list[dict[str, Any]] = []
    highest = 0.0
    for visit, day in enumerate(plan.days):
        label = case.course.state(surface.position, surface.inclination, float(day)).label
        dressings = _visit_dressings(plan, visit)
        bare = percent_by_state(label, surface.area)
        hidden, _ = covered(dressings, surface.position)
        label = np.where(hidden, np.uint8(Label.NOT_ASSESSABLE), label)
        percent = percent_by_state(label, surface.area)
        counted = sum(percent[code] for code in COUNTED)
        highest = max(highest, counted)
        healed = percent[Label.REEPITHELIALISED]
        visits.append(
            {
                "day": day,
                "percent_of_skin": _named(percent),
                "counted_bsa": counted,
                "reepithelialised": healed,
                "percent_if_no_dressing": _named(bare),
                "dressings": len(dressings),
                "max_counted_bsa_to_day": highest,
                "reepithelialisation_rate": healed / highest if highest > 0 else None,
                "photos": photos[visit * len(plan.views) : (visit + 1) * len(plan.views)],
            }
        )
    course = case.course
    return {
        "format": TRUTH_FORMAT,
        "seed": plan.seed,
        "codes": {str(code): name for code, name in enumerate(LABEL_NAMES)},
        "skin": case.skin.texture.name if case.skin.texture is not None else None,
        "total_skin_area_m2": float(surface.area.sum(dtype=np.float64)),
        "body": {
            "phenotype": dict(patient.phenotype),
            "local_changes": dict(patient.local_changes),
            "height_cm": patient.height_cm,
            "mass_kg": patient.weight_kg,
        },
        "lesion_model": {
            "max_fraction": course.max_fraction,
            "onset_day": course.onset_day,
            "never_heals": course.never_share,
        },
        "notes": "percent_of_skin: resting body, cavities excluded; skin under a dressing counts "
        "as not_assessable. cells.npz: label of each chart cell's centre by visit, with and "
        "without dressings.",
        "max_counted_bsa": highest,
        "visits": visits,
    }


def _write_cells(file: Path, plan: SeriesPlan, case: Case) -> None:
    """State of the centre of every chart cell at each visit, with and without dressings."""
    model, cells = BodyModel.load(), load_cells()
    index = model.faces[cells.face]
    centre = np.asarray(cells.centre, np.float32)
    rest = case.patient.rest.vertices.astype(np.float32)
    position = np.einsum("nk,nkc->nc", centre, rest[index])
    inclination = np.einsum("nk,nk->n", centre, vertex_inclination()[index])
    bare: list[NDArray[np.uint8]] = []
    seen: list[NDArray[np.uint8]] = []
    for visit, day in enumerate(plan.days):
        label = case.course.state(position, inclination, float(day)).label
        hidden, _ = covered(_visit_dressings(plan, visit), position)
        bare.append(label)
        seen.append(np.where(hidden, np.uint8(Label.NOT_ASSESSABLE), label))
    np.savez_compressed(
        file, days=np.array(plan.days), label=np.stack(seen), label_if_no_dressing=np.stack(bare)
    )


def _series_document(plan: SeriesPlan, case: Case) -> dict[str, Any]:
    patient = case.patient
    return {
        "format": FORMAT,
        "study": "PHANTOM",
        "patient": {
            "id": patient.patient_id,
            "sex": patient.sex,
            "age_years": patient.age_years,
            "height_cm": round(patient.height_cm, 1),
            "weight_kg": round(patient.weight_kg, 1),
        },
        "visits": [
            {
                "day": day,
                "photos": [
                    {
                        "file": f"{visit_folder(day)}/{name}.jpg",
                        "view": name,
                        "landmarks": f"{visit_folder(day)}/{name}.landmarks.json",
                        "mask": f"{visit_folder(day)}/{name}.mask.png",
                    }
                    for name in plan.views
                ],
            }
            for day in plan.days
        ],
    }
