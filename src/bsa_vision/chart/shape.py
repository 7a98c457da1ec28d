"""The patient's shape: Anny solved for sex, age, height and weight.

Two scalars are solved: Anny's height parameter and a fatness that drives, in this order, Anny's
weight axis and then local changes of fat and girth (the weight axis alone stops near a BMI of 23 in
adults). Mass is the volume at 980 kg/m3, height the vertical extent of the body at rest, both as
``anny.Anthropometry`` defines them.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bsa_vision.chart.anny_model import BodyModel, RestBody
from bsa_vision.chart.patient import Patient, Sex, patient_problem
from bsa_vision.core.errors import Refused
from bsa_vision.core.frames import FloatArray

DENSITY_KG_M3 = 980.0
HEIGHT_TOLERANCE_CM = 0.05
MASS_TOLERANCE_KG = 0.05  # and a thousandth of the mass, for infants

#: Years -> Anny's age axis: the mapping that Anny's authors calibrated on WHO growth data
#: (``SimpleShapeDistribution``), anchors of Anny's ``data/shape_calibration``.
_YEARS = (0.0, 1.0, 4.0, 11.0, 16.0, 18.0, 64.0, 110.0)
_AGE_AXIS = (0.0, 0.05, 0.215, 0.415, 0.67, 0.77, 0.83, 1.0)

#: Height of the body on which one unit of a local change was judged, metres; Anny's local changes
#: are displacements in metres, so a smaller body takes proportionally less of them.
_JUDGED_AT_M = 1.7
#: Fatness at which the local changes set in, before the weight axis (-0.5..0.5) is used up.
_LOCAL_ONSET = 0.2
FATNESS_RANGE = (-4.0, 6.0)
_MOST_TRIALS = 60

#: Anny's local changes are drawn for -1..1; beyond, only changes of scale stay believable.
_DRAWN_LIMIT = 1.0

#: Growth of each local change per unit of fatness, (female, male); ``*`` stands for l and r.
_FATTER: dict[str, tuple[float, float]] = {
    "torso-scale-horiz-incr": (0.35, 0.40),
    "torso-scale-depth-incr": (0.40, 0.45),
    "hip-scale-horiz-incr": (0.45, 0.35),
    "hip-scale-depth-incr": (0.50, 0.45),
    "stomach-pregnant-incr": (0.35, 0.45),
    "measure-waist-circ-incr": (0.60, 0.65),
    "measure-hips-circ-incr": (0.45, 0.35),
    "measure-bust-circ-incr": (0.25, 0.25),
    "measure-underbust-circ-incr": (0.35, 0.35),
    "buttocks-volume-incr": (0.30, 0.25),
    "*-upperleg-fat-incr": (0.50, 0.40),
    "*-upperleg-scale-horiz-incr": (0.30, 0.25),
    "*-upperleg-scale-depth-incr": (0.40, 0.35),
    "*-lowerleg-fat-incr": (0.40, 0.35),
    "*-lowerleg-scale-horiz-incr": (0.45, 0.40),
    "*-lowerleg-scale-depth-incr": (0.35, 0.30),
    "*-upperarm-fat-incr": (0.60, 0.50),
    "*-upperarm-scale-depth-incr": (0.40, 0.35),
    "*-lowerarm-fat-incr": (0.30, 0.30),
    "*-lowerarm-scale-depth-incr": (0.30, 0.30),
    "measure-thigh-circ-incr": (0.30, 0.25),
    "measure-knee-circ-incr": (0.40, 0.35),
    "measure-calf-circ-incr": (0.20, 0.20),
    "measure-ankle-circ-incr": (0.25, 0.20),
    "measure-upperarm-circ-incr": (0.30, 0.30),
    "measure-wrist-circ-incr": (0.20, 0.20),
    "measure-neck-circ-incr": (0.50, 0.60),
    "neck-double-incr": (0.40, 0.45),
    "neck-scale-depth-incr": (0.30, 0.40),
    "head-fat-incr": (0.50, 0.55),
}
#: The same per unit of leanness; taken with a negative sign.
_THINNER: dict[str, tuple[float, float]] = {
    "torso-scale-horiz-incr": (0.50, 0.50),
    "torso-scale-depth-incr": (0.60, 0.65),
    "hip-scale-horiz-incr": (0.50, 0.50),
    "hip-scale-depth-incr": (0.55, 0.55),
    "measure-waist-circ-incr": (0.30, 0.30),
    "measure-hips-circ-incr": (0.40, 0.40),
    "measure-bust-circ-incr": (0.35, 0.35),
    "measure-underbust-circ-incr": (0.35, 0.35),
    "buttocks-volume-incr": (0.40, 0.40),
    "*-upperleg-fat-incr": (0.40, 0.40),
    "*-upperleg-scale-horiz-incr": (0.50, 0.50),
    "*-upperleg-scale-depth-incr": (0.60, 0.60),
    "*-lowerleg-fat-incr": (0.50, 0.50),
    "*-lowerleg-scale-horiz-incr": (0.35, 0.35),
    "*-lowerleg-scale-depth-incr": (0.40, 0.40),
    "*-upperarm-fat-incr": (0.50, 0.50),
    "*-upperarm-scale-depth-incr": (0.40, 0.40),
    "*-lowerarm-fat-incr": (0.50, 0.50),
    "*-lowerarm-scale-depth-incr": (0.35, 0.35),
    "measure-thigh-circ-incr": (0.35, 0.35),
    "measure-knee-circ-incr": (0.25, 0.25),
    "measure-calf-circ-incr": (0.25, 0.25),
    "measure-ankle-circ-incr": (0.15, 0.15),
    "measure-upperarm-circ-incr": (0.30, 0.30),
    "measure-wrist-circ-incr": (0.25, 0.25),
    "measure-neck-circ-incr": (0.50, 0.50),
    "head-fat-incr": (0.80, 0.80),
}


def body_height_cm(vertices: FloatArray) -> float:
    """Vertical extent of a body at rest, vertices (13718, 3) in metres."""
    return float(np.ptp(vertices[:, 2])) * 100


def body_mass_kg(vertices: FloatArray) -> float:
    """Volume enclosed by the faces (divergence theorem) at 980 kg/m3."""
    corners = vertices[BodyModel.load().faces]
    cross = np.cross(corners[:, 0], corners[:, 1])
    return abs(float(np.einsum("fc,fc->", cross, corners[:, 2]))) / 6 * DENSITY_KG_M3


def age_axis(age_years: float) -> float:
    """Anny's age parameter for an age in years."""
    return float(np.interp(age_years, _YEARS, _AGE_AXIS))


@dataclass(frozen=True)
class Shape:
    """A body of the model and its measures.

    Attributes
    ----------
    phenotype, local_changes : shape parameters; ``BodyModel.rest`` of them is `rest`.
    rest : vertices and joint centres, metres.
    height_cm, mass_kg : of this body.
    """

    phenotype: Mapping[str, float]
    local_changes: Mapping[str, float]
    rest: RestBody
    height_cm: float
    mass_kg: float


def solve_shape(patient: Patient) -> Shape | Refused:
    """The shape of a patient, within 0.05 cm and 0.05 kg (0.1 % in infants); deterministic.

    Returns
    -------
    Refused when a value is out of range or no body has this sex, age, height and weight together;
    the reason names the heights, or the weights at this height, that are possible.
    """
    problem = patient_problem(patient)
    if problem is not None:
        return problem
    shortest, tallest = (_tried(patient, stature, 0.0).height_cm for stature in (0.0, 1.0))
    if not shortest <= patient.height_cm <= tallest:
        return Refused(
            "body_height",
            f"A {patient.sex} body of {patient.age_years:g} years needs a height of "
            f"{shortest:.0f} to {tallest:.0f} cm, got {patient.height_cm:g} cm.",
            "Check the age and the height.",
        )
    return _solved(patient, shortest, tallest)


def _parameters(
    patient: Patient, stature: float, fatness: float
) -> tuple[dict[str, float], dict[str, float]]:
    """Phenotype and local changes of a stature (Anny's height axis) and a fatness."""
    phenotype = {
        "gender": 1.0 if patient.sex == "female" else 0.0,
        "age": age_axis(patient.age_years),
        "height": stature,
        "weight": min(max(0.5 + fatness, 0.0), 1.0),
        "muscle": 0.5 + 0.25 * min(max(fatness, -1.0), 0.0),
        "proportions": 0.5,
    }
    excess = abs(fatness) - _LOCAL_ONSET
    if excess <= 0:
        return phenotype, {}
    amounts, sign = (_FATTER, 1.0) if fatness > 0 else (_THINNER, -1.0)
    scale = sign * patient.height_cm / (100 * _JUDGED_AT_M)
    changes = _by_side(amounts, patient.sex, excess)
    return phenotype, {name: scale * amount for name, amount in changes.items()}


def _by_side(
    amounts: Mapping[str, tuple[float, float]], sex: Sex, excess: float
) -> dict[str, float]:
    """Local changes of one sex at an excess of fatness, ``*`` written out for both sides."""
    column = 0 if sex == "female" else 1
    changes: dict[str, float] = {}
    for name, pair in amounts.items():
        amount = pair[column] * excess
        if "-scale-" not in name:
            amount = _DRAWN_LIMIT * math.tanh(amount / _DRAWN_LIMIT)
        for side in "lr":
            changes[name.replace("*", side, 1)] = amount
    return changes


def _tried(patient: Patient, stature: float, fatness: float) -> Shape:
    """The body of a stature and fatness, measured."""
    phenotype, local_changes = _parameters(patient, stature, fatness)
    rest = BodyModel.load().rest(phenotype, local_changes)
    height_cm, mass_kg = body_height_cm(rest.vertices), body_mass_kg(rest.vertices)
    return Shape(phenotype, local_changes, rest, height_cm, mass_kg)


@dataclass
class _MassSearch:
    """Fatness at which the mass is right: steps outward until bracketed, then Illinois steps."""

    fatness: float = 0.0
    _step: float = 0.5
    _below: tuple[float, float] | None = None  # fatness and kg missing, negative
    _above: tuple[float, float] | None = None
    _last_was_above: bool | None = None

    def advance(self, off_kg: float) -> bool:
        """Move on from a trial that was off by `off_kg`; False when the range is used up."""
        above = off_kg > 0
        repeated = above == self._last_was_above
        self._last_was_above = above
        if above:
            self._above = (self.fatness, off_kg)
            if repeated and self._below is not None:
                self._below = (self._below[0], self._below[1] / 2)
        else:
            self._below = (self.fatness, off_kg)
            if repeated and self._above is not None:
                self._above = (self._above[0], self._above[1] / 2)
        if self._below is not None and self._above is not None:
            (low, missing), (high, excess) = self._below, self._above
            self.fatness = (low * excess - high * missing) / (excess - missing)
            return True
        if self.fatness in FATNESS_RANGE:
            return False
        thinnest, fattest = FATNESS_RANGE
        self.fatness += -self._step if above else self._step
        self.fatness = min(max(self.fatness, thinnest), fattest)
        self._step *= 2
        return True


def _solved(patient: Patient, shortest_cm: float, tallest_cm: float) -> Shape | Refused:
    """The body with the patient's height and mass.

    Height is linear in the stature parameter and almost untouched by fatness, so that one
    correction per step keeps it.
    """
    cm_per_stature = tallest_cm - shortest_cm
    stature = (patient.height_cm - shortest_cm) / cm_per_stature
    tolerance_kg = min(MASS_TOLERANCE_KG, patient.weight_kg / 1000)
    search = _MassSearch()
    for _ in range(_MOST_TRIALS):
        trial = _tried(patient, stature, search.fatness)
        off_cm = trial.height_cm - patient.height_cm
        off_kg = trial.mass_kg - patient.weight_kg
        if abs(off_cm) < HEIGHT_TOLERANCE_CM and abs(off_kg) < tolerance_kg:
            return trial
        stature = min(max(stature - off_cm / cm_per_stature, 0.0), 1.0)
        if not search.advance(off_kg):
            break
    return _no_such_weight(patient, stature)


def _no_such_weight(patient: Patient, stature: float) -> Refused:
    """Which weights are possible at this height."""
    lightest, heaviest = (_tried(patient, stature, f).mass_kg for f in FATNESS_RANGE)
    return Refused(
        "body_weight",
        f"A {patient.sex} body of {patient.age_years:g} years and {patient.height_cm:g} cm needs a "
        f"weight of {lightest:.0f} to {heaviest:.0f} kg, got {patient.weight_kg:g} kg.",
        "Check the height and the weight.",
    )
