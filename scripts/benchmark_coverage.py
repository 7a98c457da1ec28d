"""Do nominal 90 % intervals cover the truth? Rendered patients, the shipped model, true landmarks.

    .venv/bin/python scripts/benchmark_coverage.py OUT [--patients 12] [--first 910000]
                                   [--workers 2] [--masks model] [--model NAME] [--forgetful]

Four visits a patient: areas, the maximum and the rates. `--forgetful` takes every visit alone, as
if there were no history of lost skin (`measures.history`). Renders what is not there yet, assesses
every photo once (kept in OUT/evidence), then measures; run again with other interval settings it
takes seconds. No training has seen the patients' seeds.
"""

import argparse
import json
import pickle
import sys
from pathlib import Path

import numpy as np

from bsa_vision.app.score import (
    PlannedSeries,
    fuse_visit,
    plan_series,
    run_settings,
    started_jobs,
)
from bsa_vision.core.provenance import document_digest
from bsa_vision.measures.history import with_history
from bsa_vision.measures.series import measure_series
from bsa_vision.measures.settings import MeasureSettings
from bsa_vision.phantom.series import render_series
from bsa_vision.pipeline import chart_facts

FIRST_SEED = 910_000
DAYS = (0, 5, 10, 15)
VIEWS = (
    "whole_front",
    "whole_back",
    "trunk_front",
    "trunk_back",
    "legs_front",
    "legs_back",
    "arm_left_front",
    "arm_right_back",
)
SIZE = (750, 1000)
STATES = ("counted_bsa", "detached", "detachable", "reepithelialised", "erythema")


def rendered(out: Path, seed: int, workers: int) -> Path:
    """The series folder of a patient, rendered once."""
    folder = out / f"patient-{seed}"
    if not (folder / "series.json").exists():
        render_series(folder, seed, DAYS, VIEWS, SIZE, workers=workers)
    return folder


def assessed(out: Path, folder: Path, masks: str, model: str | None, workers: int):
    """Evidence of every visit and the plan, computed once."""
    settings = run_settings("personal", masks, model)
    # What was assessed with other settings is assessed again.
    made_by = document_digest({"model": settings.model_digest, **settings.document()})[:12]
    cache = out / "evidence" / made_by / f"{folder.name}.pickle"
    plan = plan_series(folder, out / "scored" / masks / folder.name, settings, overwrite=True)
    if not isinstance(plan, PlannedSeries):
        sys.exit(f"{folder}: {plan.reason}")
    if cache.exists():
        return plan, pickle.loads(cache.read_bytes())  # noqa: S301  (our own file)
    with started_jobs(plan.jobs, workers) as waiting:
        photos = [outcome() for outcome in waiting]
    refused = [f"{p.job.entry.name}: {p.result.refused}" for p in photos if p.result.refused]
    visits = [fuse_visit(visit.day, photos) for visit in plan.series.visits]
    cache.parent.mkdir(parents=True, exist_ok=True)
    cache.write_bytes(pickle.dumps((visits, refused)))
    return plan, (visits, refused)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--patients", type=int, default=12)
    parser.add_argument("--first", type=int, default=FIRST_SEED, help="seed")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--masks", choices=("model", "given"), default="model")
    parser.add_argument("--model")
    parser.add_argument("--forgetful", action="store_true")
    parser.add_argument("--render-only", action="store_true")
    args = parser.parse_args()
    settings = MeasureSettings()
    rows, endpoints = [], []
    for seed in range(args.first, args.first + args.patients):
        folder = rendered(args.out, seed, args.workers)
        if args.render_only:
            continue
        plan, (visits, refused) = assessed(args.out, folder, args.masks, args.model, args.workers)
        if not args.forgetful:
            visits = with_history(visits, settings.history)
        truth = json.loads((folder / "truth" / "truth.json").read_text())
        measures = measure_series(visits, chart_facts(plan.body, "personal"), settings)
        for measured, true in zip(measures.visits, truth["visits"], strict=True):
            rows.append(row(measured, true))
            print(folder.name, describe(rows[-1]), f"refused {len(refused)}", flush=True)
        endpoints.append(endpoints_of(measures, truth))
    if rows:
        print(f"{len(rows)} visits, points of BSA")
        summarise([values for _, values in rows])
        print(f"{len(endpoints)} patients: the maximum in points of BSA, rates in percent of it")
        summarise(endpoints)


def without_dressings(true):
    """Percent of the skin in each state; what lies under a dressing is part of the truth."""
    wanted = dict(true["percent_if_no_dressing"])
    wanted["counted_bsa"] = wanted["detached"] + wanted["detachable"]
    return wanted


def row(measured, true):
    """(day, {state: (truth, estimate)})."""
    wanted = without_dressings(true)
    return measured.day, {name: (wanted[name], measured.estimates[name]) for name in STATES}


def endpoints_of(measures, truth):
    """{endpoint: (truth, estimate)}; rates are capped at 100, as they are reported."""
    wanted = {true["day"]: without_dressings(true) for true in truth["visits"]}
    largest = max(one["counted_bsa"] for one in wanted.values())
    found = {"maximum": (largest, measures.maximum.estimate)}
    for day, rate in measures.rates.items():
        if rate.estimate.percent is not None:
            true = 100 * wanted[day]["reepithelialised"] / largest
            found[f"R{day}"] = (min(true, 100.0), rate.estimate)
    return found


def describe(one) -> str:
    day, values = one
    truth, estimate = values["counted_bsa"]
    inside = estimate.low <= truth <= estimate.high
    return (
        f"D{day:02d} counted {estimate.percent:5.1f} ({estimate.low:5.1f} to {estimate.high:5.1f}) "
        f"truth {truth:5.1f} {'' if inside else 'MISSED'}"
    )


def summarise(rows) -> None:
    """Coverage and errors of each number over `rows`, {name: (truth, estimate)} each."""
    for name in dict.fromkeys(name for values in rows for name in values):
        pairs = [values[name] for values in rows if name in values]
        covered = np.mean([e.low <= t <= e.high for t, e in pairs])
        error = np.array([e.percent - t for t, e in pairs])
        width = np.mean([e.high - e.low for _, e in pairs])
        print(
            f"{name:17s} covered {covered:.0%}  mean absolute error {np.abs(error).mean():.2f}  "
            f"bias {error.mean():+.2f}  worst {np.abs(error).max():.2f}  mean width {width:.2f}"
        )


if __name__ == "__main__":
    main()
