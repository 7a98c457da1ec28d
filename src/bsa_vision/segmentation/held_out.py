"""Figures of held-out photos: Dice with intervals over patients, and which photos are worst."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bsa_vision.core.labels import Label
from bsa_vision.segmentation.metrics import Counts, class_agreement, mean_dice

_LEVEL = (2.5, 97.5)

Classes = Mapping[int, str]


@dataclass(frozen=True)
class HeldOutImage:
    """What the network made of one photo it did not learn from.

    Attributes
    ----------
    name, patient : of the photo.
    counts : (n, n) pixels by true (row) and predicted (column) class.
    """

    name: str
    patient: str
    counts: NDArray[np.int64]


def dice_intervals(
    images: Sequence[HeldOutImage], classes: Classes, draws: int = 2000, seed: int = 0
) -> list[dict[str, Any]]:
    """Pooled Dice of each class, with a 95 % interval over patients.

    Whole patients are drawn with replacement (percentile bootstrap): photos of one patient are
    alike, so drawing photos would give intervals that are too narrow.

    Parameters
    ----------
    images : the held-out photos.
    classes : code -> name, in the order of the tables' rows.
    draws, seed : how often patients are drawn, and the chance of it.

    Returns
    -------
    For each class code, name, patients (in whose masks it occurs, true or predicted), dice (None
    when it occurs in none), low and high (None when it occurs in fewer than two: drawing one
    patient over and over would give an interval of no width).

    Raises
    ------
    ValueError
        When a table has not one row and one column for each class.
    """
    agreement = class_agreement(pooled(images, len(classes)), tuple(classes.values()))
    hits, sizes, _ = _by_patient(images, len(classes))
    drawn = _drawn_dice(hits, sizes, draws, seed)
    rows = []
    for k, (code, result) in enumerate(zip(classes, agreement, strict=True)):
        patients = int(np.count_nonzero(sizes[:, k]))
        low, high = _percentiles(drawn[:, k]) if patients >= 2 else (None, None)
        row = {"code": code, "name": result.name, "patients": patients}
        rows.append({**row, "dice": result.dice, "low": low, "high": high})
    return rows


def mean_dice_interval(
    images: Sequence[HeldOutImage], classes: Classes, draws: int = 2000, seed: int = 0
) -> dict[str, float | None]:
    """Mean Dice of the classes that the truth holds, background included, with its interval.

    Drawn over patients as `dice_intervals`; in each draw the mean is of the classes in its true
    masks. `dice` is None without images, low and high with fewer than two patients.
    """
    agreement = class_agreement(pooled(images, len(classes)), tuple(classes.values()))
    hits, sizes, true = _by_patient(images, len(classes))
    drawn = _drawn_dice(hits, sizes, draws, seed)
    occurs = _drawn_sums(true, draws, seed) > 0
    means = np.full(len(drawn), np.nan)
    np.divide(
        np.where(occurs, drawn, 0).sum(axis=1), occurs.sum(axis=1), out=means, where=occurs.any(1)
    )
    low, high = _percentiles(means) if len(hits) >= 2 else (None, None)
    return {"dice": mean_dice(agreement), "low": low, "high": high}


def foreground_dice(counts: Counts, classes: Classes) -> float | None:
    """Mean Dice over the classes but background that the truth holds.

    0 when it holds none and one was found all the same; None when there is nothing at all.
    """
    agreement = class_agreement(counts, tuple(classes.values()))
    parts = [a for code, a in zip(classes, agreement, strict=True) if code != Label.BACKGROUND]
    mean = mean_dice(parts)
    found = any(part.dice is not None for part in parts)
    return 0.0 if mean is None and found else mean


def worst_cases_order(
    images: Sequence[HeldOutImage], classes: Classes, count: int = 6
) -> list[str]:
    """Names of the photos with the lowest `foreground_dice`, worst first.

    Photos of nothing but background, in both masks, have none and are left out.
    """
    marked = ((foreground_dice(image.counts, classes), image.name) for image in images)
    ranked = sorted((dice, name) for dice, name in marked if dice is not None)
    return [name for _, name in ranked[:count]]


def pooled(images: Sequence[HeldOutImage], n: int) -> Counts:
    """Pixels by true (row) and predicted (column) class of all photos: (n, n).

    Raises
    ------
    ValueError
        When a table has not one row and one column for each class.
    """
    for image in images:
        if image.counts.shape != (n, n):
            msg = f"{image.name}: need a ({n}, {n}) table, got {image.counts.shape}"
            raise ValueError(msg)
    tables = np.array([image.counts for image in images], np.int64).reshape(-1, n, n)
    return np.asarray(tables.sum(axis=0), np.int64)


def _by_patient(
    images: Sequence[HeldOutImage], n: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Hits, true plus predicted, and true pixels of each patient and class: three (patients, n)."""
    patients = sorted({image.patient for image in images})
    row = {patient: k for k, patient in enumerate(patients)}
    hits, sizes, true = (np.zeros((len(patients), n), np.int64) for _ in range(3))
    for image in images:
        hits[row[image.patient]] += np.diagonal(image.counts)
        sizes[row[image.patient]] += image.counts.sum(axis=0) + image.counts.sum(axis=1)
        true[row[image.patient]] += image.counts.sum(axis=1)
    return hits, sizes, true


def _drawn_dice(
    hits: NDArray[np.int64], sizes: NDArray[np.int64], draws: int, seed: int
) -> NDArray[np.float64]:
    """Pooled Dice of each draw and class (draws, n); NaN where a draw has nothing of a class."""
    dice = np.full((draws, hits.shape[1]), np.nan)
    whole = _drawn_sums(sizes, draws, seed)
    np.divide(2 * _drawn_sums(hits, draws, seed), whole, out=dice, where=whole > 0)
    return dice


def _drawn_sums(values: NDArray[np.int64], draws: int, seed: int) -> NDArray[np.int64]:
    """Sums (draws, n) of a value (patients, n) over the patients of each draw."""
    patients = len(values)
    if not patients:
        return np.zeros((draws, values.shape[1]), np.int64)
    rng = np.random.default_rng(seed)
    times = rng.multinomial(patients, np.full(patients, 1 / patients), size=draws)
    return np.asarray(times @ values, np.int64)


def _percentiles(values: NDArray[np.float64]) -> tuple[float | None, float | None]:
    known = values[~np.isnan(values)]
    if not len(known):
        return None, None
    low, high = np.percentile(known, _LEVEL)
    return float(low), float(high)
