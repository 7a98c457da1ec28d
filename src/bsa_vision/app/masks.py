"""Folders of photos to folders of masks."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bsa_vision.app.output import make_writable, refuse_inputs
from bsa_vision.app.progress import Progress, ProgressEvent
from bsa_vision.calibration.calibrate import calibrate
from bsa_vision.core.errors import InputError, Refused
from bsa_vision.core.files import write_whole
from bsa_vision.photo.containers import PHOTO_SUFFIXES
from bsa_vision.photo.decode import read_photo
from bsa_vision.pipeline import DECODE_SIDE, working_picture
from bsa_vision.segmentation.api import Segmenter
from bsa_vision.segmentation.card import SKIN_CLASSES
from bsa_vision.segmentation.mask_file import encode_mask
from bsa_vision.segmentation.predict import load_segmenter

PREDICTION_FORMAT = "bsa-vision-prediction/1"
#: Code of the refusal of a photo whose mask could not be written.
NOT_WRITTEN = "mask_not_written"


@dataclass(frozen=True)
class MaskOutcome:
    """What became of one photo: its mask, or why there is none."""

    photo: Path
    mask: Path | None
    refused: Refused | None


@dataclass(frozen=True)
class PreparedPhoto:
    """What a model is shown of a photo.

    Attributes
    ----------
    pixels : sRGB uint8 (h, w, 3), at the size and in the colours the model is made for.
    full_size : width and height of the photo itself as displayed.
    """

    pixels: NDArray[np.uint8]
    full_size: tuple[int, int]


def predict_masks(
    images: Sequence[Path], model: str, out: Path, progress: Progress
) -> list[MaskOutcome]:
    """Write ``NAME.png`` for every photo, of the photo's size, in the model's codes.

    For a model of the skin labels a photo is prepared as it is to be scored: its colours corrected
    against the card, at working size. The mask is then the one that its series is scored with.

    Parameters
    ----------
    images : photo files, or folders of them.
    model : name or folder of a model.
    out : folder of the masks; made when absent.
    progress : told after each photo.

    Raises
    ------
    InputError
        When there is no photo, two photos would share a mask, a mask would be written over a photo,
        the model is unknown or `out` cannot be written.
    """
    photos = _listed_photos(images)
    masks = [out / f"{path.stem}.png" for path in photos]
    refuse_inputs(masks, photos)
    segmenter = load_segmenter(model)
    make_writable(out)
    outcomes = []
    # Threads, so that one photo is decoded while another is segmented and a third one's mask is
    # written: all of it is C code that lets the others run.
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = pool.map(partial(_predict_one, segmenter), photos, masks)
        for number, outcome in enumerate(jobs, start=1):
            outcomes.append(outcome)
            progress(ProgressEvent("photos", outcome.photo.name, number, len(photos)))
    return outcomes


def prediction_document(outcomes: Sequence[MaskOutcome], model: str) -> dict[str, Any]:
    """The outcomes as a JSON-able document."""
    return {
        "format": PREDICTION_FORMAT,
        "model": model,
        "photos": [
            {
                "file": str(outcome.photo),
                "mask": None if outcome.mask is None else str(outcome.mask),
                "reason": None if outcome.refused is None else outcome.refused.reason,
            }
            for outcome in outcomes
        ],
    }


def _listed_photos(images: Sequence[Path]) -> list[Path]:
    photos: list[Path] = []
    for path in images:
        if path.is_dir():
            photos += _photos_in(path)
        elif path.is_file():
            photos.append(path)
        else:
            reason = f"{path}: there is no such photo or folder."
            raise InputError(reason, "Check the path.")
    if not photos:
        reason = f"{', '.join(map(str, images))}: needed photos, got none."
        raise InputError(reason, f"Known endings: {', '.join(sorted(PHOTO_SUFFIXES))}.")
    by_stem: dict[str, Path] = {}
    for path in photos:
        other = by_stem.setdefault(path.stem, path)
        if other is not path:
            reason = f"{other} and {path} would both give {path.stem}.png."
            raise InputError(reason, "Rename one, or predict them into different folders.")
    return photos


def _photos_in(folder: Path) -> list[Path]:
    try:
        return sorted(p for p in folder.iterdir() if p.suffix.lower() in PHOTO_SUFFIXES)
    except OSError as error:
        reason = f"{folder}: cannot be read: {error.strerror}."
        raise InputError(reason, "Check the folder's permissions.") from None


def prepared_photo(path: Path, classes: Mapping[int, str]) -> PreparedPhoto | Refused:
    """A photo as a model of these classes is to be shown it, or why it cannot be used."""
    scores_skin = dict(classes) == SKIN_CLASSES
    photo = read_photo(path, DECODE_SIDE if scores_skin else None)
    if isinstance(photo, Refused):
        return photo
    pixels = working_picture(photo, calibrate(photo)) if scores_skin else photo.pixels
    return PreparedPhoto(pixels, photo.full_size)


def found_labels(photo: PreparedPhoto, segmenter: Segmenter) -> NDArray[np.uint8]:
    """A model's mask of a photo at its full size: uint8 (H, W), in the model's codes."""
    return segmenter.segment(photo.pixels).labels_at(photo.full_size)


def _predict_one(segmenter: Segmenter, path: Path, mask: Path) -> MaskOutcome:
    photo = prepared_photo(path, segmenter.classes)
    if isinstance(photo, Refused):
        return MaskOutcome(path, None, photo)
    labels = found_labels(photo, segmenter)
    # Whole or not at all: half a mask would be scored as one.
    try:
        write_whole(mask, encode_mask(labels))
    except OSError as error:
        reason = f"{mask}: cannot be written: {error.strerror}."
        refused = Refused(NOT_WRITTEN, reason, "Make room, or choose another folder.")
        return MaskOutcome(path, None, refused)
    return MaskOutcome(path, mask, None)
