"""Chart pictures: the right skin in the right colour at the right place, the same every time."""

import io

import numpy as np
import pytest
from PIL import Image

from bsa_vision.chart import draw
from bsa_vision.chart.body import Body, solve_body
from bsa_vision.chart.cells import Cells, load_cells
from bsa_vision.chart.draw import CHART_SIZE, NOT_ASSESSED, NOT_SKIN, chart_png, draw_chart
from bsa_vision.chart.patient import Patient
from bsa_vision.chart.regions import REGION_NAMES
from bsa_vision.core.labels import Label

#: Columns of the picture that each figure keeps to.
FRONT, BACK = slice(12, 492), slice(496, 976)
LEFT, RIGHT = slice(1010, 1300), slice(1310, 1600)


@pytest.fixture(scope="module")
def cells() -> Cells:
    return load_cells()


def painted(cells: Cells, name: str, side: int = 0) -> np.ndarray:
    labels = np.full(len(cells), Label.UNAFFECTED, dtype=np.uint8)
    labels[(cells.region == REGION_NAMES.index(name)) & (cells.side == side)] = Label.DETACHED
    return labels


def red(picture: np.ndarray, columns: slice) -> np.ndarray:
    """Where the figures show detached skin, shaded or not; the legend left out."""
    part = picture[80:800, columns].astype(int)
    return (part[..., 0] > 1.8 * part[..., 1]) & (part[..., 0] > 1.8 * part[..., 2])


def columns_of(mask: np.ndarray) -> np.ndarray:
    return np.flatnonzero(mask.any(axis=0))


def test_size_and_determinism(cells: Cells) -> None:
    labels = painted(cells, "anterior_trunk")
    picture = draw_chart(labels, "Title", "caption")
    assert picture.shape == (CHART_SIZE[1], CHART_SIZE[0], 3)
    assert picture.dtype == np.uint8
    png = chart_png(labels, "Title", "caption")
    assert png == chart_png(labels, "Title", "caption")
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), picture)


def test_left_and_right_are_the_patients(cells: Cells) -> None:
    picture = draw_chart(painted(cells, "thigh", side=1))
    assert columns_of(red(picture, FRONT)).min() > 230  # image right of the middle, 240
    assert columns_of(red(picture, BACK)).max() < 250
    assert red(picture, LEFT).sum() > 20 * red(picture, RIGHT).sum()


def test_front_and_back_show_their_trunks(cells: Cells) -> None:
    chest = draw_chart(painted(cells, "anterior_trunk"))
    assert red(chest, FRONT).sum() > 20 * red(chest, BACK).sum()
    back = draw_chart(painted(cells, "posterior_trunk"))
    assert red(back, BACK).sum() > 20 * red(back, FRONT).sum()


def test_the_drawn_area_is_that_of_the_cells(cells: Cells) -> None:
    """The forearm faces the front view, which shows about a third of a cylinder's skin."""
    body = solve_body(Patient("P-1", "female", 40, 165, 62))
    assert isinstance(body, Body)
    labels = painted(cells, "forearm", side=1)
    skin_cm2 = body.cell_areas_cm2[labels == Label.DETACHED].sum()
    pixel_cm2 = (100 / 402) ** 2  # scripts/make_chart_views.py draws 402 px per metre
    shown = red(draw_chart(labels), FRONT).sum() * pixel_cm2 / skin_cm2
    assert 1 / 4 < shown < 1 / 2  # a cylinder shows 1 / pi of its side


def test_most_skin_is_in_some_view() -> None:
    index = draw._load_views().index
    seen = np.unique(index[index < NOT_SKIN])
    body = solve_body(Patient("P-1", "male", 40, 178, 75))
    assert isinstance(body, Body)
    assert body.cell_areas_cm2[seen].sum() / body.skin_area_cm2 > 0.9


def test_the_front_figure_is_symmetric(cells: Cells) -> None:
    index = draw._load_views().index[:, 24:984].astype(int)  # samples around column 252
    flipped = index[:, ::-1]
    skin = (index < NOT_SKIN) & (flipped < NOT_SKIN)
    near = cells.mirror[flipped[skin]] == index[skin]
    assert near.mean() > 0.9  # samples on the rim of a cell may fall either side


def test_every_state_has_its_own_look(cells: Cells) -> None:
    looks = set()
    for code in (*range(Label.UNAFFECTED, Label.NOT_ASSESSABLE + 1), NOT_ASSESSED):
        picture = draw_chart(np.full(len(cells), code, dtype=np.uint8))
        looks.add(tuple(picture[330:350, 240:260].reshape(-1, 3).mean(axis=0).round().tolist()))
    assert len(looks) == 7


def test_unseen_skin_is_hatched(cells: Cells) -> None:
    patch = draw_chart(np.full(len(cells), NOT_ASSESSED, dtype=np.uint8))[330:350, 240:260, 0]
    assert patch.max() > 200
    assert patch.min() < 190
    plain = draw_chart(np.full(len(cells), Label.UNAFFECTED, dtype=np.uint8))[330:350, 240:260, 0]
    assert np.ptp(plain.astype(int)) < 20


def test_lone_teeth_are_smoothed_but_patches_stay(cells: Cells) -> None:
    labels = np.full(len(cells), Label.UNAFFECTED, dtype=np.uint8)
    chest = np.flatnonzero(cells.region == REGION_NAMES.index("anterior_trunk"))
    labels[chest[len(chest) // 2]] = Label.DETACHED
    lone = red(draw_chart(labels), FRONT).sum()
    whole = red(draw_chart(painted(cells, "anterior_trunk")), FRONT).sum()
    assert lone < 30
    assert whole > 10000


@pytest.mark.parametrize("code", [0, 7, 200])
def test_other_codes_are_bugs(cells: Cells, code: int) -> None:
    with pytest.raises(ValueError, match=str(code)):
        draw_chart(np.full(len(cells), code, dtype=np.uint8))


def test_labels_of_another_length_are_bugs() -> None:
    with pytest.raises(ValueError, match=r"\(10,\)"):
        draw_chart(np.ones(10, dtype=np.uint8))
