"""Training photos: random patients, days, views and zooms, with their masks.

Most photos have their colours corrected as the chain does before it segments: a colour card is
imagined in the light of the scene, on the sheet where one is seen, passed through the same camera,
and read. That gives the errors that a correction leaves, without a photo in which the card is large
enough to be read.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bsa_vision.calibration.card import CardSample
from bsa_vision.calibration.colour import fit_colour
from bsa_vision.calibration.records import ColourFit
from bsa_vision.calibration.reference import reference_linear
from bsa_vision.calibration.srgb import srgb_to_linear
from bsa_vision.core.files import write_whole
from bsa_vision.core.labels import LABEL_NAMES, Label
from bsa_vision.core.provenance import canonical_json
from bsa_vision.dense.place_file import FACTOR, encode_places
from bsa_vision.phantom.camera_effects import (
    CameraEffects,
    random_effects,
    take_photo,
    through_jpeg,
)
from bsa_vision.phantom.folder import claim_folder, textures_digest, write_picture
from bsa_vision.phantom.lighting import illuminant, open_light
from bsa_vision.phantom.render import render, skin_places, subject_brightness
from bsa_vision.phantom.scene import (
    Case,
    Framing,
    Scene,
    build_scene,
    lesion_vertices,
    make_case,
    monk_tone,
    random_dressings,
)
from bsa_vision.phantom.views import DEFAULT_VIEWS, PORTRAIT_GROUPS, VIEWS, view_groups


@dataclass(frozen=True)
class PhotoMix:
    """Which photos there are of training patients; those of the other parts are all usual ones.

    Attributes
    ----------
    usual : share of the usual photos of a study among them; the rest seek out rare states.
    middle : share of the patients of `MIDDLE_TONES` that are photographed at all.
    late : share of those usual photos that are taken on one of the last days.
    """

    usual: float = 0.0
    middle: float = 1.0
    late: float = 0.0


_SOUGHT = PhotoMix()
#: Monk tones between the hard ones: healed skin is pale pink on light skin, detachable skin hardly
#: dusky on dark skin.
MIDDLE_TONES = range(4, 9)
#: Folder, seeds of one patient, (width, height), skin maps, which photos.
Job = tuple[Path, list[int], tuple[int, int], Path | None, PhotoMix]
#: Consecutive seeds that show the same patient.
SAMPLES_PER_PATIENT = 4
#: Rare states are sought out: how often a photo is made to show each.
_TARGETS = (Label.ERYTHEMA, Label.DETACHABLE, Label.DETACHED, Label.REEPITHELIALISED)
_TARGET_SHARE = (0.15, 0.3, 0.2, 0.35)
_CHILDREN_SHARE = 0.2
#: How often a patient does not hold the pose of the view.
_BEDSIDE_SHARE = 0.4
_DAYS = {
    Label.ERYTHEMA: (-1.0, 8.0),
    Label.DETACHABLE: (-2.0, 5.0),
    Label.DETACHED: (-1.0, 14.0),
    Label.REEPITHELIALISED: (5.0, 20.0),
}
#: Days of the usual photos, and those among them on which skin heals or has healed.
_VISITS = (0.0, 2.0, 5.0, 7.0, 10.0, 15.0)
_LATE_VISITS = tuple(day for day in _VISITS if day >= 7)
#: Share of the photos that come out of the colour correction; the rest is taken to have no card.
_CORRECTED_SHARE = 0.8
#: Side of an imagined patch in pixels.
_PATCH_PX = 8
_VIEW_NAMES = {view: name for name, view in VIEWS.items()}


@lru_cache(maxsize=2)
def _case(number: int, textures: Path | None) -> Case:
    """The patient of that number.

    One in five is a child. For training every eighth is healthy, extents vary more, and half have
    lesions that may stand out less: sick skin does not keep to what a reader tells with ease.
    """
    rng = np.random.default_rng([number, 6])
    extent: float | None = None
    least_margin = 1.0
    if part_of(number) == "train":
        extent = float(
            rng.uniform(0.3, 0.8) if rng.random() < 0.5 else np.exp(rng.uniform(-3.5, -0.9))
        )
        if number % 8 == 0:
            extent = 0.0
        least_margin = float(rng.choice((0.6, 1.0)))
    adult = bool(rng.random() >= _CHILDREN_SHARE)
    return make_case(1_000_000 + number, textures, extent, adult=adult, least_margin=least_margin)


def part_of(number: int) -> str:
    """Part of the split that a patient is in: of ten, eight train, one val and one test."""
    return {8: "val", 9: "test"}.get(number % 10, "train")


@dataclass(frozen=True)
class Sample:
    """A training photo about to be taken.

    Attributes
    ----------
    scene, framing : what is photographed, and how.
    harshness : of the camera.
    as_in_use : whether a sheet that is seen is always read, as the chain does. To learn from, one
        photo in five has its colours as taken.
    rng : the source of chance for the rest.
    """

    scene: Scene
    framing: Framing
    harshness: float
    as_in_use: bool
    rng: np.random.Generator

    def render(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """uint8 (height, width, 3) sRGB and uint8 (height, width) label codes; once only."""
        rendering = render(self.scene)
        light = illuminant(self.scene.lighting)
        effects = random_effects(self.rng, light, subject_brightness(rendering), self.harshness)
        photo = through_jpeg(take_photo(rendering.light, effects), effects.jpeg_quality)
        on_card = rendering.sheet_light
        read = self.as_in_use and on_card is not None
        if self.rng.random() < _CORRECTED_SHARE or read:
            if on_card is None:
                towards = -self.scene.camera.r[2] + 0.3 * self.rng.normal(size=3)
                on_card = open_light(self.scene.lighting, towards)
            photo = _corrected(photo, on_card, effects)
        return photo, rendering.mask


def prepare_sample(
    seed: int, size: tuple[int, int], textures: Path | None = None, mix: PhotoMix = _SOUGHT
) -> Sample:
    """The photo of a seed, not yet rendered.

    Photos of the train part seek out rare states, odd views and bad conditions unless `mix` says
    otherwise; those of the other parts are the usual ones of a study, so that what is counted and
    set on them holds in use.
    """
    rng = np.random.default_rng([seed, 5])
    number = seed // SAMPLES_PER_PATIENT
    case = _case(number, textures)
    mixed = np.random.default_rng([seed, 8])
    usual = mixed.random() < mix.usual
    learnt_from = part_of(number) == "train"
    if learnt_from and not usual:
        day, framing = _sought_photo(rng, case, size)
        dressings = random_dressings(rng, case, float(rng.choice((0.0, 0.0, 1.0, 3.0, 8.0))))
        harshness = float(rng.uniform(0.1, 1))
    else:
        day, framing = _usual_photo(rng, size)
        if learnt_from and mixed.random() < mix.late:
            day = float(mixed.choice(_LATE_VISITS))
        dressings = random_dressings(rng, case, 1.2)
        harshness = framing.harshness
    scene = build_scene(case, day, dressings, framing, seed)
    return Sample(scene, framing, harshness, as_in_use=not learnt_from, rng=rng)


def _usual_photo(rng: np.random.Generator, size: tuple[int, int]) -> tuple[float, Framing]:
    """Day and framing as in a photo series; `size` is turned as the view wants it."""
    view = VIEWS[DEFAULT_VIEWS[rng.integers(len(DEFAULT_VIEWS))]]
    short, long = sorted(size)
    framing = Framing(
        view=view,
        size=(short, long) if view.group in PORTRAIT_GROUPS else (long, short),
        focal_35mm=float(rng.uniform(26, 41)),
        fill=float(rng.uniform(0.8, 0.95)),
        close_up=None,
        with_sheet=True,
        harshness=0.3,
    )
    return float(rng.choice(_VISITS)), framing


def _sought_photo(
    rng: np.random.Generator, case: Case, size: tuple[int, int]
) -> tuple[float, Framing]:
    """Day and framing that show much of a state drawn at random."""
    target = _TARGETS[rng.choice(4, p=_TARGET_SHARE)]
    day = _telling_day(rng, case, target)
    names = tuple(VIEWS)
    view = VIEWS[names[rng.integers(len(names))]]
    close_up = None
    if rng.random() < 0.4:
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
        with_sheet=bool(rng.random() < 0.7),
        harshness=float(rng.uniform(0.1, 1)),
        # Both hands side by side are held so, or not photographed.
        bedside=bool(rng.random() < _BEDSIDE_SHARE) and view.group != "hands",
    )
    return day, framing


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
    return prepare_sample(seed, size, textures).render()


def _corrected(
    photo: NDArray[np.uint8], light: NDArray[np.float32], effects: CameraEffects
) -> NDArray[np.uint8]:
    """The photo after the correction by a card that lay in `light` (3,); as it is if unreadable."""
    card = np.maximum(reference_linear(), 0).astype(np.float32) * light
    tiles = np.kron(card.reshape(4, 6, 3), np.ones((_PATCH_PX, _PATCH_PX, 1), np.float32))
    near = replace(effects, vignette=0.0, motion_px=(0.0, 0.0), blur_px=0.3, sharpen=0.0)
    seen = take_photo(tiles, near)
    patches = seen.reshape(4, _PATCH_PX, 6, _PATCH_PX, 3).transpose(0, 2, 1, 3, 4)
    patches = patches.reshape(24, -1, 3)
    means = patches.mean(axis=1)
    sample = CardSample(
        linear=srgb_to_linear(patches).mean(axis=1),
        clipped=((means < 2) | (means > 253)).any(axis=1),
        spoilt=np.zeros(24, np.bool_),
        centres_mm=np.zeros((24, 2)),
        agreement=1.0,
        rectified=seen,
    )
    fit = fit_colour(sample, None)
    return fit.apply(photo) if isinstance(fit, ColourFit) else photo


def write_training_set(
    out: Path,
    count: int,
    seed: int,
    workers: int = 1,
    size: tuple[int, int] = (384, 512),
    textures: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
    shard: tuple[int, int] = (1, 1),
    mix: PhotoMix = _SOUGHT,
) -> None:
    """Render a training folder: ``images/``, ``masks/``, ``places/`` and ``dataset.json``.

    The last also says the view of each photo; that of a close-up is none. ``patients/`` holds what
    is known of each patient's photos.

    Photos that are there already are kept, so that an interrupted run can be taken up again, and
    more photos added: ``rendering.json``, written first, says with which settings. What is written
    does not depend on the number of workers.

    Parameters
    ----------
    out : folder, made when missing.
    count : number of photos; seed : of the first, best a multiple of `SAMPLES_PER_PATIENT`.
    workers : processes.
    size : (width, height) of the photos; half of them, by chance, are turned.
    textures : folder of skin maps, or None.
    progress : called with photos done and all that are to be done here.
    shard : (k, n) renders the k-th of n parts of the patients, k from 1: several machines can fill
        one folder. ``dataset.json`` is written by the one that finds the others done.
    mix : which photos of the training patients; it may leave out some, so that there are fewer.

    Raises
    ------
    InputError
        When `out` was begun with another seed, size, textures, mix or version of the software.
    OSError
        When a file cannot be written.
    """
    settings = {
        "kind": "training",
        "seed": seed,
        "size": size,
        "textures": textures_digest(textures),
    }
    if mix != _SOUGHT:
        settings["mix"] = asdict(mix)
    claim_folder(out, settings, "images/*")
    for folder in ("images", "masks", "places", "patients"):
        (out / folder).mkdir(parents=True, exist_ok=True)
    seeds = range(seed, seed + count)
    by_patient: dict[int, list[int]] = {}
    for number in seeds:
        by_patient.setdefault(number // SAMPLES_PER_PATIENT, []).append(number)
    part, parts = shard
    jobs = [
        (out, batch, size, textures, mix)
        for number, batch in by_patient.items()
        if number % parts == part - 1
    ]
    done, total = 0, sum(len(job[1]) for job in jobs)
    for finished in _batches(jobs, workers):
        done += finished
        if progress is not None:
            progress(done, total)
    if all(patient_record(out, number).is_file() for number in by_patient):
        _describe(out, seeds, by_patient)


def _batches(jobs: list[Job], workers: int) -> Iterator[int]:
    """Do the jobs, in order; yields how many photos each has."""
    if workers <= 1:
        yield from map(_write_batch, jobs)
        return
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_write_batch, jobs)


def _describe(out: Path, seeds: range, patients: Iterable[int]) -> None:
    """Write ``dataset.json`` from the records of the patients."""
    known: dict[str, dict[str, str]] = {}
    for number in patients:
        known |= json.loads(patient_record(out, number).read_bytes())
    number_of = {sample_name(n): n // SAMPLES_PER_PATIENT for n in seeds if sample_name(n) in known}
    views = {name: known[name].pop("stated_view") for name in number_of}
    document = {
        "classes": {str(code): name for code, name in enumerate(LABEL_NAMES)},
        "patients": {name: f"P{number:06d}" for name, number in number_of.items()},
        "split": {
            part: [name for name, number in number_of.items() if part_of(number) == part]
            for part in ("train", "val", "test")
        },
        "groups": {name: known[name] for name in number_of},
        "views": {name: view for name, view in views.items() if view},
    }
    write_whole(out / "dataset.json", canonical_json(document).encode())


def patient_record(out: Path, number: int) -> Path:
    """What is known of a patient's photos: NAME -> views and skin tone. Written after them."""
    return out / "patients" / f"P{number:06d}.json"


def sample_name(seed: int) -> str:
    """File name stem of a training photo."""
    return f"phantom_{seed:07d}"


def _left_out(number: int, textures: Path | None, mix: PhotoMix) -> bool:
    """Whether the patient of that number is not photographed."""
    if part_of(number) != "train" or np.random.default_rng([number, 9]).random() < mix.middle:
        return False
    return monk_tone(_case(number, textures)) in MIDDLE_TONES


def _write_batch(job: Job) -> int:
    """Write the photos of one patient and its record; returns how many are done."""
    out, seeds, size, textures, mix = job
    cv2.setNumThreads(1)
    number = seeds[0] // SAMPLES_PER_PATIENT
    record = patient_record(out, number)
    if _left_out(number, textures, mix):
        write_whole(record, canonical_json({}).encode())
        return len(seeds)
    files = [
        (
            out / "images" / f"{sample_name(n)}.jpg",
            out / "masks" / f"{sample_name(n)}.png",
            out / "places" / f"{sample_name(n)}.png",
        )
        for n in seeds
    ]
    known = json.loads(record.read_bytes()) if record.is_file() else {}
    facts: dict[str, dict[str, str]] = {}
    for seed, (image_file, mask_file, place_file) in zip(seeds, files, strict=True):
        name = sample_name(seed)
        there = image_file.exists() and mask_file.exists() and place_file.exists()
        if there and name in known:
            facts[name] = known[name]
            continue
        turned = np.random.default_rng([seed, 7]).random() < 0.5
        sample = prepare_sample(seed, size[::-1] if turned else size, textures, mix)
        close_up, view = sample.framing.close_up, sample.framing.view
        facts[name] = {
            "skin_tone": f"Monk {monk_tone(sample.scene.case):02d}",
            "view": "close-up" if close_up else view.group,
            "stated_view": "" if close_up else _VIEW_NAMES[view],
        }
        if there:
            continue
        image, mask = sample.render()
        # The photo went through its own JPEG already; this one only stores it.
        write_picture(image_file, image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])
        write_picture(mask_file, mask)
        write_picture(place_file, encode_places(skin_places(sample.scene, FACTOR)))
    write_whole(record, canonical_json(facts).encode())
    return len(seeds)
