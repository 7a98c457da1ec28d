"""What the measures take in (cells with evidence, visit by visit) and the numbers they give."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from bsa_vision.core.frames import frozen
from bsa_vision.core.labels import COUNTED, SKIN_STATES

N_STATES = len(SKIN_STATES)
STATE_NAMES = tuple(state.name.lower() for state in SKIN_STATES)
#: Columns of the states that counted BSA adds up.
COUNTED_COLUMNS = tuple(SKIN_STATES.index(state) for state in COUNTED)
UNAFFECTED_COLUMN = STATE_NAMES.index("unaffected")
ERYTHEMA_COLUMN = STATE_NAMES.index("erythema")
DETACHED_COLUMN = STATE_NAMES.index("detached")
REEPITHELIALISED_COLUMN = STATE_NAMES.index("reepithelialised")
SIDE_NAMES = {-1: "right", 0: "", 1: "left"}

Floats = NDArray[np.float64]


class CellEvidence(Protocol):
    """The fused evidence of one visit; `chart.fuse.EvidenceMap` is one.

    `probabilities` (n_cells, 5) follow `SKIN_STATES`: rows sum to 1 where the cell was assessed
    and are 0 elsewhere; `weight` (n_cells,) is 0 where the cell was not assessed; `hidden`
    (n_cells,) marks cells seen only as not assessable (dressing, device, glare); `replicates`
    (R, n_cells, 5) are the probabilities under R perturbed placements of the photos (R = 0:
    placement is taken as exact); `model_share` (n_cells,) is the share of a cell's evidence that
    comes from a network's masks (0: people drew them, or not assessed).
    """

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """See the class."""
        ...

    @property
    def weight(self) -> NDArray[np.float32]:
        """See the class."""
        ...

    @property
    def hidden(self) -> NDArray[np.bool_]:
        """See the class."""
        ...

    @property
    def replicates(self) -> NDArray[np.float32]:
        """See the class."""
        ...

    @property
    def model_share(self) -> NDArray[np.float32]:
        """See the class."""
        ...


@dataclass(frozen=True)
class RegionSide:
    """A row of the body chart: a region's name and its side.

    The side is ``"left"`` or ``"right"``, and empty when the region is not paired.
    """

    region: str
    side: str


@dataclass(frozen=True)
class ChartFacts:
    """What the measures need to know of the body chart.

    Attributes
    ----------
    weights : (n_cells,) percent of BSA of each cell; sums to 100.
    areas_cm2 : (n_cells,) area of each cell on this patient's body.
    row : (n_cells,) index into `rows`.
    rows : the region and side of each row of the chart.
    edges : (m, 2) pairs of cells that share an edge, each pair once.
    """

    weights: Floats
    areas_cm2: Floats
    row: NDArray[np.intp]
    rows: tuple[RegionSide, ...]
    edges: NDArray[np.intp]

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", frozen(self.weights, np.float64))
        object.__setattr__(self, "areas_cm2", frozen(self.areas_cm2, np.float64))
        object.__setattr__(self, "row", frozen(self.row, np.intp))
        object.__setattr__(self, "edges", frozen(self.edges, np.intp).reshape(-1, 2))
        n = self.weights.shape[0]
        if self.weights.ndim != 1 or self.areas_cm2.shape != (n,) or self.row.shape != (n,):
            msg = f"ChartFacts: need one weight, area and row for each of {n} cells"
            raise ValueError(msg)
        if abs(float(self.weights.sum()) - 100.0) > 1e-6:
            msg = f"ChartFacts: need weights that sum to 100, got {self.weights.sum()!r}"
            raise ValueError(msg)
        if self.row.size and int(self.row.max()) >= len(self.rows):
            msg = f"ChartFacts: need rows below {len(self.rows)}, got {self.row.max()}"
            raise ValueError(msg)

    @property
    def n_cells(self) -> int:
        """Number of cells."""
        return int(self.weights.shape[0])

    @classmethod
    def from_cells(
        cls,
        weights: Floats,
        areas_cm2: Floats,
        *,
        region: NDArray[np.integer],
        side: NDArray[np.integer],
        region_names: Sequence[str],
        edges: NDArray[np.integer],
    ) -> "ChartFacts":
        """Facts from per-cell region and side codes.

        Parameters
        ----------
        weights, areas_cm2 : (n_cells,) percent of BSA and cm2.
        region : (n_cells,) index into `region_names`.
        side : (n_cells,) -1 right, 0 not paired, 1 left.
        region_names : name of each region.
        edges : (m, 2) adjacent cells.
        """
        codes = np.asarray(region, dtype=np.int64) * 3 + np.asarray(side, dtype=np.int64) + 1
        present, row = np.unique(codes, return_inverse=True)
        rows = tuple(
            RegionSide(region_names[int(code) // 3], SIDE_NAMES[int(code) % 3 - 1])
            for code in present
        )
        return cls(weights, areas_cm2, row, rows, np.asarray(edges, dtype=np.intp))

    def row_sums(self, values: NDArray[np.floating]) -> Floats:
        """Sums over the cells of each chart row: (n_cells, ...) -> (n_rows, ...)."""
        flat = np.asarray(values, dtype=np.float64).reshape(self.n_cells, -1)
        sums = np.column_stack(
            [
                np.bincount(self.row, weights=flat[:, k], minlength=len(self.rows))
                for k in range(flat.shape[1])
            ]
        )
        return sums.reshape((len(self.rows), *values.shape[1:]))


@dataclass(frozen=True)
class CellHistory:
    """What the visits before one know of every cell; see `measures.history`.

    Attributes
    ----------
    lost : (n_cells,) share that was counted on one of them, 0 where that was not most of the cell.
    bare : (n_cells,) most of the cell was detached on one of them.
    intact : (n_cells,) seen of late, and never affected.
    """

    lost: NDArray[np.float32]
    bare: NDArray[np.bool_]
    intact: NDArray[np.bool_]


@dataclass(frozen=True)
class VisitEvidence:
    """One visit's input to the measures.

    Attributes
    ----------
    day : days from D0, the infusion.
    evidence : the fused cells of the visit.
    history : what earlier visits know, where `evidence` was read in its light.
    inferred : (n_cells,) share that passed to re-epithelialised therefore; negative where it passed
        from there to unaffected.
    """

    day: int
    evidence: CellEvidence
    history: CellHistory | None = None
    inferred: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        n = self.evidence.weight.shape[0]
        if self.evidence.probabilities.shape != (n, N_STATES):
            msg = f"VisitEvidence: need ({n}, {N_STATES}), got {self.evidence.probabilities.shape}"
            raise ValueError(msg)
        replicates = self.evidence.replicates.shape
        if replicates[1:] != (n, N_STATES):
            msg = f"VisitEvidence: need replicates (R, {n}, {N_STATES}), got {replicates}"
            raise ValueError(msg)
        share = self.evidence.model_share
        if share.shape != (n,) or not ((share >= 0) & (share <= 1)).all():
            msg = f"VisitEvidence: need a model share in 0..1 for each of {n} cells"
            raise ValueError(msg)

    @property
    def model_share(self) -> float:
        """Share of all evidence that comes from a network's masks, 0..1."""
        weight = self.evidence.weight
        total = float(weight.sum())
        return float(weight @ self.evidence.model_share) / total if total > 0 else 0.0


@dataclass(frozen=True)
class Estimate:
    """A percentage with its interval; when it cannot be given, all None and a reason."""

    percent: float | None
    low: float | None
    high: float | None
    reason: str | None = None

    @classmethod
    def missing(cls, reason: str) -> "Estimate":
        """No number, and why."""
        return cls(None, None, None, reason)
