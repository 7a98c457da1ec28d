"""Masks against masks: how well two folders of them agree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bsa_vision.app.progress import Progress, ProgressEvent
from bsa_vision.core.errors import InputError, Refused
from bsa_vision.core.labels import LABEL_NAMES
from bsa_vision.segmentation.boundary import BoundaryCounts, boundary_counts
from bsa_vision.segmentation.dataset import IGNORED, parse_classes, read_description, recoded
from bsa_vision.segmentation.mask_file import read_mask
from bsa_vision.segmentation.metrics import (
    agreement_document,
    confusion,
    dice_of_images,
    grouped_dice,
)

EVALUATION_FORMAT = "bsa-vision-evaluation/1"


@dataclass(frozen=True)
class _Pair:
    """A true and a predicted mask compared: (n, n) pixels by true and found code, of `codes`."""

    name: str
    codes: NDArray[np.intp]
    counts: NDArray[np.int64]
    boundaries: Mapping[int, BoundaryCounts]


@dataclass(frozen=True)
class _Truth:
    """What the ``dataset.json`` beside the true masks says."""

    classes: Mapping[int, str] | None
    recode: Mapping[int, int] | None
    groups: Mapping[str, Mapping[str, str]]


def evaluate_masks(
    predicted: Path, truth: Path, progress: Progress, names: Path | None = None
) -> dict[str, Any]:
    """Agreement of the masks of two folders, paired by name.

    The classes are those of the ``dataset.json`` beside the true masks' folder where there is one,
    in the labels they are mapped to, else the labels of the measuring chain that occur. True masks
    without a prediction, and pairs that cannot be compared, are listed under ``failed``.

    Parameters
    ----------
    predicted, truth : folders of masks NAME.png.
    progress : told after each pair.
    names : text file with a NAME a line: only these are compared.

    Raises
    ------
    InputError
        When a folder is missing, the true folder holds no mask, or `names` names one it lacks.
    """
    for folder in (predicted, truth):
        if not folder.is_dir():
            reason = f"{folder}: needed a folder of masks, got none."
            raise InputError(reason, "Check the path.")
    files = _listed(truth, names)
    beside = _described(truth)
    pairs: list[_Pair] = []
    failed: list[dict[str, str]] = []
    for number, name in enumerate(files, start=1):
        pair = _compare(truth / name, predicted / name, beside.recode)
        if isinstance(pair, Refused):
            failed.append({"file": name, "reason": pair.reason})
        else:
            pairs.append(pair)
        progress(ProgressEvent("masks", name, number, len(files)))
    return {
        "format": EVALUATION_FORMAT,
        "compared": len(pairs),
        "failed": failed,
        **_document(pairs, beside),
    }


def _document(pairs: Sequence[_Pair], beside: _Truth) -> dict[str, Any]:
    table: NDArray[np.int64] = np.zeros((256, 256), np.int64)
    for pair in pairs:
        table[np.ix_(pair.codes, pair.codes)] += pair.counts
    codes, class_names = _codes_and_names(table, beside.classes)
    classes = dict(zip(codes, class_names, strict=True))
    cut = np.ix_(codes, codes)
    by_image = {pair.name: _spread(pair, codes) for pair in pairs}
    document = agreement_document(table[cut], classes)
    single = dice_of_images(list(by_image.values()), class_names)
    for row, of_images in zip(document["classes"], single, strict=True):
        counts = [pair.boundaries[row["code"]] for pair in pairs if row["code"] in pair.boundaries]
        row["boundary_f1"] = BoundaryCounts.pooled(counts).f1
        row["area_bias_percent"] = (
            100 * (row["predicted_pixels"] / row["true_pixels"] - 1) if row["true_pixels"] else None
        )
        row["per_image"] = of_images
    document["groups"] = grouped_dice(by_image, beside.groups, class_names)
    return document


def _listed(truth: Path, names: Path | None) -> list[str]:
    files = sorted(path.name for path in truth.glob("*.png"))
    if not files:
        reason = f"{truth}: needed masks named NAME.png, got none."
        raise InputError(reason, "Check the path.")
    if names is None:
        return files
    try:
        wanted = {f"{line.strip()}.png" for line in names.read_text("utf-8").splitlines() if line}
    except (OSError, UnicodeDecodeError):
        reason = f"{names}: needed a text file with a name a line."
        raise InputError(reason, "Check the path.") from None
    if lacking := sorted(wanted - set(files)):
        reason = f"{names} names {Path(lacking[0]).stem!r}, of which {truth} holds no mask."
        raise InputError(reason, "Correct the list.")
    return sorted(wanted)


def _described(truth: Path) -> _Truth:
    root = truth.parent
    if not (root / "dataset.json").is_file():
        return _Truth(None, None, {})
    document = read_description(root)
    classes, recode = parse_classes(root, document)
    return _Truth(classes, recode, document.get("groups") or {})


def _compare(truth: Path, predicted: Path, recode: Mapping[int, int] | None) -> _Pair | Refused:
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
    if recode is not None:
        masks[0] = recoded(masks[0], recode)
    counts = confusion(masks[0], masks[1], range(256))
    if recode is not None:
        counts[IGNORED] = 0
    # Thousands of pairs are kept: only the codes that occur.
    codes = np.flatnonzero(counts.sum(axis=0) + counts.sum(axis=1))
    small = counts[np.ix_(codes, codes)]
    return _Pair(truth.stem, codes, small, boundary_counts(masks[0], masks[1]))


def _spread(pair: _Pair, codes: Sequence[int]) -> NDArray[np.int64]:
    """The pair's counts as a table of all `codes`, which are sorted."""
    counts: NDArray[np.int64] = np.zeros((len(codes), len(codes)), np.int64)
    place = np.searchsorted(codes, pair.codes)
    counts[np.ix_(place, place)] = pair.counts
    return counts


def _codes_and_names(
    table: NDArray[np.int64], classes: Mapping[int, str] | None
) -> tuple[list[int], list[str]]:
    """Every code that occurs or has a name, and what it is called."""
    known = dict(enumerate(LABEL_NAMES)) if classes is None else dict(classes)
    occurring = {int(code) for code in np.flatnonzero(table.sum(axis=0) + table.sum(axis=1))}
    codes = sorted(occurring if classes is None else occurring | set(known))
    return codes, [known.get(code, f"code {code}") for code in codes]
