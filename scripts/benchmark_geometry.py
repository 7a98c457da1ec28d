"""Geometry alone: true masks and landmarks projected from a rendered series' geometry files.

    BSA_VISION_DATA=... .venv/bin/python scripts/benchmark_geometry.py [--noise PX] [--series DIR]

Per photo: placement error of every cell that is truly visible and that the chart placed (mm at the
cell's depth). Per visit: counted BSA (`personal`) against truth. Then the re-epithelialisation
rates.
"""

import argparse
import json
import os
import time
from pathlib import Path

import cv2
import numpy as np

from bsa_vision.app.facts import USED_WITHIN_MM
from bsa_vision.app.series import read_series
from bsa_vision.chart.body import solve_body
from bsa_vision.chart.cells import load_cells
from bsa_vision.chart.fuse import fuse
from bsa_vision.chart.gather import expected_error_mm, gather, see_cells
from bsa_vision.chart.register import register
from bsa_vision.core.errors import Refused
from bsa_vision.measures.records import VisitEvidence
from bsa_vision.measures.series import measure_series
from bsa_vision.measures.settings import MeasureSettings
from bsa_vision.photo.decode import read_photo
from bsa_vision.pipeline import REPLICATES, chart_facts
from true_landmarks import on_surface, true_landmarks, truly_visible


def depth_over_focal(facts, size: tuple[int, int]) -> float:
    """mm per px at the sheet's depth, square-on: the truth's includes the foreshortening."""
    calibration = facts["calibration"]
    centre = (np.array(size) - 1) / 2
    camera = np.array([[facts["focal_px"], 0, centre[0]], [0, facts["focal_px"], centre[1]],
                       [0, 0, 1]])  # fmt: skip
    across, down, towards = np.linalg.solve(
        camera, np.array(calibration["homography_sheet_mm_to_px"])
    ).T
    normal = np.cross(across, down)
    cos_tilt = abs(normal @ towards) / np.linalg.norm(normal) / np.linalg.norm(towards)
    cos_off = towards[2] / np.linalg.norm(towards)
    return calibration["mm_per_px"] * float(np.sqrt(cos_tilt / cos_off))


def errors_mm(seen, geometry, size: tuple[int, int], cells) -> tuple[np.ndarray, float]:
    """Placement errors of the truly visible cells among the seen; share of the visible seen."""
    at, normals = on_surface(geometry["vertices"].astype(float), cells.face, cells.centre)
    pixels, visible, mm = truly_visible(at, normals, geometry, size)
    both = visible[seen.cells]
    offset = seen.samples[both, 0] - pixels[seen.cells[both]]
    error = np.linalg.norm(offset, axis=1) * mm[seen.cells[both]]
    return error, both.sum() / max(visible.sum(), 1)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--noise", type=float, default=0.0)
    parser.add_argument("--series", type=Path)
    parser.add_argument("--quiet", action="store_true")
    return parser.parse_args()


def main() -> None:
    args = parse_arguments()
    folder = args.series or Path(os.environ["BSA_VISION_DATA"]) / "phantom_series"
    series = read_series(folder)
    truth = json.loads((folder / "truth" / "truth.json").read_text())
    cells, body = load_cells(), solve_body(series.patient)
    rng = np.random.default_rng(1)
    errors, expected, visits, seconds, covered = [], [], [], [], []
    for visit, true_visit in zip(series.visits, truth["visits"], strict=True):
        photos = []
        for entry in visit.photos:
            stem = str(Path(entry.name).with_suffix(""))
            geometry = np.load(folder / "truth" / f"{stem}.geometry.npz")
            mask_file = entry.mask or folder / "truth" / f"{stem}.mask.png"
            mask = cv2.imread(str(mask_file), cv2.IMREAD_UNCHANGED)
            size = (mask.shape[1], mask.shape[0])
            photo = read_photo(entry.path, max_side=256)
            points = true_landmarks(geometry, size, args.noise, rng)
            facts = next(p for p in true_visit["photos"] if p["file"] == entry.name)
            scale = depth_over_focal(facts, size)
            started = time.perf_counter()
            placement = register(body.rest, points, size, entry.view, photo.focal_px, scale)
            placed = time.perf_counter() - started
            if isinstance(placement, Refused):
                print(visit.day, entry.view, placement)
                continue
            started = time.perf_counter()
            seen = see_cells(placement, cells, REPLICATES, np.random.default_rng(0))
            evidence = gather(seen, mask, None, size)
            seconds.append((placed, time.perf_counter() - started))
            if isinstance(evidence, Refused):
                print(visit.day, entry.view, evidence)
                continue
            photos.append(evidence)
            error, shown = errors_mm(seen, geometry, size, cells)
            errors.append(error)
            covered.append(shown)
            expected.append(expected_error_mm(seen))
            if not args.quiet:
                print(
                    f"D{visit.day:02d} {entry.view:16s} {len(placement.fit.weights):3d} points  "
                    f"median {np.median(error):5.1f}  95% {np.percentile(error, 95):6.1f}  "
                    f"expected {expected_error_mm(seen):5.1f} mm  seen {shown:.0%} "
                    f"{','.join(placement.distrusted)}"
                )
        fused = fuse(photos, len(cells), REPLICATES)
        visits.append(VisitEvidence(visit.day, fused))
    for weighting in ("personal", "lund-browder"):
        measures = measure_series(visits, chart_facts(body, weighting), MeasureSettings())
        report(measures, truth, weighting)
    summarise(errors, expected, covered, seconds)


def summarise(errors, expected, covered, seconds) -> None:
    used = [error for error, mm in zip(errors, expected, strict=True) if mm <= USED_WITHIN_MM]
    for name, chosen in (("all", errors), ("use", used)):
        every = np.concatenate([*chosen, np.zeros(0)])
        print(
            f"placement error, {name}: {len(chosen)} photos, median {np.median(every):.1f} mm, "
            f"95 % {np.percentile(every, 95):.1f} mm"
        )
    print(f"of truly visible cells placed {np.mean(covered):.1%}")
    placed, gathered = np.mean(seconds, axis=0)
    print(f"seconds per photo: register {placed:.2f}, see and gather {gathered:.2f}")


def report(measures, truth, weighting) -> None:
    off = []
    print(weighting)
    for measured, true in zip(measures.visits, truth["visits"], strict=True):
        counted = measured.estimates["counted_bsa"]
        wanted = true["counted_bsa"]
        off.append(abs(counted.percent - wanted))
        print(
            f"  D{measured.day:02d} counted {counted.percent:6.2f} ({counted.low:.2f} to "
            f"{counted.high:.2f}) truth {wanted:6.2f}; filled {measured.filled_percent:.1f}"
        )
    print(f"  mean absolute error {np.mean(off):.2f}, worst {np.max(off):.2f}")
    for true in truth["visits"]:
        if true["day"] in measures.rates:
            rate = measures.rates[true["day"]]
            print(
                f"  R{true['day']} {rate.estimate.percent:.1f} truth "
                f"{100 * true['reepithelialisation_rate']:.1f}"
            )


if __name__ == "__main__":
    main()
