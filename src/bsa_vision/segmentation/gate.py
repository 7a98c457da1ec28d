"""The gate: whether a new model is no worse than the current one, overall and in every group.

Judged as a non-inferiority trial is: not "no difference was found", which few patients always
give, but "worse by the margin at most", with the lower end of a one-sided 95 % interval. Every
group must pass on its own, so that more groups never make passing easier.

The figure is the mean Dice of the classes, the first (background) left out, over the pooled pixels
of all photos. Classes count that the truth holds, so that both models are judged on the same ones:
else a stray pixel of a class that is not there would cost a whole class's share.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]

#: How far mean Dice may fall over all photos. While the shipped model's training came to its end,
#: ten minutes more moved it by 0.002 to 0.016 (docs/BENCHMARKS.md): a fall beyond 0.02 is not a
#: matter of when a run was stopped.
OVERALL_MARGIN = 0.02
#: The same for one group. Groups have few patients, so their intervals are wide: held to the margin
#: of all photos, even an equal model would fail somewhere by chance. What the gate is to catch, a
#: group that the new model does not know, is a greater fall than this.
STRATUM_MARGIN = 0.05
#: Below this many patients the difference alone is judged, and flagged: drawing patients anew says
#: little then (of four there are but 35 different draws).
FEW_PATIENTS = 5
DRAWS = 2000
SEED = 0
#: One-sided 95 %.
LOW_QUANTILE = 0.05

EVERYTHING = "all"


@dataclass(frozen=True)
class Stratum:
    """The verdict on one group of photos.

    Attributes
    ----------
    name : ``all``, or the group's key and value.
    patients, images : how many it has.
    current, candidate : mean Dice; None where the truth holds no class but the first.
    difference : candidate - current.
    low : lower end of its one-sided 95 % interval; None where there are few patients.
    not_worse : whether `low`, or with few patients `difference`, is within the margin; None where
        there is nothing to compare.
    few : whether there are too few patients for an interval.
    """

    name: str
    patients: int
    images: int
    current: float | None
    candidate: float | None
    difference: float | None
    low: float | None
    not_worse: bool | None
    few: bool


def judge(
    counts: Counts, patients: Sequence[str], groups: Sequence[Mapping[str, str]]
) -> tuple[Stratum, ...]:
    """Compare two models over everything, then over the photos of each value of each group.

    Parameters
    ----------
    counts : int64 (images, 2, n, n), confusion tables (true row, predicted column) of the current
        model and of the candidate, the first class being background.
    patients : whose image each is.
    groups : what each image belongs to, such as ``{"skin_tone": "Monk 04"}``.

    Raises
    ------
    ValueError
        When the shapes do not fit, or there is no image.
    """
    if counts.ndim != 4 or counts.shape[1] != 2 or counts.shape[2] != counts.shape[3]:
        msg = f"counts: need shape (images, 2, n, n), got {counts.shape}"
        raise ValueError(msg)
    if not 0 < len(counts) == len(patients) == len(groups):
        msg = f"need images, as many patients and groups, got {len(counts)}, {len(patients)}, "
        raise ValueError(msg + str(len(groups)))
    whose = np.array(patients)
    strata = [_judged(EVERYTHING, counts, whose, OVERALL_MARGIN)]
    pairs = [(key, str(value)) for group in groups for key, value in group.items()]
    for key, value in sorted(set(pairs)):
        inside = np.array([key in group and str(group[key]) == value for group in groups])
        name = f"{key}: {value}"
        strata.append(_judged(name, counts[inside], whose[inside], STRATUM_MARGIN))
    return tuple(strata)


def gate_document(strata: Sequence[Stratum]) -> dict[str, Any]:
    """The verdict as JSON-able fields: settings, strata, `passed` and the names of the `failing`.

    A model passes when no stratum is worse; one with nothing to compare says nothing.
    """
    failing = [stratum.name for stratum in strata if stratum.not_worse is False]
    return {
        "settings": {
            "overall_margin": OVERALL_MARGIN,
            "stratum_margin": STRATUM_MARGIN,
            "few_patients": FEW_PATIENTS,
            "draws": DRAWS,
            "seed": SEED,
            "low_quantile": LOW_QUANTILE,
        },
        "strata": [asdict(stratum) for stratum in strata],
        "passed": not failing,
        "failing": failing,
    }


def pooled_dice(counts: Counts) -> NDArray[np.float64]:
    """Mean Dice of tables (..., n, n), over the classes but the first that the truth holds.

    NaN where the truth holds none of them.
    """
    hits = np.diagonal(counts, axis1=-2, axis2=-1)[..., 1:]
    true, found = counts.sum(axis=-1)[..., 1:], counts.sum(axis=-2)[..., 1:]
    occurs = true > 0
    dice = np.where(occurs, 2 * hits / np.where(occurs, true + found, 1), 0.0)
    classes = occurs.sum(axis=-1)
    mean = dice.sum(axis=-1) / np.maximum(classes, 1)
    return np.where(classes > 0, mean, np.nan)


def _judged(name: str, counts: Counts, patients: NDArray[np.str_], margin: float) -> Stratum:
    tables = _by_patient(counts, patients)
    few = len(tables) < FEW_PATIENTS
    current, candidate = (float(dice) for dice in pooled_dice(tables.sum(axis=0)))
    if np.isnan(current):
        return Stratum(name, len(tables), len(counts), None, None, None, None, None, few)
    difference = candidate - current
    low = None if few else _low_end(tables)
    return Stratum(
        name=name,
        patients=len(tables),
        images=len(counts),
        current=current,
        candidate=candidate,
        difference=difference,
        low=low,
        not_worse=(difference if low is None else low) >= -margin,
        few=few,
    )


def _by_patient(counts: Counts, patients: NDArray[np.str_]) -> Counts:
    """Tables (patients, 2, n, n): photos of a patient are alike and are drawn together."""
    names, whose = np.unique(patients, return_inverse=True)
    tables = np.zeros((len(names), *counts.shape[1:]), np.int64)
    np.add.at(tables, whose, counts)
    return tables


def _low_end(tables: Counts) -> float:
    """Lower end of the interval of the difference, patients drawn anew with replacement.

    Both models are counted on the same draw. The chance starts anew for each stratum, so that its
    verdict does not depend on which others there are.
    """
    n = len(tables)
    times = np.random.default_rng(SEED).multinomial(n, np.full(n, 1 / n), size=DRAWS)
    dice = pooled_dice(np.tensordot(times, tables, axes=1))
    # A draw without any patient who has a lesion compares nothing.
    return float(np.nanquantile(dice[:, 1] - dice[:, 0], LOW_QUANTILE))
