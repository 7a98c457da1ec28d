"""Making a model the default, once it has passed the gate."""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bsa_vision.app.masks import found_labels, prepared_photo
from bsa_vision.app.output import make_writable
from bsa_vision.app.progress import Progress, ProgressEvent
from bsa_vision.core.errors import InputError, Refused
from bsa_vision.segmentation.api import Segmenter
from bsa_vision.segmentation.card import ModelCard, find_model, read_card, user_models
from bsa_vision.segmentation.dataset import TrainingFolder, read_training_folder
from bsa_vision.segmentation.gate import gate_document, judge
from bsa_vision.segmentation.metrics import confusion
from bsa_vision.segmentation.predict import load_segmenter
from bsa_vision.segmentation.registry import (
    ModelId,
    checked_card,
    default_identity,
    installed_folder,
    record_default,
)

GATE_FORMAT = "bsa-vision-gate/1"


def promote_model(name: str, locked: Path, progress: Progress) -> dict[str, Any]:
    """Compare a model with the default on a locked set; make it the default when it is no worse.

    Both models find the masks of every photo as `predict` does; see `gate.judge` for the verdict.
    A photo that cannot be read, or not compared with its mask, is left out for both and named.

    Parameters
    ----------
    name : of an installed model.
    locked : training folder that no model is trained on; its split does not matter.
    progress : told after each photo.

    Returns
    -------
    The verdict as a JSON-able document. The model is the default now when ``passed`` is true.

    Raises
    ------
    InputError
        When a model or the locked set cannot be used, they do not have the same classes, or the
        candidate is the default already or was trained on the locked set.
    """
    current, candidate = default_identity(), installed_folder(name)
    card = checked_card(candidate)
    chosen = ModelId(name, card.digest)
    if chosen.digest == current.digest:
        reason = f"{chosen} is the default already: it has the digest of {current.name!r}."
        raise InputError(reason, "Name another model.")
    folder = read_training_folder(locked)
    locked_digest = folder.digest()
    present = find_model(current.name)
    _check_comparable(card, read_card(present), folder, locked_digest)
    # Checked now: the comparison takes long.
    make_writable(user_models())
    counted, left_out = _counted(
        folder, load_segmenter(present), load_segmenter(candidate), progress
    )
    document = {
        "format": GATE_FORMAT,
        "current": asdict(current),
        "candidate": asdict(chosen),
        "locked": {"digest": locked_digest, "images": len(counted), "left_out": left_out},
        **_verdict(folder, counted),
    }
    if document["passed"]:
        record_default(chosen, current, document, datetime.now(UTC))
    return document


def _check_comparable(
    card: ModelCard, current: ModelCard, folder: TrainingFolder, locked_digest: str
) -> None:
    """Refuse what would make the comparison void.

    Raises
    ------
    InputError
        When the classes differ, or the candidate was, or may have been, trained on the locked set.
    """
    trained_on = _training_digest(card)
    if trained_on is None:
        reason = f"The card of {card.name!r} does not say which data it was trained on."
        raise InputError(reason, "Export the model again, from its run.")
    known = set(card.training.get("photos", ())) & set(folder.photo_digests())
    if trained_on == locked_digest or known:
        share = f"{len(known)} photos of {folder.root}" if known else str(folder.root)
        reason = f"{card.name!r} was trained on {share}: it would be judged on what it knows."
        raise InputError(reason, "Give a locked set of other patients.")
    for other, classes in (("the default model", current.classes), (folder.root, folder.classes)):
        if dict(classes) != dict(card.classes):
            reason = (
                f"{card.name!r} and {other} have other classes: {_listed(card.classes)}, and "
                f"{_listed(classes)}."
            )
            raise InputError(reason, "Models and locked set need the same codes and names.")


def _training_digest(card: ModelCard) -> str | None:
    try:
        return str(card.training["data"]["digest"])
    except (KeyError, TypeError):
        return None


def _listed(classes: Mapping[int, str]) -> str:
    return ", ".join(f"{code} {name}" for code, name in classes.items())


def _counted(
    folder: TrainingFolder, current: Segmenter, candidate: Segmenter, progress: Progress
) -> tuple[dict[str, NDArray[np.int64]], list[dict[str, str]]]:
    """Tables (2, n, n) of each image that could be compared, and why the others could not."""
    counted: dict[str, NDArray[np.int64]] = {}
    left_out = dict(folder.left_out)
    for number, name in enumerate(folder.images, start=1):
        tables = _count_image(folder, name, (current, candidate))
        if isinstance(tables, Refused):
            left_out[name] = tables.reason
        else:
            counted[name] = tables
        progress(ProgressEvent("photos", name, number, len(folder.images)))
    return counted, [{"name": name, "reason": left_out[name]} for name in sorted(left_out)]


def _count_image(
    folder: TrainingFolder, name: str, segmenters: tuple[Segmenter, Segmenter]
) -> NDArray[np.int64] | Refused:
    photo = prepared_photo(folder.images[name], folder.classes)
    if isinstance(photo, Refused):
        return photo
    try:
        truth = folder.read_codes(name)
    except InputError as error:
        return Refused("mask_unreadable", error.reason, error.remedy)
    width, height = photo.full_size
    if truth.shape != (height, width):
        reason = (
            f"{name}: the photo as displayed is {width}x{height}, its mask "
            f"{truth.shape[1]}x{truth.shape[0]}."
        )
        return Refused("mask_size", reason, "Masks must have the size of their photos.")
    codes = tuple(folder.classes)
    return np.stack([confusion(truth, found_labels(photo, one), codes) for one in segmenters])


def _verdict(folder: TrainingFolder, counted: Mapping[str, NDArray[np.int64]]) -> dict[str, Any]:
    if not counted:
        reason = f"{folder.root}: no photo could be compared with its mask."
        raise InputError(reason, "Give a locked set of photos that `predict` can read.")
    strata = judge(
        np.stack(list(counted.values())),
        [folder.patients[name] for name in counted],
        [folder.groups.get(name, {}) for name in counted],
    )
    if strata[0].not_worse is None:
        reason = (
            f"{folder.root}: the masks hold no class but the first; there is nothing to compare."
        )
        raise InputError(reason, "Give a locked set with photos of every class.")
    return gate_document(strata)
