"""The patient's data: what is accepted, and what is refused in words."""

import pytest

from bsa_vision.chart.patient import Patient, parse_patient, patient_problem
from bsa_vision.core.errors import Refused

GOOD = {"id": "TEN-012", "sex": "female", "age_years": 44, "height_cm": 165, "weight_kg": 62}


def test_a_document_becomes_a_patient() -> None:
    assert parse_patient(GOOD) == Patient("TEN-012", "female", 44.0, 165.0, 62.0)


@pytest.mark.parametrize("name", sorted(GOOD))
def test_what_is_missing_is_named(name: str) -> None:
    refused = parse_patient({key: value for key, value in GOOD.items() if key != name})
    assert isinstance(refused, Refused)
    assert name in refused.reason


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sex", "unknown"),
        ("age_years", -1),
        ("age_years", "44"),
        ("height_cm", 1.65),
        ("height_cm", float("nan")),
        ("height_cm", True),
        ("weight_kg", 600),
    ],
)
def test_values_out_of_range_say_needed_and_got(name: str, value: object) -> None:
    refused = parse_patient(GOOD | {name: value})
    assert isinstance(refused, Refused)
    assert refused.code == f"patient_{name}"
    assert "needs to be" in refused.reason
    assert "got" in refused.reason


@pytest.mark.parametrize("identifier", ["Jane Doe", "P_1980-02-03", "03.02.1980", "", "x" * 41])
def test_names_and_dates_are_no_pseudonyms(identifier: str) -> None:
    problem = patient_problem(Patient(identifier, "female", 44, 165, 62))
    assert problem is not None
    assert problem.code == "patient_identifier"
