"""Folders of photos to folders of masks, and masks against masks."""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bsa_vision.app.output import make_writable, refuse_inputs
from bsa_vision.app.progress import Progress, ProgressEvent
from bsa_vision.calibration.calibrate import calibrate
from bsa_vision.core.errors import InputError, Refused
from bsa_vision.core.files import write_whole
from bsa_vision.core.labels import LABEL_NAMES
from bsa_vision.photo.decode import read_photo
from bsa_vision.pipeline import DECODE_SIDE, working_picture
from bsa_vision.segmentation.api import Segmenter
from bsa_vision.segmentation.card import SKIN_CLASSES
from bsa_vision.segmentation.mask_file import read_mask
from bsa_vision.segmentation.metrics import agreement_document, confusion
from bsa_vision.segmentation.predict import load_segmenter

PREDICTION_FORMAT = "bsa-vision-prediction/1"
EVALUATION_FORMAT = "bsa-vision-evaluation/1"
#: Code of the refusal of a photo whose mask could not be written.
NOT_WRITTEN = "mask_not_written"

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".heic", ".heif"})


@dataclass(frozen=True)
class MaskOutcome:
    """What became of one photo: its mask, or why there is none."""

    photo: Path
    mask: Path | None
    refused: Refused | None


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
    for number, (path, mask) in enumerate(zip(photos, masks, strict=True), start=1):
        outcomes.append(_predict_one(path, segmenter, mask))
        progress(ProgressEvent("photos", path.name, number, len(photos)))
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


def evaluate_masks(predicted: Path, truth: Path, progress: Progress) -> dict[str, Any]:
    """Agreement of the masks of two folders, paired by name, pixels pooled over all pairs.

    The classes are those of the ``dataset.json`` beside the true masks' folder where there is one,
    else the labels of the measuring chain that occur. True masks without a prediction, and pairs
    that cannot be compared, are listed under ``failed``.

    Raises
    ------
    InputError
        When a folder is missing or the true folder holds no mask.
    """
    for folder in (predicted, truth):
        if not folder.is_dir():
            reason = f"{folder}: needed a folder of masks, got none."
            raise InputError(reason, "Check the path.")
    names = sorted(path.name for path in truth.glob("*.png"))
    if not names:
        reason = f"{truth}: needed masks named NAME.png, got none."
        raise InputError(reason, "Check the path.")
    classes = _classes_beside(truth)
    table: NDArray[np.int64] = np.zeros((256, 256), dtype=np.int64)
    failed: list[dict[str, str]] = []
    for number, name in enumerate(names, start=1):
        counted = _count_pair(truth / name, predicted / name)
        if isinstance(counted, Refused):
            failed.append({"file": name, "reason": counted.reason})
        else:
            table += counted
        progress(ProgressEvent("masks", name, number, len(names)))
    codes, class_names = _codes_and_names(table, classes)
    counts = table[np.ix_(codes, codes)]
    return {
        "format": EVALUATION_FORMAT,
        "compared": len(names) - len(failed),
        "failed": failed,
        **agreement_document(counts, dict(zip(codes, class_names, strict=True))),
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


def _predict_one(path: Path, segmenter: Segmenter, mask: Path) -> MaskOutcome:
    scores_skin = dict(segmenter.classes) == SKIN_CLASSES
    photo = read_photo(path, DECODE_SIDE if scores_skin else None)
    if isinstance(photo, Refused):
        return MaskOutcome(path, None, photo)
    pixels = working_picture(photo, calibrate(photo)) if scores_skin else photo.pixels
    labels = segmenter.segment(pixels).labels_at(photo.full_size)
    png = io.BytesIO()
    Image.fromarray(labels).save(png, "PNG")
    # Whole or not at all: half a mask would be scored as one.
    try:
        write_whole(mask, png.getvalue())
    except OSError as error:
        reason = f"{mask}: cannot be written: {error.strerror}."
        refused = Refused(NOT_WRITTEN, reason, "Make room, or choose another folder.")
        return MaskOutcome(path, None, refused)
    return MaskOutcome(path, mask, None)


def _count_pair(truth: Path, predicted: Path) -> NDArray[np.int64] | Refused:
    masks = []
    for path in (truth, predicted):
        mask = read_mask(path)
        if isinstance(mask, Refused):
            return mask
        masks.append(mask)
    if masks[0].shape != masks[1].shape:
        sizes = " and ".join(f"{mask.shape[1]}x{mask.shape[0]}" for mask in masks)
        reason = f"{truth.name}: needed masks of one size, got {sizes}."
        return Refused("mask_size", reason, "Predict from the photo at its full size.")
    return confusion(masks[0], masks[1], range(256))


def _classes_beside(truth: Path) -> Mapping[int, str] | None:
    listing = truth.parent / "dataset.json"
    if not listing.is_file():
        return None
    try:
        classes = json.loads(listing.read_text(encoding="utf-8"))["classes"]
        return {int(code): str(name) for code, name in classes.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        reason = f'{listing}: needed {{"classes": {{code: name, ...}}}}.'
        raise InputError(reason, "Correct the file or move it away.") from None


def _codes_and_names(
    table: NDArray[np.int64], classes: Mapping[int, str] | None
) -> tuple[list[int], list[str]]:
    """Every code that occurs or has a name, and what it is called."""
    known = dict(enumerate(LABEL_NAMES)) if classes is None else dict(classes)
    occurring = {int(code) for code in np.flatnonzero(table.sum(axis=0) + table.sum(axis=1))}
    codes = sorted(occurring if classes is None else occurring | set(known))
    return codes, [known.get(code, f"code {code}") for code in codes]
