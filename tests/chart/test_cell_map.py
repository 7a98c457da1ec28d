from dataclasses import replace

import numpy as np
import pytest
from tests.chart.scenes import FOCAL, SIZE, body_of, scene

from bsa_vision.chart.cell_map import REACH_MM, cell_of_pixel, knowing_the_body
from bsa_vision.chart.cells import load_cells
from bsa_vision.chart.gather import PhotoEvidence, SeenCells, gather, see_cells
from bsa_vision.chart.regions import REGION_NAMES
from bsa_vision.chart.register import Placement, register
from bsa_vision.core.labels import N_LABELS, Label


@pytest.fixture(scope="module")
def seen() -> SeenCells:
    placement = register(body_of().rest, scene(body_of(), 0.0).points, SIZE, focal_px=FOCAL)
    assert isinstance(placement, Placement)
    return see_cells(placement, load_cells(), 1, np.random.default_rng(0))


@pytest.fixture(scope="module")
def evidence(seen) -> PhotoEvidence:
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


SMALL = (SIZE[1] // 2, SIZE[0] // 2)


def open_picture(**shares: float) -> np.ndarray:
    """The same class probabilities all over, x 255."""
    picture = np.zeros((*SMALL, N_LABELS), np.uint8)
    for name, share in shares.items():
        picture[..., Label[name.upper()]] = round(255 * share)
    return picture


def at_cells(picture: np.ndarray, seen: SeenCells) -> np.ndarray:
    x, y = np.rint((seen.samples[:, 0] + 0.5) / 2 - 0.5).astype(int).T
    return picture[y.clip(0, SMALL[0] - 1), x.clip(0, SMALL[1] - 1)]


def test_pink_skin_is_no_sheet_and_a_pink_sheet_no_skin(seen):
    skin_or_sheet = open_picture(background=0.6, reepithelialised=0.3, unaffected=0.1)
    found = knowing_the_body(skin_or_sheet, seen, SIZE)
    assert (at_cells(found, seen).argmax(axis=1) == Label.REEPITHELIALISED).all()
    sheet_or_skin = open_picture(background=0.3, reepithelialised=0.6, unaffected=0.1)
    beside = knowing_the_body(sheet_or_skin, seen, SIZE)
    assert (beside[:, 0].argmax(axis=1) == Label.BACKGROUND).all()
    assert (at_cells(beside, seen).argmax(axis=1) == Label.REEPITHELIALISED).all()


def test_what_is_surely_a_sheet_stays_one_on_the_body(seen):
    found = knowing_the_body(open_picture(background=0.95, unaffected=0.05), seen, SIZE)
    assert (found.argmax(axis=2) == Label.BACKGROUND).all()


def test_where_the_body_is_says_nothing_of_its_states(seen):
    found = knowing_the_body(
        open_picture(background=0.4, detached=0.4, erythema=0.2), seen, SIZE
    ).astype(float)
    np.testing.assert_allclose(found.sum(axis=2), 255, atol=2)
    ratio = found[..., Label.DETACHED] / found[..., Label.ERYTHEMA]
    np.testing.assert_allclose(at_cells(ratio, seen), 2, atol=0.05)
    np.testing.assert_allclose(ratio, 2, atol=0.2)  # rounded to 255ths


def test_where_the_body_may_lie_elsewhere_it_is_not_said_to_be(seen):
    skin_or_sheet = open_picture(background=0.6, unaffected=0.4)
    doubtful = replace(seen, sd_mm=np.full(len(seen.cells), 40.0))
    found = knowing_the_body(skin_or_sheet, doubtful, SIZE)
    assert (found.argmax(axis=2) == Label.BACKGROUND).all()
    nothing = replace(seen, samples=seen.samples - 1e5)
    assert knowing_the_body(skin_or_sheet, nothing, SIZE) is skin_or_sheet


@pytest.mark.parametrize("limb", ["hand", "lower_leg"])
def test_a_limb_without_landmarks_is_not_taken_for_background(seen, limb):
    """Its cells are unsure, but there."""
    of_limb = load_cells().region[seen.cells] == REGION_NAMES.index(limb)
    assert of_limb.any()
    unsure = replace(seen, sd_mm=np.where(of_limb, 90.0, seen.sd_mm))
    skin = open_picture(background=0.25, unaffected=0.75)
    found = knowing_the_body(skin, unsure, SIZE)
    assert (at_cells(found, seen)[of_limb].argmax(axis=1) == Label.UNAFFECTED).all()
