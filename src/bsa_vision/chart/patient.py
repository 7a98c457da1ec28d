"""Who the body is solved for: a pseudonym, sex, age, height and weight."""

import math
import re
from dataclasses import dataclass
from typing import Literal

from bsa_vision.core.errors import Refused

Sex = Literal["female", "male"]

AGE_RANGE_YEARS = (0.0, 110.0)
HEIGHT_RANGE_CM = (30.0, 230.0)
WEIGHT_RANGE_KG = (1.0, 250.0)

_PSEUDONYM = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
_DATE = re.compile(r"(19|20)\d\d[._-]?(0[1-9]|1[0-2])[._-]?\d\d|\d\d[._-]\d\d[._-](19|20)\d\d")


@dataclass(frozen=True)
class Patient:
    """A patient as the chart needs one.

    Attributes
    ----------
    id : a pseudonym, never a name or a date of birth.
    sex : ``"female"`` or ``"male"``.
    age_years, height_cm, weight_kg : at the first visit.
    """

    id: str
    sex: Sex
    age_years: float
    height_cm: float
    weight_kg: float


def patient_problem(patient: Patient) -> Refused | None:
    """What is wrong with a patient's data, in words; None when all is in range."""
    if not _PSEUDONYM.fullmatch(patient.id) or _DATE.search(patient.id):
        return Refused(
            "patient_identifier",
            "The patient's id needs to be a pseudonym of letters, digits, '.', '_' and '-', "
            "at most 40 long, without a date or a name.",
            "Give a study code such as TEN-012.",
        )
    if patient.sex not in ("female", "male"):
        return _refused("sex", "'female' or 'male'", repr(patient.sex))
    for name, (low, high) in (
        ("age_years", AGE_RANGE_YEARS),
        ("height_cm", HEIGHT_RANGE_CM),
        ("weight_kg", WEIGHT_RANGE_KG),
    ):
        value = getattr(patient, name)
        if not (math.isfinite(value) and low <= value <= high):
            return _refused(name, f"{low:g} to {high:g}", f"{value:g}")
    return None


def _refused(name: str, needed: str, got: str) -> Refused:
    return Refused(
        f"patient_{name}",
        f"The patient's {name} needs to be {needed}, got {got}.",
        "Correct the patient's data in the series.",
    )
