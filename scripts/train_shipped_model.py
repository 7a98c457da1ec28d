"""Render the training photos and train the model that ships, end to end.

Each step is taken up again where it was interrupted; photos already rendered are kept.

    nice -n 5 python scripts/train_shipped_model.py --work build/training --minutes 60

With BSA_VISION_DATA set, the CC0 skin maps in its `skin_textures` folder are used beside the
procedural skin; without it all skin is procedural. No photo of a real patient, no pretrained
weights and no acceptance data go in.
"""

import argparse
import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import torch

from bsa_vision.calibration.calibrate import calibrate
from bsa_vision.calibration.records import ColourFit
from bsa_vision.core.errors import Refused
from bsa_vision.phantom.training import write_training_set
from bsa_vision.photo.decode import read_photo
from bsa_vision.segmentation.card import DEFAULT_MODEL
from bsa_vision.segmentation.export import export_model
from bsa_vision.segmentation.train import TrainSettings, train

#: (width, height) of a training photo: twice what the network sees, for crops drawn larger.
PHOTO_SIZE = (768, 576)
#: At a long side of 384 a crop of 192 sees about half of a photo; at 768 it sees a twelfth and
#: costs as much, and half an hour on two cores left the mean Dice at 0.40 (docs/BENCHMARKS.md).
SETTINGS = TrainSettings(long_side=384, crop=192, batch=8, learning_rate=1.5e-3, average=0.995)
#: A correction is used for training when it predicts left-out patches this well (mean dE00).
CREDIBLE_DE00 = 6.0
NOTES = (
    (
        "Training photos: renderings of synthetic patients (package `phantom`), skin made up or\n"
        "  from the five CC0 skin maps of the MakeHuman project."
    ),
    (
        "The model has never seen a photo of a real patient: expect it to be unreliable on real\n"
        "  skin until it has been trained and tested on annotated photos."
    ),
)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="photos and checkpoints")
    parser.add_argument("--models", type=Path, default=Path("models"), help="where models go")
    parser.add_argument("--name", default=DEFAULT_MODEL)
    parser.add_argument("--images", type=int, default=900)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60.0, help="of training")
    parser.add_argument("--steps", type=int, default=20000, help="of training, at most")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--export-only", action="store_true", help="export the last checkpoint")
    return parser.parse_args()


def skin_textures() -> Path | None:
    root = os.environ.get("BSA_VISION_DATA")
    folder = Path(root) / "skin_textures" if root else None
    return folder if folder is not None and folder.is_dir() else None


def correct_colours(source: Path, target: Path) -> None:
    """Copy a training folder with its photos corrected against their colour card, as at run time.

    Photos without a readable card stay as they are.
    """
    shutil.copytree(source / "masks", target / "masks", dirs_exist_ok=True)
    shutil.copy(source / "dataset.json", target / "dataset.json")
    (target / "images").mkdir(exist_ok=True)
    for path in sorted((source / "images").iterdir()):
        copy = target / "images" / path.name
        if copy.exists():
            continue
        photo = read_photo(path)
        colour = None if isinstance(photo, Refused) else calibrate(photo).colour
        error = colour.de00_loo_mean if isinstance(colour, ColourFit) else None
        if error is None or error > CREDIBLE_DE00:
            shutil.copy(path, copy)
            continue
        pixels = cv2.cvtColor(colour.apply(photo.pixels), cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(copy), pixels, [cv2.IMWRITE_JPEG_QUALITY, 95])


def show(line: dict[str, object]) -> None:
    print(json.dumps(line), file=sys.stderr, flush=True)


def main() -> None:
    given = parse_arguments()
    rendered, data, run = given.work / "photos", given.work / "corrected", given.work / "run"
    if not given.export_only:
        write_training_set(
            rendered,
            given.images,
            given.seed,
            given.processes,
            size=PHOTO_SIZE,
            textures=skin_textures(),
        )
        correct_colours(rendered, data)
        torch.set_num_threads(given.processes)
        settings = replace(
            SETTINGS, minutes=given.minutes, steps=given.steps, seed=given.seed, val_minutes=10.0
        )
        train(data, run, settings=settings, progress=show)
    card = export_model(run, data, given.models / given.name, NOTES)
    show({"model": card.name, "digest": card.digest})


if __name__ == "__main__":
    main()
