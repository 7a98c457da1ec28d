"""Accuracy by skin tone, on the same patients, views and light in all ten Monk tones.

    python scripts/benchmark_skin_tones.py [--models NAME ...] [--scenes 40] [--first 2000000]
        [--same-looks]

Each scene is one that training never met (its patient is of the test part), rendered ten times with
nothing changed but the skin. Lesions lie in the same places for as long; their look is the first
that can be told on skin of that tone, of one series of looks, as for any patient of the renderer.
With ``--same-looks`` it is the one drawn for the patient's own tone, legible on the others or not.
Dice by tone of the pixels of all scenes pooled; several models see the same photos.
With BSA_VISION_DATA set, skin is also from the maps of its `skin_textures`, as in training: other
scenes than without.
"""

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import repeat
from multiprocessing import get_context

import cv2
import numpy as np

from bsa_vision.core.labels import LABEL_NAMES, N_LABELS
from bsa_vision.phantom.legibility import legible_lesion_look, margin
from bsa_vision.phantom.skin import with_monk_tone
from bsa_vision.phantom.training import SAMPLES_PER_PATIENT, part_of, prepare_sample
from bsa_vision.segmentation.metrics import class_agreement, confusion
from bsa_vision.segmentation.predict import load_segmenter
from bsa_vision.segmentation.registry import default_model
from train_shipped_model import PHOTO_SIZE, skin_textures

TONES = range(1, 11)
#: States whose mean Dice stands for a tone.
JUDGED = ("detachable", "detached", "reepithelialised")


def photograph(seed: int, same_looks: bool) -> list[tuple[np.ndarray, np.ndarray, bool]]:
    """Photo and mask of a scene in each tone, and whether its lesions can be told."""
    cv2.setNumThreads(1)
    photos = []
    for tone in TONES:
        sample = prepare_sample(seed, PHOTO_SIZE, skin_textures())
        case = sample.scene.case
        case = replace(case, skin=with_monk_tone(case.skin, tone))
        of_lesions = case.surface, case.course, case.skin
        if not same_looks:
            rng = np.random.default_rng([seed, 11])
            case = replace(case, lesions=legible_lesion_look(rng, *of_lesions))
        image, mask = replace(sample, scene=replace(sample.scene, case=case)).render()
        photos.append((image, mask, margin(case.lesions, *of_lesions) >= 1))
    return photos


def dice_of(table: np.ndarray) -> dict[str, float | None]:
    """Dice by state from a confusion (n, n)."""
    return {a.name: a.dice for a in class_agreement(table, LABEL_NAMES)}


def judged(dice: dict[str, float | None]) -> float:
    """Mean Dice of the judged states."""
    if missing := [state for state in JUDGED if dice[state] is None]:
        sys.exit(f"No scene has {' or '.join(missing)} skin: give more --scenes.")
    return float(np.mean([dice[state] for state in JUDGED]))


def spread(name: str, tables: np.ndarray) -> str:
    """How far the tones of confusions (10, n, n) lie apart, in words."""
    means = [judged(dice_of(table)) for table in tables]
    apart = max(means) - min(means)
    return f"{name}: best minus worst tone: {apart:.3f}, mean of all {np.mean(means):.3f}"


def report(name: str, tables: np.ndarray, legible: np.ndarray) -> None:
    """Lines of a model: Dice by tone from confusions (10, n, n), and shares of legible scenes."""
    for tone, table, told in zip(TONES, tables, legible, strict=True):
        dice = dice_of(table)
        rounded = {state: round(value, 3) for state, value in dice.items() if value is not None}
        line = {"monk": tone, "judged": round(judged(dice), 3), "legible": round(float(told), 2)}
        print(json.dumps(line | rounded), flush=True)
    print(spread(name, tables))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=[default_model()])
    parser.add_argument("--scenes", type=int, default=40)
    parser.add_argument("--first", type=int, default=2_000_000, help="first seed looked at")
    parser.add_argument("--same-looks", action="store_true", help="those of the patient's own tone")
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    seeds: list[int] = []
    seed = given.first
    while len(seeds) < given.scenes:
        if part_of(seed // SAMPLES_PER_PATIENT) == "test":
            seeds.append(seed)
        # One scene a patient.
        seed += SAMPLES_PER_PATIENT
    segmenters = [load_segmenter(name) for name in given.models]
    tables = np.zeros((len(segmenters), len(TONES), N_LABELS, N_LABELS), np.int64)
    legible = np.zeros(len(TONES), np.int64)
    with ProcessPoolExecutor(given.processes, mp_context=get_context("spawn")) as pool:
        shot = pool.map(photograph, seeds, repeat(given.same_looks))
        for done, photos in enumerate(shot, 1):
            for i, (image, mask, told) in enumerate(photos):
                legible[i] += told
                for segmenter, of_model in zip(segmenters, tables, strict=True):
                    found = segmenter.segment(image).labels_at(mask.shape[::-1])
                    of_model[i] += confusion(mask, found, range(N_LABELS))
            if done % 50 == 0:
                for name, of_model in zip(given.models, tables, strict=True):
                    print(f"{done} scenes: {spread(name, of_model)}", file=sys.stderr, flush=True)
    for name, of_model in zip(given.models, tables, strict=True):
        report(name, of_model, legible / len(seeds))


if __name__ == "__main__":
    main()
