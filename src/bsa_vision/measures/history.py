"""What earlier visits know of a cell: skin is healed where it was lost before, and nowhere else.

Re-epithelialised skin is by definition skin that was detached or detachable before. A photo may
not show it: new skin that has faded looks like any other, and some healthy skin looks like new.
Where a network drew the masks, earlier visits decide:

- where half of a cell or more was counted on one of them, what looks unaffected now is
  re-epithelialised;
- where a cell was seen on them, and neither lost nor healed, what looks re-epithelialised now is
  unaffected, unless the last look is so long ago that skin can have been lost and covered since,
  or a dressing hid the cell since.

Earlier visits decide about later ones, never the other way round: a visit that is in keeps its
numbers. What people drew stays as they drew it, and redness stays redness.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from bsa_vision.chart.fuse import EvidenceMap
from bsa_vision.measures.records import (
    COUNTED_COLUMNS,
    REEPITHELIALISED_COLUMN,
    STATE_NAMES,
    CellHistory,
    VisitEvidence,
)
from bsa_vision.measures.settings import HistorySettings

_AFFECTED_COLUMNS = [*COUNTED_COLUMNS, REEPITHELIALISED_COLUMN]
_UNAFFECTED_COLUMN = STATE_NAMES.index("unaffected")

FloatMap = NDArray[np.float32]


def with_history(visits: Sequence[VisitEvidence], settings: HistorySettings) -> list[VisitEvidence]:
    """The visits in order of their days, each in the light of those before it.

    Shares pass between unaffected and re-epithelialised, as far as a network drew the masks
    (`CellEvidence.model_share`): a cell becomes no more affected (detachable, detached or
    re-epithelialised) than it was counted.

    Parameters
    ----------
    visits : in any order, one per day, of one chart.
    """
    ordered = sorted(visits, key=lambda visit: visit.day)
    found = ordered[:1]
    for k in range(1, len(ordered)):
        history = _history(found, ordered[k].day, settings)
        found.append(_in_the_light_of(history, ordered[k]))
    return found


def decided_cells(visit: VisitEvidence) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Cells that earlier visits decided, as the chart shows them; None where there are none.

    Returns
    -------
    Where what looks unaffected is re-epithelialised, and where what looks re-epithelialised is
    unaffected: (n_cells,) each.
    """
    if visit.inferred is None or not visit.inferred.any():
        return None
    lead = visit.evidence.probabilities[:, REEPITHELIALISED_COLUMN]
    lead = lead - visit.evidence.probabilities[:, _UNAFFECTED_COLUMN]
    return (visit.inferred > 0) & (lead > 0), (visit.inferred < 0) & (lead < 0)


def _history(earlier: Sequence[VisitEvidence], day: int, settings: HistorySettings) -> CellHistory:
    """What the visits before `day`, themselves in the light of those before, know of every cell."""
    n_cells = len(earlier[0].evidence.weight)
    counted, affected = np.zeros(n_cells, np.float32), np.zeros(n_cells, np.float32)
    last_look = np.full(n_cells, -np.inf)
    for visit in earlier:
        shares = visit.evidence.probabilities
        counted = np.maximum(counted, shares[:, COUNTED_COLUMNS].sum(axis=1))
        affected = np.maximum(affected, shares[:, _AFFECTED_COLUMNS].sum(axis=1))
        last_look[visit.evidence.weight > 0] = visit.day
        # A wound may begin and heal under a dressing.
        last_look[visit.evidence.hidden] = -np.inf
    return CellHistory(
        lost=np.where(counted >= settings.lost_from, counted, np.float32(0)),
        intact=(affected < settings.intact_below)
        & (day - last_look <= settings.covered_after_days),
    )


def _in_the_light_of(history: CellHistory, visit: VisitEvidence) -> VisitEvidence:
    evidence = visit.evidence
    inferred = _to_healed(evidence.probabilities, history, evidence.model_share)
    replicates = evidence.replicates.copy()
    for shares in replicates:
        _pass_on(shares, _to_healed(shares, history, evidence.model_share))
    probabilities = evidence.probabilities.copy()
    _pass_on(probabilities, inferred)
    remembered = EvidenceMap(
        probabilities, evidence.weight, evidence.hidden, replicates, evidence.model_share
    )
    return replace(visit, evidence=remembered, history=history, inferred=inferred)


def _to_healed(shares: FloatMap, history: CellHistory, model_share: FloatMap) -> FloatMap:
    """Of cells with `shares` (n_cells, 5), what passes from unaffected to healed: (n_cells,).

    Negative where it passes the other way.
    """
    affected = shares[:, _AFFECTED_COLUMNS].sum(axis=1)
    hidden = np.clip(history.lost - affected, 0, shares[:, _UNAFFECTED_COLUMN])
    never = np.where(history.intact, shares[:, REEPITHELIALISED_COLUMN], 0)
    moved: FloatMap = (model_share * (hidden - never)).astype(np.float32)
    return moved


def _pass_on(shares: FloatMap, moved: FloatMap) -> None:
    """Move `moved` (n_cells,) from unaffected to re-epithelialised, in place."""
    shares[:, _UNAFFECTED_COLUMN] -= moved
    shares[:, REEPITHELIALISED_COLUMN] += moved
