"""A small stand-in for the body: a triangulated closed tube with regions along it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest

from bsa_vision.chart.fuse import EvidenceMap
from bsa_vision.measures.records import ChartFacts

#: Regions along the tube from its top; the middle one is a pair, split by side.
REGION_NAMES = ("head", "trunk", "thigh", "lower leg")
PAIRED = np.array([False, False, True, True])


@dataclass(frozen=True)
class Tube:
    """Cells of a tube, their centres (x round the tube, y along it, cm) and mirror cells."""

    chart: ChartFacts
    centres: np.ndarray
    mirror: np.ndarray


def make_tube(around: int, along: int, cell_cm2: float = 1.0, *, mirrored: bool = True) -> Tube:
    """A tube of `around` x `along` squares, each halved into two triangles.

    When `mirrored`, the diagonals flip at half the circumference, so that the mirror image of the
    tube falls on its own cells; otherwise all columns are alike.
    """
    column, row, half = (
        grid.ravel()
        for grid in np.meshgrid(np.arange(around), np.arange(along), [0, 1], indexing="ij")
    )
    index = (column * along + row) * 2 + half
    left = column < around // 2
    falling = left if mirrored else np.ones_like(left)
    # half 0 is the upper triangle; which upright edge it holds depends on the side.
    upright = np.where((half == 0) == falling, column - 1, column + 1) % around
    flips = mirrored & (upright // (around // 2) != column // (around // 2))
    sideways_half = np.where(flips, half, 1 - half)
    across = (upright * along + row) * 2 + sideways_half
    level = np.where(half == 0, row - 1, row + 1)
    valid = (level >= 0) & (level < along)
    up_down = (column * along + np.clip(level, 0, along - 1)) * 2 + (1 - half)
    pairs = np.concatenate(
        [
            np.column_stack([index, index ^ 1]),
            np.column_stack([index, across]),
            np.column_stack([index, up_down])[valid],
        ]
    )
    edges = np.unique(np.sort(pairs, axis=1), axis=0)
    edges = edges[edges[:, 0] != edges[:, 1]]
    n = len(index)
    region = np.minimum(row * len(REGION_NAMES) // along, len(REGION_NAMES) - 1)
    side = np.where(PAIRED[region], np.where(left, -1, 1), 0)
    chart = ChartFacts.from_cells(
        weights=np.full(n, 100 / n),
        areas_cm2=np.full(n, cell_cm2),
        region=region,
        side=side,
        region_names=REGION_NAMES,
        edges=edges,
    )
    pitch = np.sqrt(2 * cell_cm2)
    centres = np.column_stack([column + 0.5, row + 0.25 + 0.5 * half]) * pitch
    mirror = ((around - 1 - column) * along + row) * 2 + half
    return Tube(chart, centres, mirror)


def evidence_of(
    states: np.ndarray,
    assessed: np.ndarray,
    hidden: np.ndarray | None = None,
    replicates: np.ndarray | None = None,
    model_share: float | np.ndarray = 1.0,
) -> EvidenceMap:
    """Certain evidence: state column of each cell (n,), where assessed."""
    probabilities = np.eye(5, dtype=np.float32)[states] * assessed[:, None]
    nowhere = np.zeros(len(states), dtype=bool)
    return EvidenceMap(
        probabilities.astype(np.float32),
        assessed.astype(np.float32),
        nowhere if hidden is None else hidden & ~assessed,
        np.zeros((0, len(states), 5), dtype=np.float32) if replicates is None else replicates,
        (model_share * assessed).astype(np.float32),
    )


@pytest.fixture(scope="session")
def tube() -> Tube:
    return make_tube(around=24, along=40, cell_cm2=4.0)


@pytest.fixture(scope="session")
def build_tube() -> Callable[..., Tube]:
    return make_tube


@pytest.fixture(scope="session")
def observe() -> Callable[..., EvidenceMap]:
    return evidence_of
