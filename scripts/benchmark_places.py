"""Photos that place themselves, by strata: rendered patients of all ages, builds and skin tones.

    OMP_NUM_THREADS=1 python scripts/benchmark_places.py OUT [--patients 40] [--first 940000]
        [--workers 2] [--places MODEL] [--picture docs/pictures/placement_reliability.png]
    python scripts/benchmark_places.py DIR --series

One visit of fourteen views a patient; every fourth patient is a child. With ``--series`` the photos
are those of the rendered series DIR. They go through the whole chain as for `score`, without
landmarks, with the default model's masks. Placement error is that of every cell that the chart
placed, from where it truly is in the picture, in mm at its depth. A photo is astray when less than
half of these cells are truly visible: another side of the body. Counted BSA is against all skin,
what lies under dressings included. On every fifth patient the same photos are placed in other ways:
by landmarks with 8 px of noise, by the network alone, on one body for all adults of a sex, on the
patient's true body (the most that fitting its shape could give), and with a fitted shape: the build
between four fifths and five quarters of the patient's weight that a photo fits best by itself, or
that all photos of the visit do together. Patients are rendered once: use another OUT when the
renderer has changed. No training has seen their seeds.
"""

import argparse
import json
import pickle
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

import cv2
import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

from bsa_vision.app.facts import USED_WITHIN_MM, photo_facts
from bsa_vision.app.photo_job import PhotoDone, PhotoJob
from bsa_vision.app.series import PhotoEntry, read_series
from bsa_vision.calibration.calibrate import calibrate
from bsa_vision.chart.body import Body, solve_body
from bsa_vision.chart.cells import load_cells
from bsa_vision.chart.fuse import fuse
from bsa_vision.chart.patient import Patient
from bsa_vision.chart.places import plain_vertices
from bsa_vision.dense.api import STRIDE, PlaceFinder
from bsa_vision.dense.card import DEFAULT_PLACES
from bsa_vision.dense.find import load_place_finder
from bsa_vision.measures.records import VisitEvidence
from bsa_vision.measures.series import measure_series
from bsa_vision.measures.settings import MeasureSettings
from bsa_vision.phantom.patient import random_patient
from bsa_vision.phantom.scene import make_case, monk_tone
from bsa_vision.phantom.series import render_series
from bsa_vision.phantom.views import DEFAULT_VIEWS
from bsa_vision.photo.decode import read_photo
from bsa_vision.photo.records import Photo
from bsa_vision.pipeline import (
    DECODE_SIDE,
    REPLICATES,
    PhotoRequest,
    PhotoResult,
    assess_photo,
    chart_facts,
    working_picture,
)
from bsa_vision.segmentation.api import Segmenter
from bsa_vision.segmentation.predict import load_segmenter
from bsa_vision.segmentation.registry import default_model
from true_landmarks import on_surface, true_landmarks, truly_visible

SIZE, DAYS = (750, 1000), (1, 3, 6, 9)
CHILD_EVERY, ABLATED_EVERY = 4, 5
HAND_NOISE_PX = 8.0
ADULT_YEARS = 18
#: One body for all adults of a sex: years, cm, kg.
COMMON_BODY = {"female": (45.0, 163.0, 65.0), "male": (45.0, 176.0, 78.0)}
#: Builds to choose from where the shape is fitted, beside the patient's: shares of the weight.
OTHER_BUILDS = (0.8, 0.9, 1.1, 1.25)
GROUPS = 6


def is_adult(seed: int) -> bool:
    """Whether the patient of a seed is of age."""
    return seed % CHILD_EVERY != 0


def rendered(out: Path, seed: int) -> Path:
    """The series folder of a patient, rendered once."""
    cv2.setNumThreads(1)
    folder = out / f"patient-{seed}"
    if not (folder / "series.json").exists():
        day = DAYS[seed // CHILD_EVERY % len(DAYS)]
        render_series(folder, seed, (day,), DEFAULT_VIEWS, SIZE, adult=is_adult(seed))
    return folder


def geometry_of(folder: Path, name: str):
    """Body and camera of a rendered photo."""
    return np.load(folder / "truth" / f"{Path(name).with_suffix('')}.geometry.npz")


def truth_of(geometry, size: tuple[int, int]):
    """What cells of a photo are truly visible, their pixels and mm per pixel."""
    cells = load_cells()
    at, normals = on_surface(geometry["vertices"].astype(float), cells.face, cells.centre)
    pixels, visible, mm = truly_visible(at, normals, geometry, size)
    return pixels, visible, mm


def placed(result: PhotoResult, truth) -> dict[str, Any] | None:
    """Errors of a placed photo in mm, whether it is astray, how much visible skin it placed."""
    evidence = result.evidence
    if evidence is None:
        return None
    pixels, visible, mm = truth
    error = np.linalg.norm(evidence.at - pixels[evidence.cells], axis=1) * mm[evidence.cells]
    seen = visible[evidence.cells]
    return {
        "error": error.astype(np.float32),
        "astray": bool(seen.mean() < 0.5),
        "covered": float(seen.sum() / max(visible.sum(), 1)),
    }


class Chain(NamedTuple):
    """What places the photos of a patient."""

    body: Body
    segmenter: Segmenter
    finder: PlaceFinder

    def place(self, photo: Photo, view: str, body: Body | None = None) -> PhotoResult:
        """A photo without landmarks placed on the patient's body, or on another."""
        request = PhotoRequest(view, {})
        return assess_photo(photo, request, body or self.body, self.segmenter, self.finder)


def by_network_alone(chain: Chain, photo: Photo, view: str, truth) -> dict[str, Any]:
    """How far the network alone places visible cells from where they are on the plain body, mm."""
    places = chain.finder.find(working_picture(photo, calibrate(photo)), view)
    pixels, visible, _ = truth
    scale = np.array(places.size) / np.array(photo.full_size)
    at = np.floor((pixels[visible] + 0.5) * scale / STRIDE).astype(int)
    height, width = places.skin.shape
    column, row = at[:, 0].clip(0, width - 1), at[:, 1].clip(0, height - 1)
    found = places.places[row, column].astype(float)
    found[:, 0] *= np.where(places.left[row, column] > 0.5, 1, -1)
    true = load_cells().centres(plain_vertices())[visible]
    away = np.linalg.norm(found - true, axis=1)[places.skin[row, column] > 0.5] * 1000
    return {"error": away}


def by_hand(chain: Chain, photo: Photo, entry: PhotoEntry, geometry, truth) -> dict | None:
    """What landmarks with noise place."""
    noise = np.random.default_rng(crc32("/".join(entry.path.parts[-3:]).encode()))
    points = true_landmarks(geometry, photo.full_size, HAND_NOISE_PX, noise)
    request = PhotoRequest(entry.view, points)
    return placed(assess_photo(photo, request, chain.body, chain.segmenter), truth)


def other_bodies(patient: Patient, seed: int, body: Body) -> dict[str, Body]:
    """Bodies to place on instead of the one solved for height and weight."""
    true = random_patient(seed, adult=is_adult(seed))
    bodies = {"true body": replace(body, rest=true.rest)}
    if is_adult(seed):
        age, height, weight = COMMON_BODY[patient.sex]
        common = solve_body(replace(patient, age_years=age, height_cm=height, weight_kg=weight))
        bodies["common body"] = replace(body, rest=common.rest)
    return bodies


def other_builds(patient: Patient, body: Body) -> list[Body]:
    """The patient's body in the `OTHER_BUILDS` that the chart knows."""
    solved = [
        solve_body(replace(patient, weight_kg=share * patient.weight_kg)) for share in OTHER_BUILDS
    ]
    return [replace(body, rest=found.rest) for found in solved if isinstance(found, Body)]


def with_fitted_shapes(trials: list[list[tuple[float | None, Any]]]) -> list[dict[str, Any]]:
    """For each photo of a visit what was placed on the build that fits best: it, or all together.

    `trials` has the cost of each build for each photo, None where it was not placed, and what was
    placed on it. A photo that some build does not place has no say in the visit's.
    """
    costs = np.array([[np.inf if cost is None else cost for cost, _ in row] for row in trials])
    together = int(costs[np.isfinite(costs).all(axis=1)].sum(axis=0).argmin())
    return [
        {"own shape": row[int(own)][1], "shape of the visit": row[together][1]}
        for row, own in zip(trials, costs.argmin(axis=1), strict=True)
    ]


def assess(folder: Path, model: str, seed: int | None) -> dict[str, Any]:
    """All photos of a rendered series and its visits; the patient's seed where it is one of ours.

    On every `ABLATED_EVERY`-th seed the photos are placed in other ways as well.
    """
    series = read_series(folder)
    patient, body = series.patient, solve_body(series.patient)
    finder = load_place_finder(model, threads=1)
    chain = Chain(body, load_segmenter(default_model(), threads=1), finder)
    ablated = seed is not None and seed % ABLATED_EVERY == 1
    bodies = other_bodies(patient, seed, body) if ablated else {}
    shapes = other_builds(patient, body) if ablated else []
    photos, visits = [], []
    for visit in series.visits:
        evidence, trials = [], []
        for entry in visit.photos:
            photo, geometry = read_photo(entry.path, DECODE_SIDE), geometry_of(folder, entry.name)
            truth = truth_of(geometry, photo.full_size)
            result = chain.place(photo, entry.view)
            facts = photo_facts(
                PhotoDone(PhotoJob(entry, visit.day, patient, "model", None, folder), result)
            )
            if result.evidence is not None:
                evidence.append(result.evidence)
            others = {
                name: placed(chain.place(photo, entry.view, other), truth)
                for name, other in bodies.items()
            }
            if ablated:
                others["network alone"] = by_network_alone(chain, photo, entry.view, truth)
                others["by hand"] = by_hand(chain, photo, entry, geometry, truth)
                tried = [result, *(chain.place(photo, entry.view, shape) for shape in shapes)]
                trials.append([(t.placement_cost, placed(t, truth)) for t in tried])
            photos.append(
                {
                    "view": entry.view,
                    "expected": facts.placement_error_mm,
                    "verdict": facts.placement_verdict,
                    "code": facts.code,
                    "seconds": result.seconds,
                    "placed": placed(result, truth),
                    "others": others,
                }
            )
        if trials:
            of_visit = photos[-len(visit.photos) :]
            for shown, fitted in zip(of_visit, with_fitted_shapes(trials), strict=True):
                shown["others"] |= fitted
        visits.append(VisitEvidence(visit.day, fuse(evidence, len(load_cells()), REPLICATES)))
    measures = measure_series(visits, chart_facts(body, "personal"), MeasureSettings())
    return {
        "patient": patient,
        "tone": None if seed is None else monk_tone(make_case(seed, None, adult=is_adult(seed))),
        "photos": photos,
        "counted": [found.estimates["counted_bsa"] for found in measures.visits],
        "true": [
            visit["percent_if_no_dressing"]["detached"]
            + visit["percent_if_no_dressing"]["detachable"]
            for visit in json.loads((folder / "truth" / "truth.json").read_text())["visits"]
        ],
    }


def assess_rendered(out: Path, seed: int, model: str) -> dict[str, Any]:
    """One of our patients."""
    return assess(rendered(out, seed), model, seed)


def strata(patient: Patient, tone: int) -> dict[str, tuple[int, str]]:
    """The group of each kind that a patient is in: its place in the table and its name."""
    age, index = patient.age_years, patient.weight_kg / (patient.height_cm / 100) ** 2

    def band(value: float, ends: tuple[int, ...]) -> tuple[int, str]:
        place = sum(value >= end for end in ends)
        if place == len(ends):
            return place, f"{ends[-1]} and above"
        return place, f"{ends[place - 1]} to {ends[place]}" if place else f"below {ends[0]}"

    lighter = tone - (tone + 1) % 2
    return {
        "sex": (int(patient.sex == "male"), patient.sex),
        "age": band(age, (6, 18, 45, 65)),
        "BMI": band(index, (18, 25, 30)) if age >= ADULT_YEARS else (-1, "child"),
        "Monk": (lighter, f"{lighter}-{lighter + 1}"),
    }


def line(name: str, rows: list[dict[str, Any]], photos: list[dict[str, Any]]) -> str:
    """One stratum as a line of a table."""
    good = [p for p in photos if p["placed"]]
    used = [p for p in good if p["verdict"] == "use"]

    def errors(chosen: list[dict[str, Any]]) -> str:
        if not chosen:
            return "- | -"
        pooled = np.concatenate([p["placed"]["error"] for p in chosen])
        return f"{np.median(pooled):.1f} | {np.quantile(pooled, 0.95):.1f}"

    visits = [
        (counted, true)
        for row in rows
        for counted, true in zip(row["counted"], row["true"], strict=True)
    ]
    known = [(counted, true) for counted, true in visits if counted.percent is not None]
    off = [abs(counted.percent - true) for counted, true in known]
    held = [counted.low <= true <= counted.high for counted, true in known]
    points = f"{np.mean(off):.2f} ({sum(held)} of {len(visits)})" if known else ""
    astray = (
        f"{sum(p['placed']['astray'] for p in good)}, {sum(p['placed']['astray'] for p in used)}"
    )
    covered = np.mean([p["placed"]["covered"] for p in good]) if good else 0.0
    return (
        f"| {name} | {len(rows) or ''} | {points} | {len(photos)} | {errors(good)} | {covered:.0%} "
        f"| {len(used) / max(len(photos), 1):.0%} | {errors(used)} | {astray} |"
    )


def report(rows: list[dict[str, Any]]) -> None:
    """The tables, in Markdown."""
    photos = [p for row in rows for p in row["photos"]]
    print(
        "| | patients | counted BSA off (intervals that hold) | photos | median mm | 95 % | "
        'of visible skin | "use" | median mm of these | 95 % | astray: all, "use" |'
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    print(line("all", rows, photos))
    ours = [row for row in rows if row["tone"] is not None]
    for kind in ("sex", "age", "BMI", "Monk"):
        grouped = [(strata(row["patient"], row["tone"])[kind], row) for row in ours]
        for group in sorted({group for group, _ in grouped}):
            chosen = [row for other, row in grouped if other == group]
            print(line(f"{kind} {group[1]}", chosen, [p for r in chosen for p in r["photos"]]))
    for view in dict.fromkeys(p["view"] for p in photos):
        print(line(view, [], [p for p in photos if p["view"] == view]))
    refused = [p["code"] for p in photos if not p["placed"]]
    print("refused:", {code: refused.count(code) for code in sorted(set(map(str, refused)))})
    stages = dict.fromkeys(stage for p in photos for stage in p["seconds"])
    of_stage = {s: [p["seconds"][s] for p in photos if s in p["seconds"]] for s in stages}
    print("seconds:", {s: round(float(np.mean(times)), 3) for s, times in of_stage.items()})
    for way in dict.fromkeys(way for p in photos for way in p["others"]):
        pairs = [(p["others"][way], p["placed"]) for p in photos if way in p["others"]]
        both = [pair for pair in pairs if pair[0] and pair[1]]
        other, same = (np.concatenate([pair[k]["error"] for pair in both]) for k in (0, 1))
        print(
            f"{way}: {len(both)} of {len(pairs)} photos placed by both, median "
            f"{np.median(other):.1f}, 95 % {np.quantile(other, 0.95):.1f} mm; as shipped "
            f"{np.median(same):.1f}, {np.quantile(same, 0.95):.1f}"
            + (" (alone: in space on the plain body)" if way == "network alone" else "")
        )


def reliability(rows: list[dict[str, Any]], picture: Path | None) -> None:
    """Expected against found, photos in groups from the surest to the least sure."""
    pairs = np.array(
        [
            (p["expected"], float(np.median(p["placed"]["error"])))
            for row in rows
            for p in row["photos"]
            if p["placed"] and p["expected"] is not None
        ]
    )
    parts = np.array_split(pairs[np.argsort(pairs[:, 0])], GROUPS)
    print("expected, found:", [tuple(np.round(np.median(part, axis=0), 1)) for part in parts])
    if picture is None:
        return
    figure, axes = plt.subplots(figsize=(5.4, 5.0), layout="constrained")
    axes.scatter(*pairs.T, s=9, color="#9cc4dd", label="a photo")
    medians = np.array([np.median(part, axis=0) for part in parts])
    axes.plot(*medians.T, "o-", color="#1f5f8b", label="median of a sixth of the photos")
    ends = (4, max(150, 1.1 * float(pairs.max())))
    axes.plot(ends, ends, color="#777", lw=1, label="as expected")
    axes.axvline(USED_WITHIN_MM, color="#777", lw=1, ls=":")
    axes.annotate(
        f'"use" up to {USED_WITHIN_MM:.0f} mm',
        (1.04 * USED_WITHIN_MM, 4.3),
        color="#555",
        fontsize=9,
    )
    axes.set(xscale="log", yscale="log", xlim=ends, ylim=ends, aspect="equal")
    ticks = (5, 10, 20, 50, 100)
    axes.set_xticks(ticks, ticks)
    axes.set_yticks(ticks, ticks)
    axes.minorticks_off()
    axes.set_xlabel("expected placement error, mm")
    axes.set_ylabel("found: median over the photo's cells, mm")
    axes.legend(frameon=False, loc="upper left")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    figure.savefig(picture, dpi=110)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--series", action="store_true", help="OUT is a rendered series")
    parser.add_argument("--patients", type=int, default=40)
    parser.add_argument("--first", type=int, default=940_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--places", default=DEFAULT_PLACES)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--render-only", action="store_true")
    given = parser.parse_args()
    if given.series:
        report([assess(given.out, given.places, None)])
        return
    seeds = range(given.first, given.first + given.patients)
    with ProcessPoolExecutor(given.workers, mp_context=get_context("spawn")) as pool:
        if given.render_only:
            list(pool.map(rendered, [given.out] * len(seeds), seeds))
            return
        jobs = [pool.submit(assess_rendered, given.out, seed, given.places) for seed in seeds]
        rows = [job.result() for job in jobs]
    (given.out / f"rows-{Path(given.places).name}.pickle").write_bytes(pickle.dumps(rows))
    report(rows)
    reliability(rows, given.picture)


if __name__ == "__main__":
    main()
