import numpy as np
import pytest
import trimesh

from bsa_vision.chart.anny_model import BodyModel
from bsa_vision.chart.patient import Patient, patient_problem
from bsa_vision.phantom.patient import BODY_DENSITY, mass_kg, random_patient


@pytest.mark.parametrize("seed", range(5))
def test_height_and_weight_are_those_of_the_mesh(seed):
    patient = random_patient(seed)
    model = BodyModel.load()
    mesh = trimesh.Trimesh(patient.rest.vertices, model.faces, process=False)
    assert patient.height_cm == pytest.approx(100 * np.ptp(mesh.vertices[:, 2]))
    assert patient.weight_kg == pytest.approx(mesh.volume * BODY_DENSITY, rel=1e-6)
    assert mass_kg(model, 2 * patient.rest.vertices) == pytest.approx(8 * patient.weight_kg)


def test_patients_are_people():
    patients = [random_patient(seed) for seed in range(40)]
    heights = [p.height_cm for p in patients]
    index = [p.weight_kg / (p.height_cm / 100) ** 2 for p in patients]
    assert {p.sex for p in patients} == {"female", "male"}
    assert all(18 <= p.age_years <= 80 for p in patients)
    assert 140 < min(heights) < max(heights) < 205
    # Underweight to obese class II; the spread shows that fatness is drawn.
    assert 14 < min(index) < 21
    assert 27 < max(index) < 40


def test_the_same_seed_is_the_same_person():
    one, two = random_patient(7), random_patient(7)
    assert one.patient_id == "PH-0007"
    np.testing.assert_array_equal(one.rest.vertices, two.rest.vertices)


@pytest.mark.parametrize("seed", [0, 2026112, 9_999_999])
def test_the_pseudonym_is_one_that_the_chart_takes(seed):
    made = random_patient(seed)
    patient = Patient(made.patient_id, made.sex, made.age_years, made.height_cm, made.weight_kg)
    assert patient_problem(patient) is None


def test_children_can_be_drawn():
    ages = [random_patient(seed, adult=False).age_years for seed in range(40)]
    assert min(ages) < 18
