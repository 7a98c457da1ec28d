"""Intervals by sampling: what the percentages could have been, given what is not known.

Chance enters through standard normals drawn here from named, seeded streams; a visit's stream
depends on its day alone, so other visits do not change it. All sources act on chart rows
(5 states x about 20 rows), not on cells, which keeps a visit of 30,000 cells within 0.5 s:

1. unseen skin: see `unseen`; a shift common to the visit moves all patches together;
2. registration: Gaussian combinations of the differences between the replicates and the visit;
3. class uncertainty: flows between pairs of look-alike states;
4. chart: log-normal errors of the area of each row and of each state within a row.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from bsa_vision.core.labels import Label
from bsa_vision.measures.area import Filled, VisitArea, adjacency
from bsa_vision.measures.records import (
    N_STATES,
    REEPITHELIALISED_COLUMN,
    STATE_NAMES,
    UNAFFECTED_COLUMN,
    ChartFacts,
    Estimate,
    Floats,
    VisitEvidence,
)
from bsa_vision.measures.settings import IntervalSettings
from bsa_vision.measures.unseen import draw_unseen

#: Pairs of states, and how easily one is taken for the other relative to the easiest pair: their
#: order along the course of a lesion is the order of their looks.
PAIRS = tuple(combinations(range(N_STATES), 2))
_LIKENESS = {
    frozenset({Label.UNAFFECTED, Label.ERYTHEMA}): 1.0,
    frozenset({Label.UNAFFECTED, Label.DETACHABLE}): 0.25,
    frozenset({Label.UNAFFECTED, Label.DETACHED}): 0.1,
    frozenset({Label.UNAFFECTED, Label.REEPITHELIALISED}): 0.7,
    frozenset({Label.ERYTHEMA, Label.DETACHABLE}): 1.0,
    frozenset({Label.ERYTHEMA, Label.DETACHED}): 0.5,
    frozenset({Label.ERYTHEMA, Label.REEPITHELIALISED}): 1.0,
    frozenset({Label.DETACHABLE, Label.DETACHED}): 1.0,
    frozenset({Label.DETACHABLE, Label.REEPITHELIALISED}): 0.5,
    frozenset({Label.DETACHED, Label.REEPITHELIALISED}): 1.0,
}
_BY_COLUMN = tuple(Label[name.upper()] for name in STATE_NAMES)
_HEALED_OR_NEVER_LOST = (UNAFFECTED_COLUMN, REEPITHELIALISED_COLUMN)
LIKENESS = np.array([_LIKENESS[frozenset({_BY_COLUMN[a], _BY_COLUMN[b]})] for a, b in PAIRS])


@dataclass(frozen=True)
class SeriesDraws:
    """Standard normals that all visits of a patient share, S draws each.

    Attributes
    ----------
    confusion : (S, 10) by pair of states.
    unseen : (S, 5) by state.
    row_area : (S, n_rows); patch_area : (S, n_rows, 5).
    """

    confusion: Floats
    unseen: Floats
    row_area: Floats
    patch_area: Floats


def draw_series(n_rows: int, settings: IntervalSettings) -> SeriesDraws:
    """Draw what the visits of one patient share."""
    rng = np.random.default_rng([settings.seed, 0])
    s = settings.draws
    return SeriesDraws(
        confusion=rng.standard_normal((s, len(PAIRS))),
        unseen=rng.standard_normal((s, N_STATES)),
        row_area=rng.standard_normal((s, n_rows)),
        patch_area=rng.standard_normal((s, n_rows, N_STATES)),
    )


def sample_visit(
    visit: VisitEvidence,
    filled: Filled,
    area: VisitArea,
    *,
    chart: ChartFacts,
    series: SeriesDraws,
    settings: IntervalSettings,
) -> Floats:
    """Percent of BSA that each state could have had: (S, n_rows, 5), each draw summing to 100."""
    # Days may be negative (screening) and seeds may not.
    rng = np.random.default_rng([settings.seed, 1, abs(visit.day), int(visit.day < 0)])
    rows = np.repeat(area.seen[None], settings.draws, axis=0)
    rows = np.maximum(rows + _draw_registration(visit, filled, chart, settings, rng), 0.0)
    rows = _renormalised(rows, area.seen.sum(axis=1))
    rows = rows + draw_unseen(filled, chart, series.unseen, settings, rng)
    rows = _draw_confusion(
        rows, visit, filled, chart=chart, series=series, settings=settings, rng=rng
    )
    return _draw_chart(rows, series, settings)


def estimate_from_draws(percent: float, draws: Floats, settings: IntervalSettings) -> Estimate:
    """The interval of `draws` (S,), widened where needed to hold the estimate itself."""
    low, high = np.quantile(draws, settings.quantiles)
    return Estimate(percent, min(float(low), percent), max(float(high), percent))


def _renormalised(rows: Floats, totals: Floats) -> Floats:
    """Scale (S, n_rows, 5) so that each row sums to its total (n_rows,)."""
    sums = rows.sum(axis=2, keepdims=True)
    wanted = rows * totals[:, None]
    scaled: Floats = np.divide(wanted, sums, out=np.zeros_like(rows), where=sums > 0)
    return scaled


def _draw_registration(
    visit: VisitEvidence,
    filled: Filled,
    chart: ChartFacts,
    settings: IntervalSettings,
    rng: np.random.Generator,
) -> Floats | float:
    """Changes of the seen areas under other placements of the photos, (S, n_rows, 5)."""
    n = len(visit.evidence.replicates)
    if n == 0:
        return 0.0
    differences = np.empty((n, len(chart.rows), N_STATES))
    for k, replicate in enumerate(visit.evidence.replicates):
        both = filled.assessed & (replicate.sum(axis=1) > 0)
        change = (replicate - filled.shares) * (chart.weights * both)[:, None]
        differences[k] = chart.row_sums(change)
    # Not centred: a shift that every perturbation causes is an error of the visit's own placement
    # as likely as of theirs.
    mix = rng.standard_normal((settings.draws, n)) / np.sqrt(n)
    return np.tensordot(mix, differences, axes=1)


def _split_areas(filled: Filled, chart: ChartFacts) -> Floats:
    """Skin of each row that is split between two states, percent of BSA: (n_rows, 10).

    Shares are first averaged with the neighbours, so that a sharp border has a width of one cell.
    """
    matrix = adjacency(chart)
    degree = np.asarray(matrix.sum(axis=1)).ravel()
    smooth = (filled.shares + matrix @ filled.shares) / (1 + degree)[:, None]
    weighted = smooth * chart.weights[:, None]
    products = np.column_stack([weighted[:, a] * smooth[:, b] for a, b in PAIRS])
    return chart.row_sums(products)


def _draw_confusion(
    rows: Floats,
    visit: VisitEvidence,
    filled: Filled,
    *,
    chart: ChartFacts,
    series: SeriesDraws,
    settings: IntervalSettings,
    rng: np.random.Generator,
) -> Floats:
    """Let look-alike states exchange area within each row; totals of the rows stay.

    What earlier visits know holds: skin that was lost is not unaffected, whatever it looks like,
    and skin that never was affected is not healed.
    """
    mix = np.array([visit.model_share, 1 - visit.model_share])
    confusion = mix @ [settings.model_confusion_sd, settings.given_confusion_sd]
    border = mix @ [settings.model_border_sd, settings.given_border_sd]
    split = _split_areas(filled, chart)
    own = rng.standard_normal(series.confusion.shape)
    by_row = rng.standard_normal((settings.draws, len(chart.rows), len(PAIRS)))
    shared = settings.series_share
    common = np.sqrt(shared) * series.confusion + np.sqrt(1 - shared) * own
    z = common[:, None, :] + settings.row_ratio * by_row
    moved = rows.copy()
    for k, (a, b) in enumerate(PAIRS):
        part: Floats | float = 1.0
        if (a, b) == _HEALED_OR_NEVER_LOST:
            towards_healed = z[:, :, k] > 0
            part = np.where(towards_healed, *_unsettled_shares(rows, visit, chart))
        alike = np.sqrt(rows[:, :, a] * rows[:, :, b] * part)
        flow = z[:, :, k] * (confusion * LIKENESS[k] * alike + border * split[:, k] * part)
        moved[:, :, a] -= flow
        moved[:, :, b] += flow
    return _renormalised(np.maximum(moved, 0.0), rows[0].sum(axis=1))


def _unsettled_shares(
    rows: Floats, visit: VisitEvidence, chart: ChartFacts
) -> tuple[Floats, Floats]:
    """Of the unaffected skin of each row what may be healed, and the other way: (S, n_rows) each.

    Earlier visits settle that healed skin was lost, and that unaffected skin never was affected.
    """
    if visit.history is None:
        return np.ones_like(rows[:, :, 0]), np.ones_like(rows[:, :, 0])
    shares = visit.evidence.probabilities[:, _HEALED_OR_NEVER_LOST]
    intact = np.where(visit.history.intact, shares[:, 0], 0)
    lost = np.minimum(visit.history.lost, shares[:, 1])
    found = []
    for column, settled in zip(_HEALED_OR_NEVER_LOST, (intact, lost), strict=True):
        whole = rows[:, :, column]
        left = np.maximum(whole - chart.row_sums(chart.weights * settled), 0.0)
        found.append(np.divide(left, whole, out=np.zeros_like(left), where=whole > 0))
    return found[0], found[1]


def _draw_chart(rows: Floats, series: SeriesDraws, settings: IntervalSettings) -> Floats:
    """Errors of the body model's areas: of a state within its row, and of the row itself."""
    totals = rows[0].sum(axis=1)
    patches = rows * np.exp(settings.patch_area_log_sd * series.patch_area)
    rows = _renormalised(patches, totals)
    rows = rows * np.exp(settings.row_area_log_sd * series.row_area)[:, :, None]
    scaled: Floats = rows * (100 / rows.sum(axis=(1, 2), keepdims=True))
    return scaled
