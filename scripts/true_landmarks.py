"""Landmark files from a rendered series' geometry: what a perfect, or a noisy, hand would mark.

    .venv/bin/python scripts/true_landmarks.py SERIES OUT [--noise PX] [--masks]

Writes a series folder OUT: the same photos (linked), landmark files, and with --masks the true
masks.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from bsa_vision.chart.anny_model import BodyModel
from bsa_vision.chart.landmarks import LANDMARKS
from bsa_vision.chart.posing import body_rays


def truly_visible(points, normals, geometry, size, slack_m=0.006):
    """Pixels (N, 2) of points (N, 3), which of them the camera sees, and mm per pixel there."""
    r, t, k = geometry["R"], geometry["t"], geometry["K"]
    seen = points @ r.T + t
    pixels = seen @ k.T
    pixels = pixels[:, :2] / pixels[:, 2:]
    inside = ((pixels >= 0) & (pixels <= np.array(size) - 1)).all(axis=1) & (seen[:, 2] > 0.05)
    centre = -r.T @ t
    rays = points - centre
    distance = np.linalg.norm(rays, axis=1)
    inside &= (normals * rays).sum(axis=1) < -0.15 * distance * np.linalg.norm(normals, axis=1)
    vertices = geometry["vertices"].astype(float)
    chosen = np.flatnonzero(inside)
    hits, index, _ = body_rays(vertices).intersects_location(
        np.broadcast_to(centre, (len(chosen), 3)),
        rays[chosen] / distance[chosen, None],
        multiple_hits=False,
    )
    nearest = np.full(len(chosen), np.inf)
    nearest[index] = np.linalg.norm(hits - centre, axis=1)
    visible = np.zeros(len(points), bool)
    visible[chosen] = np.isfinite(nearest) & (nearest > distance[chosen] - slack_m)
    return pixels, visible, 1000 * seen[:, 2] / k[0, 0]


def on_surface(vertices, face, barycentric):
    """Points (N, 3) and normals (N, 3) at barycentric places on a posed body."""
    corners = vertices[BodyModel.load().faces[face]]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return np.einsum("nk,nkc->nc", barycentric, corners), normals


def true_landmarks(geometry, size, noise_px, rng):
    """Visible landmarks of a rendered photo, name -> (x, y), with Gaussian noise per coordinate."""
    face = np.array([mark.face for mark in LANDMARKS.values()])
    barycentric = np.array([mark.barycentric for mark in LANDMARKS.values()])
    points, normals = on_surface(geometry["vertices"].astype(float), face, barycentric)
    pixels, visible, _ = truly_visible(points, normals, geometry, size)
    pixels = pixels + rng.normal(0, noise_px, pixels.shape)
    return {
        name: (float(pixels[i, 0]), float(pixels[i, 1]))
        for i, name in enumerate(LANDMARKS)
        if visible[i]
    }


def write_series(folder: Path, out: Path, noise_px: float, masks: bool) -> None:
    """A copy of a rendered series with landmark files (and true masks)."""
    document = json.loads((folder / "series.json").read_text())
    truth = json.loads((folder / "truth" / "truth.json").read_text())
    sizes = {p["file"]: p["displayed_size"] for v in truth["visits"] for p in v["photos"]}
    rng = np.random.default_rng(1)
    for visit in document["visits"]:
        for photo in visit["photos"]:
            stem = str(Path(photo["file"]).with_suffix(""))
            geometry = np.load(folder / "truth" / f"{stem}.geometry.npz")
            points = true_landmarks(geometry, sizes[photo["file"]], noise_px, rng)
            (out / stem).parent.mkdir(parents=True, exist_ok=True)
            photo["landmarks"] = f"{stem}.landmarks.json"
            (out / photo["landmarks"]).write_text(json.dumps({"points": points}))
            _link(folder / photo["file"], out / photo["file"])
            if masks:
                photo["mask"] = f"{stem}.mask.png"
                _link(folder / "truth" / photo["mask"], out / photo["mask"])
    (out / "series.json").write_text(json.dumps(document, indent=1))


def _link(source: Path, target: Path) -> None:
    target.unlink(missing_ok=True)
    target.symlink_to(source.resolve())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("series", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--noise", type=float, default=0.0)
    parser.add_argument("--masks", action="store_true")
    args = parser.parse_args()
    write_series(args.series, args.out, args.noise, args.masks)
    sys.stdout.write(f"{args.out}\n")


if __name__ == "__main__":
    main()
