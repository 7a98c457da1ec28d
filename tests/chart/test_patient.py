"""The patient's data: what is accepted, and what is refused in words."""

from dataclasses import replace

import pytest

from bsa_vision.chart.patient import Patient, patient_problem

GOOD = Patient("TEN-012", "female", 44, 165, 62)


def test_a_patient_in_range_has_no_problem() -> None:
    assert patient_problem(GOOD) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sex", "unknown"),
        ("age_years", -1),
        ("height_cm", 1.65),
        ("height_cm", float("nan")),
        ("weight_kg", 600),
    ],
)
def test_values_out_of_range_say_needed_and_got(name: str, value: float | str) -> None:
    refused = patient_problem(replace(GOOD, **{name: value}))
    assert refused is not None
    assert refused.code == f"patient_{name}"
    assert "needs to be" in refused.reason
    assert "got" in refused.reason


@pytest.mark.parametrize("identifier", ["Jane Doe", "P_1980-02-03", "03.02.1980", "", "x" * 41])
def test_names_and_dates_are_no_pseudonyms(identifier: str) -> None:
    problem = patient_problem(Patient(identifier, "female", 44, 165, 62))
    assert problem is not None
    assert problem.code == "patient_identifier"
