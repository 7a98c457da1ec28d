"""What earlier visits know of a cell: skin is healed where it was lost before, and nowhere else.

Re-epithelialised skin is by definition skin that was detached or detachable before. A photo may
not show it: new skin that has faded looks like any other, new skin that is deep pink looks like
erythema, and some healthy skin looks like new. Where a network drew the masks, earlier visits
decide:

- where half of a cell or more was counted on one of them, what looks unaffected now is
  re-epithelialised, and where half or more was detached, what looks red now is so as well: it has
  its epidermis again. (Detachable skin still had it: it is too often erythema that was taken for
  detachable, and still is erythema.)
- where a cell was seen on them, and neither lost nor healed, what looks re-epithelialised now is
  unaffected, unless the last look is so long ago that skin can have been lost and covered since,
  or a dressing hid the cell since.

Earlier visits decide about later ones, never the other way round: a visit that is in keeps its
numbers. What people drew stays as they drew it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bsa_vision.chart.fuse import EvidenceMap
from bsa_vision.measures.records import (
    COUNTED_COLUMNS,
    DETACHED_COLUMN,
    ERYTHEMA_COLUMN,
    REEPITHELIALISED_COLUMN,
    UNAFFECTED_COLUMN,
    CellHistory,
    VisitEvidence,
)
from bsa_vision.measures.settings import HistorySettings

_AFFECTED_COLUMNS = [*COUNTED_COLUMNS, REEPITHELIALISED_COLUMN]

FloatMap = NDArray[np.float32]
BoolMap = NDArray[np.bool_]


class DecidedCells(NamedTuple):
    """Where earlier visits decide what skin is, (n_cells,) each.

    Attributes
    ----------
    faded, red : what looks unaffected, or red, is re-epithelialised.
    never : what looks re-epithelialised is unaffected.
    """

    faded: BoolMap
    red: BoolMap
    never: BoolMap


def with_history(visits: Sequence[VisitEvidence], settings: HistorySettings) -> list[VisitEvidence]:
    """The visits in order of their days, each in the light of those before it.

    Shares pass from unaffected and erythema to re-epithelialised, or from that to unaffected, as
    far as a network drew the masks (`CellEvidence.model_share`): a cell becomes no more affected
    (detachable, detached or re-epithelialised) than it was counted.

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


def decided_cells(visit: VisitEvidence) -> DecidedCells | None:
    """Cells that earlier visits decided, as the chart shows them; None where there are none."""
    if visit.history is None or visit.inferred is None or not visit.inferred.any():
        return None
    shares = visit.evidence.probabilities
    healed = shares[:, REEPITHELIALISED_COLUMN]
    more = visit.inferred > 0
    return DecidedCells(
        faded=more & (healed > shares[:, UNAFFECTED_COLUMN]),
        red=more & visit.history.bare & (healed > shares[:, ERYTHEMA_COLUMN]),
        never=(visit.inferred < 0) & (healed < shares[:, UNAFFECTED_COLUMN]),
    )


def _history(earlier: Sequence[VisitEvidence], day: int, settings: HistorySettings) -> CellHistory:
    """What the visits before `day`, themselves in the light of those before, know of every cell."""
    n_cells = len(earlier[0].evidence.weight)
    counted, affected, detached = np.zeros((3, n_cells), np.float32)
    last_look = np.full(n_cells, -np.inf)
    for visit in earlier:
        shares = visit.evidence.probabilities
        counted = np.maximum(counted, shares[:, COUNTED_COLUMNS].sum(axis=1))
        affected = np.maximum(affected, shares[:, _AFFECTED_COLUMNS].sum(axis=1))
        detached = np.maximum(detached, shares[:, DETACHED_COLUMN])
        last_look[visit.evidence.weight > 0] = visit.day
        # A wound may begin and heal under a dressing.
        last_look[visit.evidence.hidden] = -np.inf
    return CellHistory(
        lost=np.where(counted >= settings.lost_from, counted, np.float32(0)),
        bare=detached >= settings.lost_from,
        intact=(affected < settings.intact_below)
        & (day - last_look <= settings.covered_after_days),
    )


def _in_the_light_of(history: CellHistory, visit: VisitEvidence) -> VisitEvidence:
    evidence = visit.evidence
    replicates = _remembered(evidence.replicates, history, evidence.model_share)
    probabilities = _remembered(evidence.probabilities, history, evidence.model_share)
    remembered = EvidenceMap(
        probabilities, evidence.weight, evidence.hidden, replicates, evidence.model_share
    )
    inferred = (probabilities - evidence.probabilities)[:, REEPITHELIALISED_COLUMN]
    return replace(visit, evidence=remembered, history=history, inferred=inferred)


def _remembered(shares: FloatMap, history: CellHistory, model_share: FloatMap) -> FloatMap:
    """`shares` (..., n_cells, 5) of the states as earlier visits have them."""
    looks_whole = shares[..., [UNAFFECTED_COLUMN, ERYTHEMA_COLUMN]]
    looks_whole[..., ~history.bare, 1] = 0
    whole = looks_whole.sum(axis=-1)
    missing = np.clip(history.lost - shares[..., _AFFECTED_COLUMNS].sum(axis=-1), 0, whole)
    never = np.where(history.intact, shares[..., REEPITHELIALISED_COLUMN], 0)
    # Of both in proportion: which of them is the part that was lost, nobody knows.
    part = np.divide(missing, whole, out=np.zeros_like(missing), where=missing > 0)
    faded, red = np.moveaxis(looks_whole * (model_share * part)[..., None], -1, 0)
    found = shares.copy()
    found[..., UNAFFECTED_COLUMN] += model_share * never - faded
    found[..., ERYTHEMA_COLUMN] -= red
    found[..., REEPITHELIALISED_COLUMN] += faded + red - model_share * never
    return found
