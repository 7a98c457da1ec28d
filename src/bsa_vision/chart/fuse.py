"""Fusion: the photos of a visit become one evidence map; skin seen twice counts once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bsa_vision.chart.gather import MIN_SKIN_SHARE, PhotoEvidence
from bsa_vision.core.labels import SKIN_STATES

FloatMap = NDArray[np.float32]


@dataclass(frozen=True)
class EvidenceMap:
    """What a visit's photos say of every cell.

    Attributes
    ----------
    probabilities : (n_cells, 5) over `SKIN_STATES`; rows sum to 1 where assessed, else 0.
    weight : (n_cells,) the best photo's trust; 0 = not assessed.
    hidden : (n_cells,) seen, but only under a dressing, a device or glare.
    replicates : (R, n_cells, 5) `probabilities` under perturbed placements of the photos.
    model_share : (n_cells,) share of the evidence that comes from a network's masks, 0 where not
        assessed.
    """

    probabilities: FloatMap
    weight: FloatMap
    hidden: NDArray[np.bool_]
    replicates: FloatMap
    model_share: FloatMap

    @property
    def assessed(self) -> NDArray[np.bool_]:
        """(n_cells,) cells with evidence."""
        return self.weight > 0


def fuse(photos: Sequence[PhotoEvidence], n_cells: int, replicates: int) -> EvidenceMap:
    """Weighted mean of the photos' class shares, cell by cell.

    The mean does not change when a photo is given twice, and the weight is the best photo's, not
    the sum. Photos are taken in the order given; callers sort them by digest so that the order in
    which they were listed cannot change a byte.
    """
    n_states = len(SKIN_STATES)
    total = np.zeros((n_cells, n_states))
    drawn = np.zeros((replicates, n_cells, n_states))
    trust, by_model = np.zeros(n_cells), np.zeros(n_cells)
    best = np.zeros(n_cells, np.float32)
    covered = np.zeros(n_cells, bool)
    for photo in photos:
        skin = photo.states.sum(axis=1)
        counts = skin >= MIN_SKIN_SHARE
        cells, weight = photo.cells[counts], photo.weight[counts]
        total[cells] += weight[:, None] * photo.states[counts]
        for r in range(replicates):
            drawn[r, cells] += weight[:, None] * photo.replicates[r, counts]
        trust[cells] += weight
        by_model[cells] += weight * photo.by_model
        best[cells] = np.maximum(best[cells], weight)
        covered[photo.cells[photo.hidden > 0.5]] = True
    mean = _normalised(total)
    perturbed = np.zeros((replicates, n_cells, n_states), np.float32)
    for r in range(replicates):
        perturbed[r] = _normalised(drawn[r])
        slipped_off = perturbed[r].sum(axis=1) == 0
        perturbed[r, slipped_off] = mean[slipped_off]
    return EvidenceMap(
        probabilities=mean,
        weight=best,
        hidden=covered & (best == 0),
        replicates=perturbed,
        model_share=_ratio(by_model, trust),
    )


def _normalised(shares: NDArray[np.float64]) -> FloatMap:
    return _ratio(shares, shares.sum(axis=1, keepdims=True))


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> FloatMap:
    """`part` of `whole`, 0 where there is nothing."""
    ratio = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    return ratio.astype(np.float32)
