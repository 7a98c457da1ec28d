"""Places on the body that hold for every patient in every pose.

A place is where a point of the skin lies on the body model's plain person at rest: metres, z up,
the person faces -y and has their left at +x. Places are what a network can tell from a photo
without knowing whose body it is; the patient's own body has the same face at another point.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from bsa_vision.chart.anny_model import BodyModel
from bsa_vision.chart.cells import load_cells
from bsa_vision.core.frames import FloatArray


@lru_cache(maxsize=1)
def plain_vertices() -> FloatArray:
    """Vertices (13718, 3) of the plain person at rest, metres; symmetric about x = 0."""
    return BodyModel.load().rest({}).vertices


def places_on_faces(
    face: NDArray[np.integer], barycentric: NDArray[np.floating]
) -> NDArray[np.float32]:
    """Places (N, 3) of points at `barycentric` (N, 3) in faces (N,) of the body model."""
    corners = plain_vertices()[BodyModel.load().faces[face]]
    return np.asarray(np.einsum("nk,nkc->nc", barycentric, corners), np.float32)


@lru_cache(maxsize=1)
def _tree() -> cKDTree:
    return cKDTree(load_cells().centres(plain_vertices()))


def nearest_cells(places: FloatArray) -> tuple[NDArray[np.intp], FloatArray]:
    """The cells of the chart nearest to places (N, 3), (N,), and how far they are, metres (N,)."""
    distance, cell = _tree().query(places)
    return cell, distance
