"""Made-up patients: a body with its measured height and weight, and a skin.

The shape is a random phenotype of the parametric body plus small random local changes, so that
the plain body for the stated sex, age, height and weight does not fit exactly, as with people.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bsa_vision.chart.anny_model import BodyModel, RestBody
from bsa_vision.chart.shape import age_axis
from bsa_vision.core.frames import FloatArray

#: kg per m3; the density with which Anny's own anthropometry turns volume into mass.
BODY_DENSITY = 980.0

#: Local changes that fatten the body, with the amount each takes at fatness 1.
_FAT: Mapping[str, float] = {
    "torso-scale-horiz-incr": 0.4,
    "torso-scale-depth-incr": 0.45,
    "hip-scale-horiz-incr": 0.25,
    "hip-scale-depth-incr": 0.35,
    "stomach-pregnant-incr": 0.25,
    "buttocks-volume-incr": 0.3,
    "head-fat-incr": 0.3,
    "neck-double-incr": 0.3,
    **{f"{side}-upperleg-fat-incr": 0.8 for side in "lr"},
    **{f"{side}-lowerleg-fat-incr": 0.6 for side in "lr"},
    **{f"{side}-upperarm-fat-incr": 0.7 for side in "lr"},
    **{f"{side}-lowerarm-fat-incr": 0.5 for side in "lr"},
}
#: Local changes that make one person unlike the next, with their standard deviation.
_PERSONAL: Mapping[str, float] = {
    "stomach-tone-incr": 0.2,
    "measure-calf-circ-incr": 0.1,
    "measure-thigh-circ-incr": 0.12,
    "measure-upperarm-circ-incr": 0.1,
    "measure-neck-circ-incr": 0.12,
    "measure-shoulder-dist-incr": 0.15,
    "measure-waist-circ-incr": 0.12,
    "measure-hips-circ-incr": 0.1,
    "measure-upperarm-length-incr": 0.12,
    "measure-napetowaist-dist-incr": 0.1,
    "measure-bust-circ-incr": 0.12,
    "upperlegs-height-incr": 0.1,
    "lowerlegs-height-incr": 0.1,
    "torso-muscle-pectoral-incr": 0.15,
    "head-scale-horiz-incr": 0.12,
    "head-scale-depth-incr": 0.1,
    "nose-scale-vert-incr": 0.35,
    "nose-scale-depth-incr": 0.35,
    "chin-width-incr": 0.3,
    "chin-prominent-incr": 0.25,
}
_PERSONAL_PAIRED: Mapping[str, float] = {
    "foot-scale-incr": 0.1,
    "hand-scale-incr": 0.12,
    "cheek-volume-incr": 0.25,
}
#: Height of the body that the local changes above are meant for, metres; they are displacements.
_MEANT_FOR_M = 1.7
#: Median height in cm by age in years: WHO growth standards (2006, 2007); adults as at large.
_HEIGHT_AGES = (1, 2, 3, 5, 8, 11, 14, 16, 18)
_HEIGHTS: Mapping[str, tuple[float, ...]] = {
    "male": (76, 88, 96, 110, 127, 143, 163, 173, 176),
    "female": (74, 86, 95, 109, 127, 145, 160, 162.5, 163),
}
#: Spread of height over people of an age and sex, as a share of it.
_HEIGHT_SPREAD = 0.05
#: Share of people of any build from thin to obese, instead of one near the usual, and their range.
_ANY_BUILD, _BUILDS = 0.35, (-1.3, 4.0)


@dataclass(frozen=True)
class PhantomPatient:
    """A made-up person.

    Attributes
    ----------
    patient_id : pseudonym such as ``"PH-0001"``.
    sex : ``"female"`` or ``"male"``.
    age_years, height_cm, weight_kg : height and weight measured on the mesh.
    phenotype, local_changes : parameters of the body model.
    rest : the body at rest.
    """

    patient_id: str
    sex: str
    age_years: float
    height_cm: float
    weight_kg: float
    phenotype: Mapping[str, float]
    local_changes: Mapping[str, float]
    rest: RestBody


def height_cm(vertices: FloatArray) -> float:
    """Standing height of rest vertices (N, 3) in metres: their extent along z, in cm."""
    return float(np.ptp(vertices[:, 2]) * 100)


def mass_kg(model: BodyModel, vertices: FloatArray) -> float:
    """Mass of a closed mesh by the divergence theorem, at `BODY_DENSITY`."""
    a, b, c = (vertices[model.faces[:, k]] for k in range(3))
    return float(np.einsum("ij,ij->i", np.cross(a, b), c).sum() / 6 * BODY_DENSITY)


def _height_parameter(model: BodyModel, phenotype: Mapping[str, float], stature_m: float) -> float:
    """Anny's height parameter of a stature, which is linear in it."""
    ends = [height_cm(model.rest({**phenotype, "height": h}, {}).vertices) for h in (0.0, 1.0)]
    return float(np.clip(np.interp(100 * stature_m, ends, (0.0, 1.0)), 0, 1))


def random_patient(seed: int, *, adult: bool = True) -> PhantomPatient:
    """A patient drawn at random; the same seed gives the same patient.

    Parameters
    ----------
    seed : of the draw; also gives the pseudonym.
    adult : 18 to 80 years; otherwise 1 to 17.
    """
    rng = np.random.default_rng([seed, 1])
    model = BodyModel.load()
    sex = "female" if rng.random() < 0.5 else "male"
    age = float(np.round(rng.uniform(*((18, 80) if adult else (1, 17)))))
    phenotype = {
        "gender": 1.0 if sex == "female" else 0.0,
        "age": age_axis(age),
        "muscle": float(np.clip(rng.normal(0.5, 0.15), 0.2, 0.9)),
        "weight": float(np.clip(rng.normal(0.55, 0.18), 0.05, 1.0)),
        "proportions": float(np.clip(rng.normal(0.45, 0.15), 0.1, 0.8)),
    }
    stature_m = float(np.interp(age, _HEIGHT_AGES, _HEIGHTS[sex])) / 100
    stature_m *= float(np.exp(_HEIGHT_SPREAD * rng.normal()))
    phenotype["height"] = _height_parameter(model, phenotype, stature_m)
    any_build = rng.random() < _ANY_BUILD
    fatness = float(rng.uniform(*_BUILDS) if any_build else np.clip(rng.normal(0.3, 0.4), -0.6, 1))
    changes = {name: amount * fatness for name, amount in _FAT.items()}
    for name, spread in _PERSONAL.items():
        changes[name] = changes.get(name, 0.0) + float(rng.normal(0, spread))
    for name, spread in _PERSONAL_PAIRED.items():
        amount = float(rng.normal(0, spread))
        changes.update({f"{side}-{name}": amount for side in "lr"})
    # Anny's changes are drawn for -1..1; beyond, only those of scale stay believable.
    scale = stature_m / _MEANT_FOR_M
    changes = {
        name: scale * (amount if "-scale-" in name else float(np.clip(amount, -1, 1)))
        for name, amount in changes.items()
    }
    rest = model.rest(phenotype, changes)
    return PhantomPatient(
        patient_id=f"PH-{seed:04d}",
        sex=sex,
        age_years=age,
        height_cm=height_cm(rest.vertices),
        weight_kg=mass_kg(model, rest.vertices),
        phenotype=phenotype,
        local_changes=changes,
        rest=rest,
    )
