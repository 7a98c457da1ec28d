"""Percent of BSA in each state: what was seen, the best estimate for the rest, and its bounds.

Skin that was not assessed is filled from its neighbours on the surface by solving

    (D + K) x = A x + K mean

over the unassessed cells, where A is the adjacency of the cells, D its degrees and K a weak pull
to the mean of the skin that was seen. Small holes take the harmonic interpolation of their rim;
far from any seen skin, where the rim says little, the estimate goes over into the mean within
`fill_length_cm`. This is the conditional mean of a Gaussian Markov field of that correlation
length (Lindgren, Rue & Lindstroem 2011).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import splu

from bsa_vision.measures.records import (
    COUNTED_COLUMNS,
    N_STATES,
    CellEvidence,
    ChartFacts,
    Floats,
)

# On a sheet of equilateral triangles of area a, the sum of differences to the three neighbours is
# a / sqrt(3) times the Laplacian; a pull of a / (sqrt(3) L^2) gives the decay length L.
_PULL_PER_AREA = 1 / np.sqrt(3)


@dataclass(frozen=True)
class Filled:
    """A visit's cells after filling.

    Attributes
    ----------
    shares : (n_cells, 5) probabilities of the states, every row summing to 1.
    anchoring : (n_cells,) 1 where assessed, falling to 0 far from assessed skin: how much of the
        filled value comes from neighbours rather than from the mean.
    assessed : (n_cells,) bool.
    """

    shares: Floats
    anchoring: Floats
    assessed: NDArray[np.bool_]


@dataclass(frozen=True)
class VisitArea:
    """Areas of one visit, in percent of BSA.

    Attributes
    ----------
    seen : (n_rows, 5) share seen in each state, by chart row.
    estimate : (n_rows, 5) the same after filling; sums to 100.
    never_seen : (n_rows,) skin no usable photo shows.
    hidden : (n_rows,) skin seen, but only as not assessable.
    """

    seen: Floats
    estimate: Floats
    never_seen: Floats
    hidden: Floats

    @property
    def not_assessed(self) -> Floats:
        """(n_rows,) never seen or hidden."""
        return self.never_seen + self.hidden

    @property
    def counted_bounds(self) -> tuple[float, float]:
        """Counted BSA if all skin that was not assessed were healthy, and if all were counted."""
        seen = float(self.seen[:, COUNTED_COLUMNS].sum())
        return seen, seen + float(self.not_assessed.sum())


def adjacency(chart: ChartFacts) -> sparse.csr_array:
    """Symmetric 0/1 adjacency of the cells, (n_cells, n_cells)."""
    first, second = chart.edges[:, 0], chart.edges[:, 1]
    ones = np.ones(2 * len(first))
    indices = (np.concatenate([first, second]), np.concatenate([second, first]))
    matrix = sparse.csr_array((ones, indices), shape=(chart.n_cells, chart.n_cells))
    matrix.data[:] = 1.0
    return matrix


def fill_unassessed(
    evidence: CellEvidence, chart: ChartFacts, fill_length_cm: float
) -> Filled | None:
    """Fill the cells without evidence from their neighbours; None when no cell was assessed."""
    assessed = np.asarray(evidence.weight) > 0
    shares = np.where(assessed[:, None], np.asarray(evidence.probabilities, dtype=np.float64), 0.0)
    seen_weight = chart.weights[assessed].sum()
    if seen_weight <= 0:
        return None
    anchoring = assessed.astype(np.float64)
    if not assessed.all():
        mean = chart.weights[assessed] @ shares[assessed] / seen_weight
        solved = _solve_unassessed(assessed, shares, chart, fill_length_cm)
        anchor = np.clip(solved[:, N_STATES], 0.0, 1.0)
        filled = np.clip(solved[:, :N_STATES] + (1 - anchor)[:, None] * mean, 0.0, None)
        shares[~assessed] = filled / filled.sum(axis=1, keepdims=True)
        anchoring[~assessed] = anchor
    return Filled(shares=shares, anchoring=anchoring, assessed=assessed)


def _solve_unassessed(
    assessed: NDArray[np.bool_], shares: Floats, chart: ChartFacts, length_cm: float
) -> Floats:
    """The part of the fill that the rim gives, and its total weight: (n_unassessed, 6)."""
    matrix = adjacency(chart)
    unassessed = ~assessed
    degree = np.asarray(matrix.sum(axis=1)).ravel()[unassessed]
    pull = _PULL_PER_AREA * chart.areas_cm2[unassessed] / length_cm**2
    rows = matrix[unassessed]
    inner = rows[:, unassessed]
    system = sparse.csc_array(sparse.diags_array(degree + pull) - inner)
    rim_values = np.column_stack([shares, np.ones(chart.n_cells)])[assessed]
    right_side = rows[:, assessed] @ rim_values
    factor = splu(
        system, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True}
    )
    return np.asarray(factor.solve(np.ascontiguousarray(right_side)))


def measure_area(evidence: CellEvidence, filled: Filled, chart: ChartFacts) -> VisitArea:
    """Sum the cells of a visit into the rows of the chart."""
    hidden = np.asarray(evidence.hidden) & ~filled.assessed
    weighted = filled.shares * chart.weights[:, None]
    return VisitArea(
        seen=chart.row_sums(weighted * filled.assessed[:, None]),
        estimate=chart.row_sums(weighted),
        never_seen=chart.row_sums(chart.weights * ~(filled.assessed | hidden)),
        hidden=chart.row_sums(chart.weights * hidden),
    )
