"""The patient's body: the asked height and mass, a believable area, and refusals in words."""

import pickle

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from bsa_vision.chart.anny_model import BodyModel
from bsa_vision.chart.body import Body, solve_body
from bsa_vision.chart.cells import load_cells
from bsa_vision.chart.patient import Patient, Sex
from bsa_vision.chart.shape import (
    DENSITY_KG_M3,
    HEIGHT_TOLERANCE_CM,
    MASS_TOLERANCE_KG,
    age_axis,
    body_mass_kg,
)
from bsa_vision.core.errors import Refused

#: Sex, age, cm, kg: the corners of the adult range, and children from WHO medians and beyond.
CORNERS: tuple[tuple[Sex, float, float, float], ...] = (
    ("female", 44, 145, 40),
    ("female", 44, 145, 130),
    ("female", 44, 200, 40),
    ("female", 44, 200, 130),
    ("male", 44, 145, 130),
    ("male", 44, 200, 40),
    ("male", 75, 172, 70),
    ("female", 0, 50, 3.3),
    ("male", 1, 76, 9.7),
    ("male", 5, 110, 18.4),
    ("female", 5, 105, 28),
    ("female", 10, 138, 32),
    ("male", 17, 175, 50),
)


def solved(sex: Sex, age: float, height_cm: float, weight_kg: float) -> Body:
    body = solve_body(Patient("P-1", sex, age, height_cm, weight_kg))
    assert isinstance(body, Body), str(body)
    return body


@pytest.mark.parametrize(("sex", "age", "height_cm", "weight_kg"), CORNERS)
def test_height_and_mass_are_those_asked(
    sex: Sex, age: float, height_cm: float, weight_kg: float
) -> None:
    body = solved(sex, age, height_cm, weight_kg)
    mesh = trimesh.Trimesh(body.rest.vertices, BodyModel.load().faces, process=False)
    assert 100 * mesh.extents[2] == pytest.approx(height_cm, abs=HEIGHT_TOLERANCE_CM)
    tolerance = min(MASS_TOLERANCE_KG, weight_kg / 1000)
    assert mesh.volume * DENSITY_KG_M3 == pytest.approx(weight_kg, abs=tolerance + 1e-6)
    assert body.height_cm == pytest.approx(height_cm, abs=HEIGHT_TOLERANCE_CM)
    assert body.mass_kg == pytest.approx(mesh.volume * DENSITY_KG_M3, rel=1e-9)


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    sex=st.sampled_from(["female", "male"]),
    age=st.floats(18, 90),
    height_cm=st.floats(145, 200),
    weight_kg=st.floats(40, 130),
)
def test_any_adult_has_a_body(sex: Sex, age: float, height_cm: float, weight_kg: float) -> None:
    body = solved(sex, age, height_cm, weight_kg)
    assert body.height_cm == pytest.approx(height_cm, abs=HEIGHT_TOLERANCE_CM)
    assert body.mass_kg == pytest.approx(weight_kg, abs=MASS_TOLERANCE_KG)


@pytest.mark.parametrize(
    ("sex", "age", "height_cm", "weight_kg"),
    [
        ("female", 0, 50, 3.3),
        ("male", 2, 87, 12),
        ("female", 8, 128, 25),
        ("female", 44, 165, 62),
        ("male", 44, 178, 75),
        ("male", 60, 175, 110),
    ],
)
def test_area_agrees_with_mosteller(
    sex: Sex, age: float, height_cm: float, weight_kg: float
) -> None:
    """Mosteller (1987): BSA in m2 = sqrt(cm kg / 3600); formulas differ by a few percent."""
    mosteller_cm2 = 1e4 * np.sqrt(height_cm * weight_kg / 3600)
    assert solved(sex, age, height_cm, weight_kg).skin_area_cm2 == pytest.approx(
        mosteller_cm2, rel=0.03
    )


def test_the_heavier_of_two_is_wider_everywhere() -> None:
    light, heavy = (solved("female", 50, 165, kg) for kg in (45, 95))
    model = BodyModel.load()
    trunk = np.isin(
        model.skin_bones[np.arange(13718), model.skin_weights.argmax(axis=1)],
        [model.bone_index(b) for b in ("spine03", "spine04", "upperleg02.L", "lowerleg01.L")],
    )
    spans = [body.rest.vertices[trunk] for body in (light, heavy)]
    assert (np.ptp(spans[1], axis=0) > np.ptp(spans[0], axis=0))[:2].all()
    assert heavy.skin_area_cm2 > light.skin_area_cm2


def test_the_parameters_give_the_body_again() -> None:
    body = solved("male", 50, 175, 120)
    again = BodyModel.load().rest(body.phenotype, body.local_changes)
    np.testing.assert_array_equal(again.vertices, body.rest.vertices)
    np.testing.assert_array_equal(load_cells().areas_cm2(body.rest.vertices), body.cell_areas_cm2)


def test_solving_is_deterministic_and_travels_between_processes() -> None:
    one, two = (solved("female", 31, 171, 66) for _ in range(2))
    np.testing.assert_array_equal(one.rest.vertices, two.rest.vertices)
    sent = pickle.loads(pickle.dumps(one))  # noqa: S301 - our own bytes
    np.testing.assert_array_equal(sent.cell_areas_cm2, one.cell_areas_cm2)


def test_left_and_right_weigh_the_same() -> None:
    areas = solved("male", 50, 175, 120).cell_areas_cm2
    # Cells of 0.01 to 1 cm2, positions symmetric to 0.02 mm.
    np.testing.assert_allclose(areas[load_cells().mirror], areas, atol=5e-3)


def test_mass_of_a_scaled_body_grows_with_the_cube() -> None:
    vertices = BodyModel.load().rest({}).vertices
    assert body_mass_kg(1.1 * vertices) == pytest.approx(1.1**3 * body_mass_kg(vertices))


def test_age_axis_is_that_of_anny() -> None:
    assert age_axis(0) == 0
    assert age_axis(11) == pytest.approx(0.415)
    assert age_axis(200) == 1


def test_a_height_out_of_reach_names_the_range() -> None:
    refused = solve_body(Patient("P-1", "male", 5, 190, 60))
    assert isinstance(refused, Refused)
    assert refused.code == "body_height"
    assert "190 cm" in refused.reason


def test_a_weight_out_of_reach_names_the_range() -> None:
    refused = solve_body(Patient("P-1", "female", 40, 150, 250))
    assert isinstance(refused, Refused)
    assert refused.code == "body_weight"
    assert "250 kg" in refused.reason


def test_a_bad_patient_is_refused_before_solving() -> None:
    refused = solve_body(Patient("P-1", "female", 40, 1.65, 60))
    assert isinstance(refused, Refused)
    assert refused.code == "patient_height_cm"
