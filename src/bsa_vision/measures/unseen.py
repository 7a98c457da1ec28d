"""What unassessed skin may hold: shares drawn patch by patch, not cell by cell.

A patch is connected unassessed skin within one chart row. Its shares follow a Dirichlet
distribution round its fill. Lesions have sharp edges, so a value is worth less with distance from
seen skin than the smooth field that fills it would have it: the unexplained share of the variance
is taken as sqrt(1 - anchoring^2). A patch larger than a lesion averages over several.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from bsa_vision.measures.area import Filled, adjacency
from bsa_vision.measures.records import N_STATES, ChartFacts, Floats
from bsa_vision.measures.settings import IntervalSettings

#: Patches smaller than this are pooled by row: many specks average out.
_SPECK_PERCENT = 0.02
_LEAST_CONCENTRATION = 0.2


@dataclass(frozen=True)
class UnseenPatches:
    """Connected unassessed skin, one entry per patch of a chart row (small ones pooled).

    Attributes
    ----------
    row : (n,) chart row. percent : (n,) percent of BSA.
    mean : (n, 5) expected shares. concentration : (n,) of the Dirichlet distribution round it.
    looseness : (n,) 0 when held by seen skin all round, 1 when far from any.
    """

    row: NDArray[np.intp]
    percent: Floats
    mean: Floats
    concentration: Floats
    looseness: Floats


def _sums(index: NDArray[np.integer], values: Floats) -> Floats:
    """Sums of `values` by `index`."""
    return np.asarray(np.bincount(index, weights=values), dtype=np.float64)


def find_unseen_patches(
    filled: Filled, chart: ChartFacts, settings: IntervalSettings
) -> UnseenPatches:
    """Group the unassessed cells into connected patches within chart rows."""
    cells = np.flatnonzero(~filled.assessed)
    first, second = chart.edges[:, 0], chart.edges[:, 1]
    inside = ~filled.assessed[first] & ~filled.assessed[second]
    inside &= chart.row[first] == chart.row[second]
    joined = ChartFacts(chart.weights, chart.areas_cm2, chart.row, chart.rows, chart.edges[inside])
    _, component = connected_components(adjacency(joined), directed=False)
    _, patch = np.unique(component[cells], return_inverse=True)
    weight, loose = chart.weights[cells], 1 - filled.anchoring[cells]
    size = _sums(patch, weight)
    row = np.zeros(len(size), dtype=np.intp)
    row[patch] = chart.row[cells]
    mean = _patch_means(cells, patch, filled, chart, settings)
    # Variance of a patch's shares: what neighbours leave unexplained, averaged over as many
    # independent lesions as fit into it.
    unexplained = np.sqrt(1 - (1 - loose) ** 2)
    spread = filled.shares[cells] * (1 - filled.shares[cells]) * unexplained[:, None]
    lesions = 1 + _sums(patch, chart.areas_cm2[cells]) / (np.pi * settings.fill_length_cm**2)
    variance = _sums(patch, weight * spread.sum(axis=1)) / size / lesions
    looseness = _sums(patch, weight * loose) / size
    return _pool_specks(row, size, mean=mean, variance=variance, looseness=looseness)


def _patch_means(
    cells: NDArray[np.intp],
    patch: NDArray[np.intp],
    filled: Filled,
    chart: ChartFacts,
    settings: IntervalSettings,
) -> Floats:
    """Expected shares of each patch: its fill, drawn to the flat prior where it is loose."""
    weight, loose = chart.weights[cells], 1 - filled.anchoring[cells]
    seen = chart.weights * filled.assessed
    mean = seen @ filled.shares / seen.sum()
    prior = settings.unseen_prior_percent
    shrunk = (mean * seen.sum() + prior / N_STATES) / (seen.sum() + prior)
    shares = filled.shares[cells] + loose[:, None] * (shrunk - mean)
    size = _sums(patch, weight)
    sums = [_sums(patch, weight * shares[:, k]) for k in range(N_STATES)]
    return np.maximum(np.column_stack(sums) / size[:, None], 0.0)


def _pool_specks(
    row: NDArray[np.intp],
    size: Floats,
    *,
    mean: Floats,
    variance: Floats,
    looseness: Floats,
) -> UnseenPatches:
    """Pool the small patches of each row and turn variances into concentrations."""
    # Specks share their row's key; large patches keep one of their own.
    key = np.where(size < _SPECK_PERCENT, -1 - row, np.arange(len(size)))
    _, group = np.unique(key, return_inverse=True)
    total = _sums(group, size)
    pooled_row = np.zeros(len(total), dtype=np.intp)
    pooled_row[group] = row
    columns = [_sums(group, size * mean[:, k]) for k in range(N_STATES)]
    pooled_mean = np.column_stack(columns) / total[:, None]
    pooled_mean /= pooled_mean.sum(axis=1, keepdims=True)
    pooled_variance = _sums(group, size**2 * variance) / total**2
    most = (pooled_mean * (1 - pooled_mean)).sum(axis=1)
    ratio = most / np.maximum(pooled_variance, 1e-9)
    return UnseenPatches(
        row=pooled_row,
        percent=total,
        mean=pooled_mean,
        concentration=np.maximum(ratio - 1, _LEAST_CONCENTRATION),
        looseness=_sums(group, size * looseness) / total,
    )


def draw_unseen(
    filled: Filled,
    chart: ChartFacts,
    shared: Floats,
    settings: IntervalSettings,
    rng: np.random.Generator,
) -> Floats | float:
    """Areas of the states in unassessed skin, (S, n_rows, 5) in percent of BSA.

    Parameters
    ----------
    shared : (S, 5) standard normals by state that all visits of the patient share.
    """
    if filled.assessed.all():
        return 0.0
    patches = find_unseen_patches(filled, chart, settings)
    own = rng.standard_normal(shared.shape)
    shift = np.sqrt(settings.series_share) * shared + np.sqrt(1 - settings.series_share) * own
    shift = settings.unseen_logit_sd * shift[:, None, :] * patches.looseness[:, None]
    mean = patches.mean * np.exp(shift)
    mean /= mean.sum(axis=2, keepdims=True)
    shares = rng.standard_gamma(mean * patches.concentration[:, None])
    total = shares.sum(axis=2, keepdims=True)
    shares = np.divide(shares, total, out=mean, where=total > 0)
    rows = np.zeros((settings.draws, len(chart.rows), N_STATES))
    areas = shares * patches.percent[:, None]
    for row in np.unique(patches.row):
        rows[:, row] = areas[:, patches.row == row].sum(axis=1)
    return rows
