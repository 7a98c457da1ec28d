"""The whole chain with the model's own masks and true landmarks on a rendered series.

    BSA_VISION_DATA=... .venv/bin/python scripts/benchmark_chain.py [--series DIR] [--noise PX]
        [--model NAME] [--workers 2] [--photos-only]

With `--photos-only` there are no landmarks: the photos place themselves.
Counted BSA per visit against truth, rates, Dice per class and the confusion table at full size.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from bsa_vision.app.masks import prepared_photo
from bsa_vision.app.score import score_many
from bsa_vision.core.labels import LABEL_NAMES, N_LABELS
from bsa_vision.segmentation.calibrate import BINS, reliability_document, tally
from bsa_vision.segmentation.metrics import class_agreement, confusion
from bsa_vision.segmentation.predict import load_segmenter
from bsa_vision.segmentation.registry import default_model
from true_landmarks import write_series


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--series", type=Path)
    parser.add_argument("--noise", type=float, default=0.0)
    parser.add_argument("--model")
    parser.add_argument("--photos-only", action="store_true")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="folder for the results; else a temporary one")
    args = parser.parse_args()
    folder = args.series or Path(os.environ["BSA_VISION_DATA"]) / "phantom_series"
    with tempfile.TemporaryDirectory() as scratch:
        marked = Path(scratch) / "series"
        if args.photos_only:
            marked = folder
        else:
            write_series(folder, marked, args.noise, masks=False)
        started = time.perf_counter()
        outcome = score_many(
            [marked],
            args.keep or Path(scratch) / "out",
            weighting="personal",
            masks="model",
            model=args.model,
            workers=args.workers,
            overwrite=True,
        )[0]
        took = time.perf_counter() - started
        report(outcome, json.loads((folder / "truth" / "truth.json").read_text()))
        show_confusion(outcome.out / "masks", folder / "truth")
        show_network(folder, args.model or default_model())
        photos = sum(len(visit["photos"]) for visit in outcome.document["visits"])
        print(f"{photos} photos in {took:.0f} s: {photos / took:.2f} photos/s")


def report(outcome, truth) -> None:
    print(outcome.status, outcome.reason or "")
    off = []
    for visit, true in zip(outcome.document["visits"], truth["visits"], strict=True):
        counted = visit["counted_bsa"]
        off.append(abs(counted["percent"] - true["counted_bsa"]))
        others = "  ".join(
            f"{name} {visit[name]['percent']:.1f}/{true['percent_of_skin'][name]:.1f}"
            for name in ("detached", "detachable", "reepithelialised", "erythema")
        )
        print(
            f"D{visit['day']:02d} counted {counted['percent']:.2f} ({counted['low']:.2f} to "
            f"{counted['high']:.2f}) truth {true['counted_bsa']:.2f}  {others}"
        )
    print(f"counted BSA: mean absolute error {np.mean(off):.2f}, worst {np.max(off):.2f}")
    rates = outcome.document["endpoints"]["reepithelialisation_rate"]
    for true in truth["visits"]:
        rate = rates.get(str(true["day"]))
        if rate:
            wanted = 100 * true["reepithelialisation_rate"]
            print(
                f"R{true['day']}: {rate['percent']} ({rate['low']} to {rate['high']}) {wanted:.1f}"
            )


def show_confusion(masks: Path, truth: Path) -> None:
    """Pooled over all photos: rows truth, columns found, percent of the row."""
    codes = range(N_LABELS)
    table = np.zeros((N_LABELS, N_LABELS), np.int64)
    for path in sorted(masks.rglob("*.png")):
        found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        stem = path.relative_to(masks).with_suffix(".mask.png")
        table += confusion(cv2.imread(str(truth / stem), cv2.IMREAD_UNCHANGED), found, codes)
    print(" " * 17 + "".join(f"{name[:9]:>10s}" for name in LABEL_NAMES) + "      Dice")
    for row, agreement in zip(table, class_agreement(table, LABEL_NAMES), strict=True):
        shares = "".join(f"{value:10.1f}" for value in 100 * row / max(row.sum(), 1))
        dice = "-" if agreement.dice is None else f"{agreement.dice:.3f}"
        print(f"{agreement.name:17s}{shares}{dice:>10s}")


def show_network(folder: Path, model: str) -> None:
    """The network alone: Dice, and how often the most probable class is right, by probability.

    It knows neither where the body is nor earlier visits.
    """
    segmenter = load_segmenter(model)
    table, counts = np.zeros((3, BINS)), np.zeros((N_LABELS, N_LABELS), np.int64)
    for path in sorted((folder / "truth").rglob("*.mask.png")):
        stem = path.relative_to(folder / "truth").as_posix().removesuffix(".mask.png")
        photo = prepared_photo(folder / f"{stem}.jpg", segmenter.classes)
        segmented = segmenter.segment(photo.pixels)
        found = segmented.probabilities
        truth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        truth = cv2.resize(truth, found.shape[1::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        counts += confusion(truth, segmented.labels, range(N_LABELS))
        table += tally(found.transpose(2, 0, 1).astype(np.float32) / 255, truth)
    dice = {a.name: round(a.dice, 3) for a in class_agreement(counts, LABEL_NAMES) if a.dice}
    print(f"network alone: {dice}")
    document = reliability_document(table)
    print(f"expected calibration error {document['ece']:.4f}")
    for row in document["bins"]:
        print(f"{row['probability']:6.2f} {row['right']:6.2f} {100 * row['share']:6.2f} %")


if __name__ == "__main__":
    main()
