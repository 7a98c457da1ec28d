"""To what power probabilities are best raised before areas are summed (a model card's area_power).

    python scripts/benchmark_area_power.py --data DATA --model NAME [--images 125]

Shares of the shown skin in each photo, from probabilities raised to each power, against the truth:
mean absolute error and bias in points, on one photo of each patient of the parts ``val``, where the
power is chosen, and ``test``. As on the body chart, only pixels that are skin in truth are looked
at, and of their probabilities those of skin states.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np

from bsa_vision.core.labels import COUNTED, SKIN_STATES, Label
from bsa_vision.segmentation.api import sharpened
from bsa_vision.segmentation.dataset import TrainingFolder, read_training_folder
from bsa_vision.segmentation.predict import ModelSegmenter, load_segmenter

#: The last is the most probable class, as good as.
POWERS = (1.0, 1.5, 2.0, 3.0, 5.0, 20.0)
JUDGED = {"counted": COUNTED, "reepithelialised": (Label.REEPITHELIALISED,)}


def errors(
    folder: TrainingFolder, names: list[str], segmenter: ModelSegmenter
) -> dict[str, np.ndarray]:
    """Found minus true share in points, (photos, powers), of each kind of skin."""
    rows: dict[str, list[list[float]]] = {kind: [] for kind in JUDGED}
    channels = [list(segmenter.classes).index(state) for state in SKIN_STATES]
    for name in names:
        image, mask = folder.read(name)
        found = segmenter.segment(image).probabilities
        truth = cv2.resize(mask, found.shape[1::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        skin = np.isin(truth, SKIN_STATES)
        if not skin.any():
            continue
        shares = []
        for power in POWERS:
            states = sharpened(found, power)[skin][:, channels].astype(np.float64)
            shares.append((states / np.maximum(states.sum(axis=1, keepdims=True), 1)).mean(axis=0))
        for kind, labels in JUDGED.items():
            true = np.isin(truth[skin], labels).mean()
            picked = [SKIN_STATES.index(label) for label in labels]
            rows[kind].append([100 * (share[picked].sum() - true) for share in shares])
    return {kind: np.array(found) for kind, found in rows.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--images", type=int, default=125)
    given = parser.parse_args()
    folder, segmenter = read_training_folder(given.data), load_segmenter(given.model)
    for part in ("val", "test"):
        first = {folder.patients[name]: name for name in reversed(folder.split[part])}
        found = errors(folder, sorted(first.values())[: given.images], segmenter)
        for i, power in enumerate(POWERS):
            line: dict[str, object] = {"part": part, "power": power}
            for kind, off in found.items():
                line[kind] = f"{np.abs(off[:, i]).mean():.2f} ({off[:, i].mean():+.2f})"
            print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
