"""Agreement of predicted and true masks: count first, divide last.

Counts of all images are pooled in one confusion table before any ratio is taken, so a photo with
three lesion pixels does not weigh as much as one with thirty thousand. A ratio of nothing (a class
that neither mask holds) is None.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class ClassAgreement:
    """Pooled agreement on one class; a value is None where its denominator is zero."""

    name: str
    true_pixels: int
    predicted_pixels: int
    dice: float | None
    iou: float | None
    precision: float | None
    recall: float | None


def confusion(
    truth: NDArray[np.integer], predicted: NDArray[np.integer], codes: Sequence[int]
) -> Counts:
    """Count pixels by true (row) and predicted (column) class.

    Parameters
    ----------
    truth, predicted : integer masks of one shape.
    codes : the mask code of each row and column. Pixels whose true code is not listed are left out
        (unlabelled).

    Returns
    -------
    int64 (n, n).

    Raises
    ------
    ValueError
        When the shapes differ, or a labelled pixel was predicted as a code that is not listed.
    """
    if truth.shape != predicted.shape:
        msg = f"masks must have one shape, got {truth.shape} and {predicted.shape}"
        raise ValueError(msg)
    index = np.full(256, -1, dtype=np.int64)
    index[list(codes)] = np.arange(len(codes))
    rows, columns = index[truth.ravel()], index[predicted.ravel()]
    labelled = rows >= 0
    rows, columns = rows[labelled], columns[labelled]
    if np.any(columns < 0):
        unknown = sorted({int(c) for c in np.unique(predicted)} - set(codes))
        msg = f"predicted codes {unknown} are not among the classes {list(codes)}"
        raise ValueError(msg)
    n = len(codes)
    return np.bincount(rows * n + columns, minlength=n * n).reshape(n, n)


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def class_agreement(counts: Counts, names: Sequence[str]) -> tuple[ClassAgreement, ...]:
    """Per-class Dice, IoU, precision and recall of a pooled confusion table."""
    results = []
    for i, name in enumerate(names):
        hit = int(counts[i, i])
        true_n, predicted_n = int(counts[i].sum()), int(counts[:, i].sum())
        results.append(
            ClassAgreement(
                name=name,
                true_pixels=true_n,
                predicted_pixels=predicted_n,
                dice=_dice(counts, i),
                iou=_ratio(hit, true_n + predicted_n - hit),
                precision=_ratio(hit, predicted_n),
                recall=_ratio(hit, true_n),
            )
        )
    return tuple(results)


def mean_dice(agreement: Sequence[ClassAgreement]) -> float | None:
    """Mean Dice of the classes that the truth holds; None when it holds none.

    A stray pixel of another class costs its neighbours a little, not a whole class's share.
    """
    values = [a.dice for a in agreement if a.dice is not None and a.true_pixels]
    return float(np.mean(values)) if values else None


def dice_of_images(images: Sequence[Counts], names: Sequence[str]) -> list[dict[str, object]]:
    """Per class: mean and median Dice over the images in which either mask holds the class.

    Parameters
    ----------
    images : confusion table of each.
    names : of the classes, in the order of the tables' rows.
    """
    rows: list[dict[str, object]] = []
    for i in range(len(names)):
        found = [_dice(counts, i) for counts in images]
        values = [value for value in found if value is not None]
        rows.append(
            {
                "images": len(values),
                "mean_dice": float(np.mean(values)) if values else None,
                "median_dice": float(np.median(values)) if values else None,
            }
        )
    return rows


def grouped_dice(
    images: Mapping[str, Counts], groups: Mapping[str, Mapping[str, str]], names: Sequence[str]
) -> dict[str, dict[str, dict[str, object]]]:
    """Pooled Dice within each group: kind of group -> group -> images, mean Dice and by class.

    Parameters
    ----------
    images : NAME -> confusion table.
    groups : NAME -> kind of group -> group; images that are in none are left out.
    names : of the classes.
    """
    pooled: dict[str, dict[str, list[Counts]]] = {}
    for image, counts in images.items():
        for kind, group in groups.get(image, {}).items():
            pooled.setdefault(kind, {}).setdefault(group, []).append(counts)
    document: dict[str, dict[str, dict[str, object]]] = {}
    for kind, by_group in sorted(pooled.items()):
        for group, tables in sorted(by_group.items()):
            agreement = class_agreement(np.sum(tables, axis=0), names)
            document.setdefault(kind, {})[group] = {
                "images": len(tables),
                "mean_dice": mean_dice(agreement),
                "dice": {a.name: a.dice for a in agreement},
            }
    return document


def _dice(counts: Counts, i: int) -> float | None:
    return _ratio(2 * int(counts[i, i]), int(counts[i].sum()) + int(counts[:, i].sum()))


def agreement_document(counts: Counts, classes: Mapping[int, str]) -> dict[str, Any]:
    """Everything above as one JSON-able document.

    `classes` maps mask code to name in the order of the table's rows.
    """
    agreement = class_agreement(counts, tuple(classes.values()))
    return {
        "pixels": int(counts.sum()),
        "pixel_accuracy": _ratio(int(np.trace(counts)), int(counts.sum())),
        "mean_dice": mean_dice(agreement),
        "classes": [
            {"code": code, **asdict(a)} for code, a in zip(classes, agreement, strict=True)
        ],
        "confusion": {"rows": "truth", "columns": "predicted", "counts": counts.tolist()},
    }
