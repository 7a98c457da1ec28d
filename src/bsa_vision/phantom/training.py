"""Training photos: random patients, days, views and zooms, with their masks."""

from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bsa_vision.core.labels import LABEL_NAMES, Label
from bsa_vision.core.provenance import canonical_json
from bsa_vision.phantom.camera_effects import random_effects, take_photo, through_jpeg
from bsa_vision.phantom.lighting import illuminant
from bsa_vision.phantom.render import render, subject_brightness
from bsa_vision.phantom.scene import (
    Case,
    Framing,
    Scene,
    build_scene,
    lesion_vertices,
    make_case,
    random_dressings,
)
from bsa_vision.phantom.views import VIEWS, view_groups

#: Consecutive seeds that show the same patient.
SAMPLES_PER_PATIENT = 4
#: Rare states are sought out: how often a photo is made to show each.
_TARGETS = (Label.ERYTHEMA, Label.DETACHABLE, Label.DETACHED, Label.REEPITHELIALISED)
_TARGET_SHARE = (0.15, 0.3, 0.2, 0.35)
_DAYS = {
    Label.ERYTHEMA: (-1.0, 8.0),
    Label.DETACHABLE: (-2.0, 5.0),
    Label.DETACHED: (-1.0, 14.0),
    Label.REEPITHELIALISED: (5.0, 20.0),
}
_SUPERSAMPLE = 1.15


@lru_cache(maxsize=2)
def _case(number: int, textures: Path | None, healthy: bool) -> Case:
    rng = np.random.default_rng([number, 6])
    extent = rng.uniform(0.3, 0.8) if rng.random() < 0.5 else np.exp(rng.uniform(-3.5, -0.9))
    return make_case(1_000_000 + number, textures, 0.0 if healthy else float(extent))


def training_scene(
    seed: int, size: tuple[int, int], textures: Path | None = None
) -> tuple[Scene, np.random.Generator]:
    """The scene of one training photo, and the source of chance for what follows."""
    rng = np.random.default_rng([seed, 5])
    number = seed // SAMPLES_PER_PATIENT
    case = _case(number, textures, number % 8 == 0)
    target = _TARGETS[rng.choice(4, p=_TARGET_SHARE)]
    day = _telling_day(rng, case, target)
    names = tuple(VIEWS)
    view = VIEWS[names[rng.integers(len(names))]]
    close_up = None
    if rng.random() < 0.55:
        places = lesion_vertices(case, day, target)
        if not places.size:
            places = view_groups()["whole"]
        radius = float(np.exp(rng.uniform(np.log(0.06), np.log(0.4))))
        close_up = (int(places[rng.integers(places.size)]), radius)
    framing = Framing(
        view=view,
        size=size,
        focal_35mm=float(rng.uniform(24, 65)),
        fill=float(rng.uniform(0.75, 1.25)),
        close_up=close_up,
        with_sheet=bool(rng.random() < 0.55),
        harshness=float(rng.uniform(0.3, 1)),
    )
    dressings = random_dressings(rng, case, float(rng.choice((0.0, 0.0, 1.0, 3.0, 8.0))))
    return build_scene(case, day, dressings, framing, seed), rng


def _telling_day(rng: np.random.Generator, case: Case, target: Label) -> float:
    """Of three days drawn at random, the one that shows most of a state."""
    surface = case.surface
    position, inclination = surface.position[::40], surface.inclination[::40]
    days = rng.uniform(*_DAYS[target], size=3)
    shown = [
        np.count_nonzero(case.course.state(position, inclination, day).label == target)
        for day in days.tolist()
    ]
    return float(days[int(np.argmax(shown))])


def render_sample(
    seed: int, size: tuple[int, int], textures: Path | None = None
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """One training photo and its mask.

    Parameters
    ----------
    seed : same seed, same photo; `SAMPLES_PER_PATIENT` consecutive seeds share a patient.
    size : (width, height).
    textures : folder of skin maps, or None for skin from pigments alone.

    Returns
    -------
    uint8 (height, width, 3) sRGB and uint8 (height, width) label codes.
    """
    scene, rng = training_scene(seed, size, textures)
    rendering = render(scene, _SUPERSAMPLE)
    effects = random_effects(rng, illuminant(scene.lighting), subject_brightness(rendering), 1.0)
    photo = take_photo(rendering.light, effects)
    return through_jpeg(photo, effects.jpeg_quality), rendering.mask


def write_training_set(
    out: Path,
    count: int,
    seed: int,
    workers: int = 1,
    size: tuple[int, int] = (384, 512),
    textures: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Render a training folder: ``images/``, ``masks/`` and ``dataset.json``.

    Photos that are there already are kept, so that an interrupted run can be taken up again. What
    is written does not depend on the number of workers.

    Parameters
    ----------
    out : folder, made when missing.
    count : number of photos; seed : of the first, best a multiple of `SAMPLES_PER_PATIENT`.
    workers : processes.
    size : (width, height) of the photos; half of them, by chance, are turned.
    textures : folder of skin maps, or None.
    progress : called with photos done and `count`.
    """
    for folder in ("images", "masks"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    seeds = range(seed, seed + count)
    by_patient: dict[int, list[int]] = {}
    for number in seeds:
        by_patient.setdefault(number // SAMPLES_PER_PATIENT, []).append(number)
    jobs = [(out, batch, size, textures) for batch in by_patient.values()]
    done = 0
    if workers <= 1:
        for job in jobs:
            done += _write_batch(job)
            if progress is not None:
                progress(done, count)
    else:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
            for finished in pool.map(_write_batch, jobs):
                done += finished
                if progress is not None:
                    progress(done, count)
    document = {
        "classes": {str(code): name for code, name in enumerate(LABEL_NAMES)},
        "patients": {sample_name(n): f"P{n // SAMPLES_PER_PATIENT:06d}" for n in seeds},
        "split": _split(seeds),
    }
    (out / "dataset.json").write_text(canonical_json(document), encoding="utf-8")


def _split(seeds: range) -> dict[str, list[str]]:
    """Eight of ten patients for training, one for validation, one for testing."""
    split: dict[str, list[str]] = {"train": [], "val": [], "test": []}
    for number in seeds:
        part = {8: "val", 9: "test"}.get(number // SAMPLES_PER_PATIENT % 10, "train")
        split[part].append(sample_name(number))
    return split


def sample_name(seed: int) -> str:
    """File name stem of a training photo."""
    return f"phantom_{seed:07d}"


def _write_batch(job: tuple[Path, list[int], tuple[int, int], Path | None]) -> int:
    """Write the photos of one patient; returns how many are there now."""
    out, seeds, size, textures = job
    cv2.setNumThreads(1)
    for seed in seeds:
        image_file = out / "images" / f"{sample_name(seed)}.jpg"
        mask_file = out / "masks" / f"{sample_name(seed)}.png"
        if image_file.exists() and mask_file.exists():
            continue
        turned = np.random.default_rng([seed, 7]).random() < 0.5
        image, mask = render_sample(seed, size[::-1] if turned else size, textures)
        # The photo went through its own JPEG already; this one only stores it.
        cv2.imwrite(str(image_file), image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
        cv2.imwrite(str(mask_file), mask)
    return len(seeds)
