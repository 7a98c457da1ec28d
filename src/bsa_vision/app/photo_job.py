"""One photo of a series as a job: files in, evidence and pictures out; runs in any process."""

import logging
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bsa_vision.app.series import PhotoEntry
from bsa_vision.chart.body import Body, solve_body
from bsa_vision.chart.cell_map import cell_of_pixel
from bsa_vision.chart.landmarks import parse_landmark_file
from bsa_vision.chart.patient import Patient
from bsa_vision.core.errors import InputError, Refused
from bsa_vision.core.files import write_whole
from bsa_vision.core.labels import N_LABELS, Label
from bsa_vision.dense.api import PlaceFinder
from bsa_vision.dense.card import DEFAULT_PLACES
from bsa_vision.dense.find import load_place_finder
from bsa_vision.measures.history import decided_cells
from bsa_vision.measures.records import VisitEvidence
from bsa_vision.photo.decode import read_photo
from bsa_vision.photo.records import Photo
from bsa_vision.pipeline import DECODE_SIDE, PhotoRequest, PhotoResult, assess_photo
from bsa_vision.report.thumbnails import thumbnail, thumbnail_source
from bsa_vision.segmentation.api import Segmenter
from bsa_vision.segmentation.mask_file import encode_mask, read_mask
from bsa_vision.segmentation.predict import load_segmenter

LOG = logging.getLogger(__name__)
#: What an error in the software, or a full disk or memory, raises.
FAULTS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    InputError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    cv2.error,
)


@dataclass(frozen=True)
class PhotoJob:
    """What a worker needs to know.

    Attributes
    ----------
    entry, day, patient : the photo as listed, its visit and whose it is.
    masks : ``"auto"``, ``"given"`` or ``"model"``.
    model : folder or name of the model, or None when no network is to run.
    mask_out : where the mask of the full-size photo is written.
    place_model : folder or name of the model that places photos without landmarks.
    """

    entry: PhotoEntry
    day: int
    patient: Patient
    masks: str
    model: str | None
    mask_out: Path
    place_model: str = DEFAULT_PLACES


@dataclass(frozen=True)
class PhotoDone:
    """A job's outcome, small enough to travel between processes.

    Attributes
    ----------
    result : without pictures, but with the `labels` that a model found on a photo that is used.
    picture : for those, (h, w, 3) sRGB, as large as a thumbnail needs it; else None.
    thumbnail : bytes of the picture with mask outlines, or None.
    """

    job: PhotoJob
    result: PhotoResult
    picture: NDArray[np.uint8] | None = None
    thumbnail: bytes | None = None


def run_photo(job: PhotoJob) -> PhotoDone:
    """Assess one photo and write its mask. Never raises for what is wrong with the photo."""
    try:
        return _assessed(job)
    except FAULTS as error:
        # A fault of ours must not lose the other photos of the night; it is named in the results.
        # Its text, which may hold paths of this machine, goes to the log alone.
        LOG.exception("%s", job.entry.name)
        refused = Refused(
            "photo_failed",
            f"{job.entry.name}: an error in the software: {type(error).__name__}.",
            "Report this with the photo's name; the other photos are scored.",
        )
        return PhotoDone(job, PhotoResult(None, refused=refused))


def _assessed(job: PhotoJob) -> PhotoDone:
    photo = read_photo(job.entry.path, DECODE_SIDE)
    if isinstance(photo, Refused):
        return PhotoDone(job, PhotoResult(None, refused=photo))
    request = PhotoRequest(job.entry.view, _landmarks(job.entry), _given_mask(job, photo))
    segmenter = None if job.model is None else _segmenter(job.model)
    finder = _finder(job.place_model) if request.places_itself else None
    result = assess_photo(photo, request, _body(job.patient), segmenter, finder)
    picture, outlined = None, None
    if result.labels is not None and result.work is not None:
        _write_mask(job.mask_out, result.labels, photo.full_size)
        picture = thumbnail_source(result.work)
        outlined = thumbnail(picture, result.labels)
    # Probabilities and large pictures stay here; the record of the photo keeps one pixel.
    slim = replace(photo, pixels=photo.pixels[:1, :1])
    calibration = result.calibration and replace(result.calibration, photo=slim)
    small = replace(result, photo=slim, calibration=calibration, work=None)
    if result.mask_source != "model" or result.evidence is None:
        # Nothing that earlier visits could decide.
        picture, small = None, replace(small, labels=None)
    return PhotoDone(job, small, picture, outlined)


def in_agreement(done: PhotoDone, visit: VisitEvidence) -> PhotoDone:
    """The photo with a model's mask as the chart has it, on disk as well.

    Where earlier visits decide whether a cell is healed or not (`measures.history`), they
    decide for the pixels that show it.
    """
    labels, photo, evidence = done.result.labels, done.result.photo, done.result.evidence
    cells = decided_cells(visit)
    if cells is None or labels is None or photo is None or evidence is None:
        return done
    cell = cell_of_pixel(evidence, labels.shape, photo.full_size)
    faded, red, never = ((cell >= 0) & which[cell] for which in cells)
    decided = labels.copy()
    decided[faded & (labels == Label.UNAFFECTED)] = Label.REEPITHELIALISED
    decided[red & (labels == Label.ERYTHEMA)] = Label.REEPITHELIALISED
    decided[never & (labels == Label.REEPITHELIALISED)] = Label.UNAFFECTED
    if (decided == labels).all():
        return done
    _write_mask(done.job.mask_out, decided, photo.full_size)
    outlined = None if done.picture is None else thumbnail(done.picture, decided)
    return replace(done, result=replace(done.result, labels=decided), thumbnail=outlined)


@lru_cache(maxsize=1)
def _segmenter(model: str) -> Segmenter:
    # One thread per process: the same bytes whatever the number of workers.
    return load_segmenter(model, threads=1)


@lru_cache(maxsize=1)
def _finder(model: str) -> PlaceFinder:
    return load_place_finder(model, threads=1)


@lru_cache(maxsize=4)
def _body(patient: Patient) -> Body:
    body = solve_body(patient)
    if isinstance(body, Refused):  # checked before any job was made
        raise InputError(body.reason, body.remedy)
    return body


def _landmarks(entry: PhotoEntry) -> dict[str, tuple[float, float]] | Refused:
    if entry.landmarks is None:
        return {}
    return parse_landmark_file(entry.landmarks)


def _given_mask(job: PhotoJob, photo: Photo) -> NDArray[np.uint8] | Refused | None:
    """The drawn mask, why it cannot be used, or None when the network is to find one."""
    path = job.entry.mask
    if job.masks == "model" or (path is None and job.masks == "auto"):
        return None
    remedy = "Draw the mask again for this photo, or remove it from series.json."
    if path is None or not path.is_file():
        return Refused("mask_missing", f"{job.entry.name}: needed a drawn mask, got none.", remedy)
    mask = read_mask(path)
    if isinstance(mask, Refused):
        return Refused("mask_malformed", mask.reason, remedy)
    wanted = (photo.full_size[1], photo.full_size[0])
    if mask.shape != wanted:
        return Refused(
            "mask_malformed",
            f"{path.name}: needed a mask of {wanted} like the photo, got {mask.shape}.",
            remedy,
        )
    if int(mask.max()) >= N_LABELS:
        return Refused(
            "mask_malformed",
            f"{path.name}: needed codes 0 to {N_LABELS - 1}, got {int(mask.max())}.",
            remedy,
        )
    return mask


def _write_mask(path: Path, labels: NDArray[np.uint8], full_size: tuple[int, int]) -> None:
    """The mask as PNG at full size, whole or not at all."""
    full = cv2.resize(labels, full_size, interpolation=cv2.INTER_NEAREST_EXACT)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, encode_mask(np.asarray(full, np.uint8)))
