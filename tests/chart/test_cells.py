"""The cells: a tessellation of the skin, joined up and mirrored exactly."""

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from bsa_vision.chart.anny_model import BodyModel
from bsa_vision.chart.body import Body, solve_body
from bsa_vision.chart.cells import CHART_VERSION, Cells, chart_digest, load_cells
from bsa_vision.chart.patient import Patient, Sex


@pytest.fixture(scope="module")
def cells() -> Cells:
    return load_cells()


@pytest.fixture(scope="module")
def rest() -> np.ndarray:
    return BodyModel.load().rest({"gender": 1.0, "age": 0.8, "weight": 0.7}).vertices


def adult(sex: Sex, height_cm: float, weight_kg: float) -> Body:
    body = solve_body(Patient("P-1", sex, 40, height_cm, weight_kg))
    assert isinstance(body, Body)
    return body


def levels(cells: Cells) -> np.ndarray:
    """How often each face is split, -1 where it has no cells."""
    count = np.bincount(cells.face, minlength=len(BodyModel.load().faces))
    return np.where(count > 0, np.log2(np.maximum(count, 1)) / 2, -1).astype(int)


def test_cells_tile_the_skin_faces(cells: Cells, rest: np.ndarray) -> None:
    model = BodyModel.load()
    assert set(np.unique(cells.face)) == set(np.flatnonzero(model.skin_faces))
    np.testing.assert_array_equal(cells.corners.sum(axis=2), 1)
    corners = np.einsum("nkw,nwc->nkc", cells.corners, rest[model.faces[cells.face]])
    geometric = 0.5e4 * np.linalg.norm(
        np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1
    )
    areas = cells.areas_cm2(rest)
    # float32 shares and barycentrics are exact powers of two; float64 geometry cancels metres.
    np.testing.assert_allclose(areas, geometric, rtol=1e-9, atol=1e-11)
    skin = rest[model.faces[model.skin_faces]]
    total = (
        0.5e4
        * np.linalg.norm(np.cross(skin[:, 1] - skin[:, 0], skin[:, 2] - skin[:, 0]), axis=1).sum()
    )
    assert areas.sum() == pytest.approx(total, rel=1e-12)


def test_centres_lie_in_the_middle_of_the_corners(cells: Cells, rest: np.ndarray) -> None:
    model = BodyModel.load()
    corners = np.einsum("nkw,nwc->nkc", cells.corners, rest[model.faces[cells.face]])
    np.testing.assert_allclose(cells.centres(rest), corners.mean(axis=1), atol=1e-7)


@pytest.mark.parametrize(
    ("sex", "height_cm", "weight_kg"),
    [("female", 165, 62), ("male", 178, 75), ("male", 195, 110)],
)
def test_no_cell_of_an_adult_exceeds_1_cm2(sex: Sex, height_cm: float, weight_kg: float) -> None:
    assert adult(sex, height_cm, weight_kg).cell_areas_cm2.max() <= 1.0


def test_neighbours_are_counted_by_combinatorics(cells: Cells) -> None:
    """Inside a face split L times lie 3 (4^L - 2^L) / 2 shared edges; across an edge between
    faces split L and M times, 2^max(L, M) pieces."""
    level = levels(cells)
    one, other = cells.neighbours.T
    assert (one < other).all()
    assert len(np.unique(cells.neighbours, axis=0)) == len(cells.neighbours)
    within = cells.face[one] == cells.face[other]
    inside = np.bincount(cells.face[one[within]], minlength=len(level))[level >= 0]
    split = level[level >= 0]
    np.testing.assert_array_equal(inside, 3 * (4**split - 2**split) // 2)

    faces = BodyModel.load().faces
    edge = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]], axis=2).reshape(-1, 2)
    owner = np.repeat(np.arange(len(faces)), 3)
    order = np.lexsort(edge.T)
    joined = owner[order].reshape(-1, 2)  # the mesh is closed: each edge has two faces
    joined = np.sort(joined[(level[joined] >= 0).all(axis=1)], axis=1)
    expected = {tuple(pair): 2 ** int(level[pair].max()) for pair in joined}
    pairs = np.sort(np.stack([cells.face[one], cells.face[other]], axis=1)[~within], axis=1)
    found, count = np.unique(pairs, axis=0, return_counts=True)
    assert {tuple(p): int(n) for p, n in zip(found, count, strict=True)} == expected


def test_the_skin_hangs_together(cells: Cells) -> None:
    one, other = cells.neighbours.T
    graph = coo_array((np.ones(len(one)), (one, other)), shape=(len(cells), len(cells)))
    assert connected_components(graph, directed=False)[0] == 1


def test_mirroring_is_exact(cells: Cells, rest: np.ndarray) -> None:
    mirror = cells.mirror
    np.testing.assert_array_equal(mirror[mirror], np.arange(len(cells)))
    np.testing.assert_array_equal(cells.region[mirror], cells.region)
    np.testing.assert_array_equal(cells.front[mirror], cells.front)
    np.testing.assert_array_equal(cells.side[mirror], -cells.side)
    centres = cells.centres(rest)
    # The model is symmetric to the 0.02 mm of its stored shapes.
    np.testing.assert_allclose(centres[mirror], centres * [-1, 1, 1], atol=5e-5)
    ours = {tuple(pair) for pair in cells.neighbours.tolist()}
    assert {tuple(sorted(pair)) for pair in mirror[cells.neighbours].tolist()} == ours


def test_left_is_the_patients_left(cells: Cells, rest: np.ndarray) -> None:
    across = cells.centres(rest)[:, 0]
    assert (across[cells.side == 1] > 0).all()
    assert (across[cells.side == -1] < 0).all()


def test_records_are_read_only(cells: Cells) -> None:
    with pytest.raises(ValueError, match="read-only"):
        cells.region[0] = 3


def test_the_version_names_the_data() -> None:
    assert f"anny-1/{chart_digest()}" == CHART_VERSION
