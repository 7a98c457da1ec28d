"""The patient's body: the shape solved for them, with the areas of the chart's cells on it."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bsa_vision.chart.anny_model import RestBody
from bsa_vision.chart.cells import load_cells
from bsa_vision.chart.patient import Patient
from bsa_vision.chart.shape import solve_shape
from bsa_vision.core.errors import Refused
from bsa_vision.core.frames import FloatArray, frozen


@dataclass(frozen=True)
class Body:
    """A patient's body at rest and the areas of its chart cells.

    Attributes
    ----------
    patient : whom it stands for.
    phenotype, local_changes : shape parameters; ``BodyModel.rest`` of them is `rest`.
    rest : vertices and joint centres, metres.
    cell_areas_cm2 : (n_cells,) area of each chart cell.
    height_cm, mass_kg : of this body, as `patient` within the solver's tolerance.
    """

    patient: Patient
    phenotype: Mapping[str, float]
    local_changes: Mapping[str, float]
    rest: RestBody
    cell_areas_cm2: FloatArray
    height_cm: float
    mass_kg: float

    @property
    def skin_area_cm2(self) -> float:
        """Area of the whole skin surface (eye and mouth cavities excluded)."""
        return float(self.cell_areas_cm2.sum())


def solve_body(patient: Patient) -> Body | Refused:
    """The body of a patient; see ``shape.solve_shape`` for what it holds to and refuses."""
    shape = solve_shape(patient)
    if isinstance(shape, Refused):
        return shape
    return Body(
        patient=patient,
        phenotype=shape.phenotype,
        local_changes=shape.local_changes,
        rest=shape.rest,
        cell_areas_cm2=frozen(load_cells().areas_cm2(shape.rest.vertices), np.float64),
        height_cm=shape.height_cm,
        mass_kg=shape.mass_kg,
    )
