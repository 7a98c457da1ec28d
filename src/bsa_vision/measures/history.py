"""What earlier visits know of a cell: skin that was lost is never unaffected again, it is healed.

Re-epithelialised skin is by definition skin that was detached or detachable before. A photo may
not show it: new skin that has faded looks like any other. So where most of a cell was counted on
an earlier visit, what a network now takes for unaffected skin there is counted re-epithelialised.
Earlier visits decide about later ones, never the other way round: a visit that is in keeps its
numbers. What people drew stays as they drew it, and redness stays redness.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bsa_vision.measures.records import (
    COUNTED_COLUMNS,
    REEPITHELIALISED_COLUMN,
    STATE_NAMES,
    CellEvidence,
    VisitEvidence,
)

_AFFECTED_COLUMNS = [*COUNTED_COLUMNS, REEPITHELIALISED_COLUMN]
_UNAFFECTED_COLUMN = STATE_NAMES.index("unaffected")

FloatMap = NDArray[np.float32]


@dataclass(frozen=True)
class RememberedEvidence:
    """The evidence of a visit in the light of the visits before; see `CellEvidence`."""

    probabilities: FloatMap
    weight: FloatMap
    hidden: NDArray[np.bool_]
    replicates: FloatMap


def with_history(visits: Sequence[VisitEvidence], remembered_from: float) -> list[VisitEvidence]:
    """The visits in order of their days, each in the light of those before it.

    No assessed cell is less affected (detachable, detached or re-epithelialised) than it was
    counted: the share that is missing passes from unaffected to re-epithelialised, as far as a
    network drew the masks (`VisitEvidence.model_share`), and is noted in `VisitEvidence.inferred`.

    Parameters
    ----------
    visits : in any order, one per day, of one chart.
    remembered_from : counted share of a cell from which on it is remembered.
    """
    lost: FloatMap | None = None
    found = []
    for visit in sorted(visits, key=lambda visit: visit.day):
        counted = visit.evidence.probabilities[:, COUNTED_COLUMNS].sum(axis=1)
        remembered = np.where(counted >= remembered_from, counted, np.float32(0))
        if lost is None:
            found.append(visit)
            lost = remembered
        else:
            found.append(_in_the_light_of(lost, visit))
            lost = np.maximum(lost, remembered)
    return found


def _in_the_light_of(lost: FloatMap, visit: VisitEvidence) -> VisitEvidence:
    """The visit with what was `lost` (n_cells,) and looks unaffected passed on to healed."""
    evidence: CellEvidence = visit.evidence
    inferred = _missing(evidence.probabilities, lost, visit.model_share)
    replicates = evidence.replicates.copy()
    for shares in replicates:
        _pass_on(shares, _missing(shares, lost, visit.model_share))
    probabilities = evidence.probabilities.copy()
    _pass_on(probabilities, inferred)
    remembered = RememberedEvidence(probabilities, evidence.weight, evidence.hidden, replicates)
    return replace(visit, evidence=remembered, lost=lost, inferred=inferred)


def _missing(shares: FloatMap, lost: FloatMap, model_share: float) -> FloatMap:
    """Of cells with `shares` (n_cells, 5), what is unaffected though it was `lost`: (n_cells,)."""
    affected = shares[:, _AFFECTED_COLUMNS].sum(axis=1)
    gap = np.clip(lost - affected, 0, shares[:, _UNAFFECTED_COLUMN])
    missing: FloatMap = (np.float32(model_share) * gap).astype(np.float32)
    return missing


def _pass_on(shares: FloatMap, moved: FloatMap) -> None:
    """Move `moved` (n_cells,) from unaffected to re-epithelialised, in place."""
    shares[:, _UNAFFECTED_COLUMN] -= moved
    shares[:, REEPITHELIALISED_COLUMN] += moved
