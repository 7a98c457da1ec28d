"""Which surface each pixel sees: rays through the posed body and the things around it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from numpy.typing import NDArray

from bsa_vision.core.frames import Camera, FloatArray
from bsa_vision.phantom.noise import Float32

_EPSILON = 2e-4


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh: vertices (N, 3) metres and faces (M, 3)."""

    vertices: FloatArray
    faces: NDArray[np.int32]


@dataclass(frozen=True)
class Hits:
    """The nearest surface along N rays.

    Attributes
    ----------
    mesh : (N,) index of the mesh, -1 where nothing was hit.
    face : (N,) face of that mesh.
    barycentric : (N, 3).
    distance : (N,) along the unit ray, infinity where nothing was hit.
    """

    mesh: NDArray[np.int32]
    face: NDArray[np.int32]
    barycentric: Float32
    distance: Float32


class Caster:
    """Rays against a fixed list of meshes."""

    def __init__(self, meshes: Sequence[Mesh]) -> None:
        self._scene = EmbreeScene()
        self._meshes = [
            TriangleMesh(
                self._scene,
                np.ascontiguousarray(mesh.vertices, np.float32),
                np.ascontiguousarray(mesh.faces, np.int32),
            )
            for mesh in meshes
        ]

    def nearest(self, origins: Float32, directions: Float32) -> Hits:
        """First surface along each ray; origins (N, 3) or (3,), unit directions (N, 3)."""
        starts = np.ascontiguousarray(np.broadcast_to(origins, directions.shape), np.float32)
        found = self._scene.run(starts, np.ascontiguousarray(directions, np.float32), output=True)
        missed = found["primID"] < 0
        u, v = found["u"], found["v"]
        return Hits(
            mesh=np.where(missed, -1, found["geomID"]).astype(np.int32),
            face=np.where(missed, 0, found["primID"]).astype(np.int32),
            barycentric=np.stack([1 - u - v, u, v], axis=1).astype(np.float32),
            distance=np.where(missed, np.inf, found["tfar"]).astype(np.float32),
        )

    def blocked(self, origins: Float32, directions: Float32) -> NDArray[np.bool_]:
        """Whether anything stands in the way of each ray (N,), starting a hair off the surface."""
        starts = np.ascontiguousarray(origins + np.float32(_EPSILON) * directions, np.float32)
        found = self._scene.run(
            starts, np.ascontiguousarray(directions, np.float32), query="OCCLUDED"
        )
        blocked: NDArray[np.bool_] = np.asarray(found) >= 0
        return blocked


def pixel_rays(camera: Camera) -> Float32:
    """Unit directions in the body frame (H * W, 3) through all pixel centres, row by row."""
    width, height = camera.size
    inverse = np.linalg.inv(camera.k)
    x = (np.arange(width) * inverse[0, 0] + inverse[0, 2]).astype(np.float32)
    y = (np.arange(height) * inverse[1, 1] + inverse[1, 2]).astype(np.float32)
    rays = np.empty((height, width, 3), np.float32)
    rays[..., 0], rays[..., 1], rays[..., 2] = x[None, :], y[:, None], 1
    rays /= np.sqrt(1 + x[None, :, None] ** 2 + y[:, None, None] ** 2)
    return rays.reshape(-1, 3) @ camera.r.astype(np.float32)


def vertex_normals(vertices: FloatArray, faces: NDArray[np.int32]) -> Float32:
    """Area-weighted unit normals (N, 3) of a mesh."""
    corners = vertices[faces]
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.stack(
        [
            np.bincount(faces.ravel(), np.repeat(normal[:, axis], 3), len(vertices))
            for axis in range(3)
        ],
        axis=1,
    )
    length = np.linalg.norm(total, axis=1, keepdims=True)
    return np.asarray(total / np.maximum(length, 1e-12), np.float32)
