"""Lund-Browder regions and what percent of the skin each cell stands for.

Source of the table: US Joint Trauma System burn worksheets, 2025. Every column sums to 100; two
misprints in circulation (a hand of 3, a ten-year-old's thigh of 9) would break that.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from bsa_vision.chart.body import Body
from bsa_vision.chart.cells import Cells, load_cells
from bsa_vision.core.frames import FloatArray

Weighting = Literal["lund-browder", "personal"]


@dataclass(frozen=True)
class Region:
    """One row of the table.

    Attributes
    ----------
    name : in files, such as ``"upper_arm"``.
    paired : whether there is one on each side.
    percents : percent of BSA (each side where paired) in the age bands of `AGE_BANDS`.
    """

    name: str
    paired: bool
    percents: tuple[float, ...]


#: Lower bounds in years of the table's columns: <1, 1-<5, 5-<10, 10-<15, 15-<16, >=16.
AGE_BANDS = (0.0, 1.0, 5.0, 10.0, 15.0, 16.0)

#: The order is that of ``Cells.region``.
REGIONS = (
    Region("head", False, (19, 17, 13, 11, 9, 7)),
    Region("neck", False, (2, 2, 2, 2, 2, 2)),
    Region("anterior_trunk", False, (13, 13, 13, 13, 13, 13)),
    Region("posterior_trunk", False, (13, 13, 13, 13, 13, 13)),
    Region("buttock", True, (2.5, 2.5, 2.5, 2.5, 2.5, 2.5)),
    Region("genitalia", False, (1, 1, 1, 1, 1, 1)),
    Region("upper_arm", True, (4, 4, 4, 4, 4, 4)),
    Region("forearm", True, (3, 3, 3, 3, 3, 3)),
    Region("hand", True, (2.5, 2.5, 2.5, 2.5, 2.5, 2.5)),
    Region("thigh", True, (5.5, 6.5, 8, 8.5, 9, 9.5)),
    Region("lower_leg", True, (5, 5, 5.5, 6, 6.5, 7)),
    Region("foot", True, (3.5, 3.5, 3.5, 3.5, 3.5, 3.5)),
)
REGION_NAMES = tuple(region.name for region in REGIONS)

_SIDE_SUFFIX = {-1: "_right", 0: "", 1: "_left"}


def _keyed() -> tuple[tuple[str, int, int], ...]:
    return tuple(
        (region.name + _SIDE_SUFFIX[side], index, side)
        for index, region in enumerate(REGIONS)
        for side in ((1, -1) if region.paired else (0,))
    )


#: Every region with its side: (key such as ``"thigh_left"``, index into `REGIONS`, side).
SIDED_REGIONS = _keyed()
SIDED_NAMES = tuple(key for key, _, _ in SIDED_REGIONS)


def region_percents(age_years: float) -> dict[str, float]:
    """Percent of BSA of every sided region (keys of `SIDED_NAMES`) at an age; sums to 100."""
    if not age_years >= 0:
        msg = f"age must be >= 0 years, got {age_years}"
        raise ValueError(msg)
    band = sum(age_years >= lower for lower in AGE_BANDS) - 1
    return {key: float(REGIONS[index].percents[band]) for key, index, _ in SIDED_REGIONS}


def sided_region(cells: Cells) -> np.ndarray:
    """Index (n,) into `SIDED_NAMES` of each cell."""
    lookup = np.full((len(REGIONS), 3), -1)
    for position, (_, index, side) in enumerate(SIDED_REGIONS):
        lookup[index, side + 1] = position
    return lookup[cells.region, cells.side.astype(np.intp) + 1]


def cell_weights(body: Body, weighting: Weighting) -> FloatArray:
    """Percent of BSA (n,) that each cell of a body stands for; sums to 100.

    ``"lund-browder"`` gives each region the table's percentage for the patient's age, spread over
    its cells by area; ``"personal"`` is the cell's share of this body's skin area.
    """
    areas = body.cell_areas_cm2
    if weighting == "personal":
        shares: FloatArray = areas * (100.0 / areas.sum())
        return shares
    if weighting != "lund-browder":
        msg = f"weighting must be 'lund-browder' or 'personal', got {weighting!r}"
        raise ValueError(msg)
    region = sided_region(load_cells())
    percents = region_percents(body.patient.age_years)
    wanted = np.array([percents[key] for key in SIDED_NAMES])
    totals = np.bincount(region, areas, minlength=len(SIDED_NAMES))
    weights: FloatArray = areas * (wanted / totals)[region]
    return weights
