"""The cells of the chart: one fixed tessellation of the skin for all patients and poses.

Each skin face of the body model is split 1 to 4 at its edge midpoints, as often as it takes for no
cell to exceed 1 cm2 on an adult of ordinary or large build. The cells of a face have equal areas,
so that a cell's area is its face's over their number. `scripts/make_cells.py` makes the data.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from bsa_vision.chart.anny_model import ASSET, BodyModel
from bsa_vision.core.frames import FloatArray, frozen
from bsa_vision.core.provenance import sha256_hex

DATA = "data/cells.npz"

#: Names the body model and cells together: results on another version do not compare cell by cell.
#: The second half is `chart_digest`, which a test holds it to.
CHART_VERSION = "anny-1/8fc0e2d51ebd"


@dataclass(frozen=True)
class Cells:
    """The topology of the chart; arrays are read-only and of n cells.

    Attributes
    ----------
    face : (n,) index of the cell's face in ``BodyModel.faces``; a face's cells are consecutive.
    corners : (n, 3, 3) barycentric coordinates, in the face, of the cell's three corners.
    centre : (n, 3) barycentric coordinates of the cell's centroid.
    neighbours : (m, 2) pairs of cells that share a piece of edge, smaller index first, sorted.
    region : (n,) index into ``regions.REGIONS``.
    side : (n,) -1 the patient's right, +1 left, 0 regions that are not paired.
    front : (n,) True where the surface is anterior (of hands: the palm; of feet: the dorsum).
    mirror : (n,) the cell opposite in the sagittal plane.
    face_share : (n,) area of the cell over the area of its face.
    """

    face: NDArray[np.int32]
    corners: NDArray[np.float32]
    centre: NDArray[np.float32]
    neighbours: NDArray[np.int32]
    region: NDArray[np.uint8]
    side: NDArray[np.int8]
    front: NDArray[np.bool_]
    mirror: NDArray[np.int32]
    face_share: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.face)

    def areas_cm2(self, vertices: FloatArray) -> FloatArray:
        """Areas (n,) of the cells on a body with vertices (13718, 3) in metres."""
        faces = BodyModel.load().faces
        first = vertices[faces[:, 0]]
        normal = np.cross(vertices[faces[:, 1]] - first, vertices[faces[:, 2]] - first)
        face_area = np.linalg.norm(normal, axis=1) * 0.5e4
        areas: FloatArray = face_area[self.face] * self.face_share
        return areas

    def centres(self, vertices: FloatArray) -> FloatArray:
        """Centroids (n, 3) of the cells on vertices (13718, 3), in their units."""
        corners = vertices[BodyModel.load().faces[self.face]]
        points: FloatArray = np.einsum("nk,nkc->nc", self.centre, corners)
        return points


@lru_cache(maxsize=1)
def load_cells() -> Cells:
    """The shipped cells; read once per process."""
    with files("bsa_vision.chart").joinpath(DATA).open("rb") as stream, np.load(stream) as data:
        face = data["face"]
        corners = data["corners"].astype(np.float32) / data["corner_unit"]
        return Cells(
            face=frozen(face, np.int32),
            corners=frozen(corners, np.float32),
            centre=frozen(corners.mean(axis=1), np.float32),
            neighbours=frozen(data["neighbours"], np.int32),
            region=frozen(data["region"], np.uint8),
            side=frozen(data["side"], np.int8),
            front=frozen(data["front"], np.bool_),
            mirror=frozen(data["mirror"], np.int32),
            face_share=frozen(1.0 / np.bincount(face)[face], np.float32),
        )


def chart_digest() -> str:
    """Short digest of the body model's and the cells' data, which `CHART_VERSION` carries."""
    package = files("bsa_vision.chart")
    digests = "".join(sha256_hex(package.joinpath(name).read_bytes()) for name in (ASSET, DATA))
    return sha256_hex(digests.encode())[:12]
