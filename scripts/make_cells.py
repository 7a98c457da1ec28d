"""Make the chart's cells: split the skin faces, join them up, name their regions.

    .venv/bin/python scripts/make_cells.py

Writes src/bsa_vision/chart/data/cells.npz.
"""

import sys
from itertools import combinations
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from bsa_vision.chart.anny_model import BodyModel
from bsa_vision.chart.cells import chart_digest
from bsa_vision.chart.patient import Patient
from bsa_vision.chart.shape import solve_shape
from bsa_vision.core.errors import Refused
from region_borders import tag_cells

OUT = Path(__file__).parents[1] / "src" / "bsa_vision" / "chart" / "data" / "cells.npz"
LARGEST_CELL_CM2 = 1.0
#: No cell exceeds the limit on these.
ADULTS = (
    Patient("woman", "female", 40, 165, 62),
    Patient("man", "male", 40, 178, 75),
    Patient("large-man", "male", 40, 195, 110),
)


def split(corners: np.ndarray) -> np.ndarray:
    """Triangles (n, 3, 3) split 1 to 4 at their midpoints, (4n, 3, 3)."""
    a, b, c = corners[:, 0], corners[:, 1], corners[:, 2]
    ab, bc, ca = (a + b) / 2, (b + c) / 2, (c + a) / 2
    parts = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return np.stack([np.stack(p, axis=1) for p in parts], axis=1).reshape(-1, 3, 3)


def split_levels(model: BodyModel) -> np.ndarray:
    """How often each face is split, the same for a face and its mirror."""
    areas = []
    for adult in ADULTS:
        shape = solve_shape(adult)
        if isinstance(shape, Refused):
            raise TypeError(shape.reason)
        p = shape.rest.vertices[model.faces]
        areas.append(np.linalg.norm(np.cross(p[:, 1] - p[:, 0], p[:, 2] - p[:, 0]), axis=1) * 0.5e4)
    largest = np.max(areas, axis=0)
    largest = np.maximum(largest, largest[mirrored_faces(model)])
    return np.maximum(np.ceil(np.log(largest / LARGEST_CELL_CM2) / np.log(4)), 0).astype(int)


def mirrored_vertices(model: BodyModel) -> np.ndarray:
    """The opposite vertex of each vertex; the model is symmetric to 0.01 mm."""
    rest = model.rest({}).vertices
    distance, opposite = cKDTree(rest).query(rest * [-1, 1, 1])
    if distance.max() > 2e-5 or (opposite[opposite] != np.arange(len(rest))).any():
        msg = "the body model is not symmetric"
        raise ValueError(msg)
    return opposite


def mirrored_faces(model: BodyModel) -> np.ndarray:
    """The opposite face of each face."""
    opposite = mirrored_vertices(model)
    by_corners = {tuple(sorted(face)): i for i, face in enumerate(model.faces.tolist())}
    return np.array([by_corners[tuple(sorted(f))] for f in opposite[model.faces].tolist()])


def mirrored_cells(model: BodyModel, face: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """The opposite cell of each cell, matched exactly through face and barycentric centre."""
    opposite_vertex, opposite_face = mirrored_vertices(model), mirrored_faces(model)
    centre = corners.sum(axis=1)
    lookup = {
        (f, *weights): i for i, (f, weights) in enumerate(zip(face, centre.tolist(), strict=True))
    }
    result = np.empty(len(face), dtype=np.int32)
    for i, f in enumerate(face):
        g = opposite_face[f]
        target = opposite_vertex[model.faces[f]]
        order = [int(np.flatnonzero(target == v)[0]) for v in model.faces[g]]
        result[i] = lookup[(g, *centre[i, order].tolist())]
    return result


def joined(model: BodyModel, face: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """Pairs of cells that share a piece of edge, in a face or across faces of unlike splitting."""
    pieces: dict[tuple, list[int]] = {}
    for i, (f, points) in enumerate(zip(face, corners, strict=True)):
        vertices = model.faces[f]
        for p, q in combinations(points, 2):
            flat = np.flatnonzero((p == 0) & (q == 0))
            if flat.size == 0:  # an edge inside the face
                ends = sorted((tuple(p), tuple(q)))
                pieces.setdefault((int(f), *ends), []).append(i)
                continue
            a, b = (k for k in range(3) if k != flat[0])
            if vertices[a] > vertices[b]:
                a, b = b, a
            low, high = sorted((int(p[b]), int(q[b])))
            for step in range(low, high):
                pieces.setdefault((int(vertices[a]), int(vertices[b]), step), []).append(i)
    pairs = {tuple(sorted(pair)) for cells in pieces.values() for pair in combinations(cells, 2)}
    if any(a == b for a, b in pairs):
        msg = "a cell adjoins itself"
        raise ValueError(msg)
    return np.array(sorted(pairs), dtype=np.int32)


def main() -> None:
    model = BodyModel.load()
    levels = split_levels(model)
    unit = 2 ** int(levels.max())
    faces_of, corners_of = [], []
    for level in np.unique(levels[model.skin_faces]):
        chosen = np.flatnonzero(model.skin_faces & (levels == level))
        parts = np.tile(unit * np.eye(3), (len(chosen), 1, 1))
        for _ in range(level):
            parts = split(parts)
        faces_of.append(np.repeat(chosen, 4**level))
        corners_of.append(parts)
    face, corners = np.concatenate(faces_of), np.concatenate(corners_of).astype(int)
    order = np.argsort(face, kind="stable")
    face, corners = face[order], corners[order]
    mirror = mirrored_cells(model, face, corners)
    neighbours = joined(model, face, corners)
    region, side, front = tag_cells(model, face, corners / unit, mirror, neighbours)
    np.savez_compressed(
        OUT,
        face=face.astype(np.int32),
        corners=corners.astype(np.uint8),
        corner_unit=np.float32(unit),
        neighbours=neighbours,
        mirror=mirror,
        region=region,
        side=side,
        front=front,
    )
    sys.stdout.write(f"{len(face)} cells, {OUT.stat().st_size / 1e6:.2f} MB; ")
    sys.stdout.write(f'set CHART_VERSION = "anny-1/{chart_digest()}"\n')


if __name__ == "__main__":
    main()
