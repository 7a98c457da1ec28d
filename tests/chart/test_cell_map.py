from dataclasses import replace

import numpy as np
import pytest
from tests.chart.scenes import FOCAL, SIZE, body_of, scene

from bsa_vision.chart.cell_map import REACH_MM, cell_of_pixel
from bsa_vision.chart.cells import load_cells
from bsa_vision.chart.gather import PhotoEvidence, gather, see_cells
from bsa_vision.chart.register import Placement, register
from bsa_vision.core.labels import Label


@pytest.fixture(scope="module")
def evidence() -> PhotoEvidence:
    placement = register(body_of().rest, scene(body_of(), 0.0).points, SIZE, focal_px=FOCAL)
    assert isinstance(placement, Placement)
    seen = see_cells(placement, load_cells(), 1, np.random.default_rng(0))
    skin = np.full((SIZE[1] // 4, SIZE[0] // 4), Label.UNAFFECTED, np.uint8)
    found = gather(seen, skin, None, SIZE)
    assert isinstance(found, PhotoEvidence)
    return found


@pytest.mark.parametrize("shrunk", [1, 2])
def test_the_pixel_in_the_middle_of_a_cell_shows_it(evidence, shrunk):
    shown = cell_of_pixel(evidence, (SIZE[1] // shrunk, SIZE[0] // shrunk), SIZE)
    x, y = np.rint((evidence.at + 0.5) / shrunk - 0.5).astype(int).T
    inside = (x < shown.shape[1]) & (y < shown.shape[0])
    # Small cells, of fingers and of the face, can share a pixel.
    alone = np.unique(np.stack([x, y]), axis=1, return_index=True, return_counts=True)
    single = alone[1][alone[2] == 1]
    single = single[inside[single]]
    assert single.size > 0.5 * inside.sum()
    np.testing.assert_array_equal(shown[y[single], x[single]], evidence.cells[single])


def test_pixels_beside_the_body_show_no_cell(evidence):
    shown = cell_of_pixel(evidence, SIZE[::-1], SIZE)
    y, x = np.nonzero(shown >= 0)
    reach = REACH_MM / np.median(evidence.mm_per_px)
    assert x.min() >= evidence.at[:, 0].min() - reach - 1
    assert y.max() <= evidence.at[:, 1].max() + reach + 1
    assert (shown[:, 0] == -1).all()


def test_a_photo_that_shows_no_cell_has_none(evidence):
    empty = replace(
        evidence, cells=evidence.cells[:0], at=evidence.at[:0], mm_per_px=evidence.mm_per_px[:0]
    )
    assert (cell_of_pixel(empty, (30, 40), SIZE) == -1).all()
