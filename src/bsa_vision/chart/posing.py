"""A posed body before a camera: where surface points appear, and how that changes with the pose.

The posed place of a surface point is linear in the bone transforms (linear blend skinning), so its
derivative by a joint's rotation is the geometric one: the point's share of all bones below the
joint turns about the joint.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from trimesh import Trimesh
from trimesh.ray.ray_pyembree import RayMeshIntersector

from bsa_vision.chart.anny_model import BodyModel, RestBody, rotation_matrices
from bsa_vision.core.frames import Camera, FloatArray

#: Joints the fit may turn, with the standard deviation of their rotation at a bedside (radians; x
#: is the body's left, y its back, z up). The values describe people lying or standing for a photo.
_SPINE = (0.12, 0.08, 0.10)
_LIMBS = {
    "clavicle": (0.10, 0.15, 0.12),
    "shoulder01": (0.10, 0.12, 0.10),
    "upperarm01": (0.55, 0.60, 0.50),
    "lowerarm01": (0.50, 0.45, 0.50),
    "wrist": (0.30, 0.30, 0.30),
    "upperleg01": (0.35, 0.25, 0.25),
    "lowerleg01": (0.35, 0.10, 0.15),
    "foot": (0.35, 0.20, 0.25),
}
JOINT_SD: dict[str, tuple[float, float, float]] = {
    "spine05": _SPINE,
    "spine04": _SPINE,
    "spine03": _SPINE,
    "spine02": _SPINE,
    "spine01": _SPINE,
    "neck01": (0.15, 0.12, 0.15),
    "neck02": (0.15, 0.12, 0.15),
    "neck03": (0.15, 0.12, 0.15),
    "head": (0.25, 0.20, 0.30),
    **{f"{joint}.{side}": sd for joint, sd in _LIMBS.items() for side in "LR"},
}
#: Depths are held at this, in metres: what is nearer lies at or behind the lens.
NEAREST_M = 0.05
CAMERA_PARAMETERS = 7  # rotation (3), translation (3), log focal length (1)


def _cross_matrices(v: FloatArray) -> FloatArray:
    """(..., 3) -> (..., 3, 3) with m @ x = v x x."""
    m = np.zeros((*v.shape[:-1], 3, 3))
    m[..., 0, 1], m[..., 0, 2] = -v[..., 2], v[..., 1]
    m[..., 1, 0], m[..., 1, 2] = v[..., 2], -v[..., 0]
    m[..., 2, 0], m[..., 2, 1] = -v[..., 1], v[..., 0]
    return m


def _left_jacobians(rotvecs: FloatArray) -> FloatArray:
    """d(rotation) / d(rotation vector) from the left, (N, 3, 3)."""
    angle = np.linalg.norm(rotvecs, axis=1)[:, None, None]
    safe = np.maximum(angle, 1e-6)
    cross = _cross_matrices(rotvecs)
    first = np.where(angle < 1e-4, 0.5, (1 - np.cos(safe)) / safe**2)
    second = np.where(angle < 1e-4, 1 / 6, (safe - np.sin(safe)) / safe**3)
    jacobians: FloatArray = np.eye(3) + first * cross + second * (cross @ cross)
    return jacobians


@dataclass(frozen=True)
class SurfacePoints:
    """Points fixed to the skin, prepared for skinning.

    Attributes
    ----------
    rest : (N, 3) metres.
    shares : (N, B) weight of each bone.
    moments : (N, B, 3) weighted rest positions by bone.
    """

    rest: FloatArray
    shares: FloatArray
    moments: FloatArray

    @classmethod
    def from_faces(
        cls,
        model: BodyModel,
        rest: RestBody,
        faces: NDArray[np.integer],
        barycentric: FloatArray,
    ) -> "SurfacePoints":
        """Points at `barycentric` (N, 3) in `faces` (N,)."""
        corners = model.faces[faces]
        n, n_bones = len(corners), len(model.bone_labels)
        weights = barycentric[:, :, None] * model.skin_weights[corners]
        index = np.arange(n)[:, None, None] * n_bones + model.skin_bones[corners]
        flat = index.ravel()

        def by_bone(values: FloatArray) -> FloatArray:
            sums = np.bincount(flat, values.ravel(), n * n_bones).astype(np.float64)
            return sums.reshape(n, n_bones)

        vertices = rest.vertices[corners]
        moments = [by_bone(weights * vertices[:, :, None, axis]) for axis in range(3)]
        points = np.einsum("nk,nkc->nc", barycentric, vertices)
        return cls(points, by_bone(weights), np.stack(moments, axis=2))


@dataclass(frozen=True)
class BodyPose:
    """Camera and joint rotations.

    Attributes
    ----------
    rotation, translation : body -> camera, (3, 3) and (3,) metres.
    focal : pixels.
    joints : (J, 3) rotation vectors of `JOINT_SD`'s joints.
    """

    rotation: FloatArray
    translation: FloatArray
    focal: float
    joints: FloatArray

    def camera(self, size: tuple[int, int]) -> Camera:
        """Pinhole with its axis through the middle of a photo of `size` (width, height)."""
        k = np.array(
            [
                [self.focal, 0, (size[0] - 1) / 2],
                [0, self.focal, (size[1] - 1) / 2],
                [0, 0, 1.0],
            ]
        )
        return Camera(k=k, r=self.rotation, t=self.translation, size=size)

    def rotations(self) -> dict[str, FloatArray]:
        """Joint rotations by bone label, as `BodyModel.bone_transforms` takes them."""
        return dict(zip(JOINT_SD, self.joints, strict=True))

    def moved(self, step: FloatArray) -> "BodyPose":
        """The pose after a step (7 + 3J,): camera rotation from the left, the rest added."""
        return BodyPose(
            rotation=rotation_matrices(step[None, :3])[0] @ self.rotation,
            translation=self.translation + step[3:6],
            focal=self.focal * float(np.exp(np.clip(step[6], -0.5, 0.5))),
            joints=self.joints + step[CAMERA_PARAMETERS:].reshape(-1, 3),
        )


class PoseSolver:
    """Projection of surface points with derivatives, for one body."""

    def __init__(self, model: BodyModel, rest: RestBody, size: tuple[int, int]) -> None:
        self.model = model
        self.rest = rest
        self.size = size
        self.centre = np.array([(size[0] - 1) / 2, (size[1] - 1) / 2])
        self.joints = np.array([model.bone_index(label) for label in JOINT_SD])
        self.parents = np.array([model.bone_parents[j] for j in self.joints])
        below = np.zeros((len(self.joints), len(model.bone_labels)))
        for bone in range(len(model.bone_labels)):
            ancestor = bone
            while ancestor >= 0:
                below[self.joints == ancestor, bone] = 1
                ancestor = model.bone_parents[ancestor]
        self.below = below

    def place(self, points: SurfacePoints, pose: BodyPose) -> tuple[FloatArray, FloatArray]:
        """Places before the camera (N, 3) in metres and their derivatives (N, 3, 7 + 3J)."""
        turned, moved = self.model.bone_transforms(self.rest, pose.rotations())
        parts = np.einsum("bij,nbj->nbi", turned, points.moments)
        parts += points.shares[:, :, None] * moved
        heads = np.einsum("jab,jb->ja", turned[self.joints], self.rest.bone_heads[self.joints])
        heads += moved[self.joints]
        lever = np.tensordot(parts, self.below, axes=(1, 1)).transpose(0, 2, 1)
        lever -= (points.shares @ self.below.T)[:, :, None] * heads
        frames = turned[self.parents] @ _left_jacobians(pose.joints)
        by_joint = -_cross_matrices(lever) @ frames  # (N, J, 3, 3)

        body = parts.sum(axis=1)
        turned_body = body @ pose.rotation.T
        n = len(body)
        motion = np.zeros((n, 3, CAMERA_PARAMETERS + 3 * len(self.joints)))
        motion[:, :, :3] = -_cross_matrices(turned_body)
        motion[:, :, 3:6] = np.eye(3)
        before_camera = pose.rotation @ by_joint  # (N, J, 3, 3)
        motion[:, :, CAMERA_PARAMETERS:] = before_camera.transpose(0, 2, 1, 3).reshape(n, 3, -1)
        return turned_body + pose.translation, motion

    def pinhole(
        self, places: FloatArray, motion: FloatArray, focal: float
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """What `project` returns, of what `place` returns."""
        depth = np.maximum(places[:, 2], NEAREST_M)
        flat = places[:, :2] / depth[:, None]
        pixels = focal * flat + self.centre
        jacobian = motion[:, :2] - flat[:, :, None] * motion[:, 2:3]
        jacobian *= (focal / depth)[:, None, None]
        jacobian[:, :, 6] = pixels - self.centre
        return pixels, depth, jacobian

    def project(
        self, points: SurfacePoints, pose: BodyPose
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Pixels (N, 2), depths (N,) in metres and derivatives (N, 2, 7 + 3J) of the pixels."""
        return self.pinhole(*self.place(points, pose), pose.focal)


def body_rays(vertices: FloatArray) -> RayMeshIntersector:
    """What lines of sight meet of a posed body with vertices (13718, 3), in the vertices' frame."""
    mesh = Trimesh(vertices, BodyModel.load().faces, process=False, validate=False)
    return RayMeshIntersector(mesh)
