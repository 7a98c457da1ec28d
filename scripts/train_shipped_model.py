"""Render the training photos and train the model that ships, end to end.

Each step is taken up again where it was interrupted; photos already rendered are kept.

    python scripts/train_shipped_model.py --work build/training

With BSA_VISION_DATA set, the CC0 skin maps in its `skin_textures` folder are used beside the
procedural skin; without it all skin is procedural. No photo of a real patient, no pretrained
weights and no acceptance data go in.
"""

import argparse
import json
import os
import sys
from dataclasses import replace
from pathlib import Path

import torch

from bsa_vision.phantom.training import PhotoMix, write_training_set
from bsa_vision.segmentation.card import DEFAULT_MODEL
from bsa_vision.segmentation.export import export_model
from bsa_vision.segmentation.train import TrainSettings, train

#: (width, height) of a training photo.
PHOTO_SIZE = (1024, 768)
#: At a long side of 1024 the usual photo of a whole body has 2 mm a pixel: lesions are speckled,
#: and coarser pixels lose them (docs/BENCHMARKS.md). Steps are many and data without end, so
#: nothing is stopped early.
SETTINGS = TrainSettings(
    long_side=1024,
    crop=448,
    batch=4,
    learning_rate=1.5e-3,
    average=0.9993,
    val_every=2000,
    val_images=24,
)
NOTES = (
    (
        "Training photos: renderings of synthetic patients (package `phantom`), skin made up or\n"
        "  from the five CC0 skin maps of the MakeHuman project; four of five with the colours\n"
        "  corrected by a card in their light. The held-out photos are the usual views of a study."
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
    parser.add_argument("--images", type=int, default=7200)
    parser.add_argument("--seed", type=int, default=50000, help="of the first photo")
    parser.add_argument("--usual", type=float, default=0.0, help="`PhotoMix.usual`")
    parser.add_argument("--middle", type=float, default=1.0, help="`PhotoMix.middle`")
    parser.add_argument("--late", type=float, default=0.0, help="`PhotoMix.late`")
    parser.add_argument("--shard", default="1/1", help="K/N renders one of N parts, and no more")
    parser.add_argument("--steps", type=int, default=20000, help="of training")
    parser.add_argument("--init", help="model to start from; random weights without")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--export-only", action="store_true", help="export the last checkpoint")
    return parser.parse_args()


def skin_textures() -> Path | None:
    root = os.environ.get("BSA_VISION_DATA")
    folder = Path(root) / "skin_textures" if root else None
    return folder if folder is not None and folder.is_dir() else None


def show(line: dict[str, object]) -> None:
    print(json.dumps(line), file=sys.stderr, flush=True)


def main() -> None:
    given = parse_arguments()
    data, run = given.work / "photos", given.work / "run"
    part, parts = (int(number) for number in given.shard.split("/"))
    if not given.export_only:
        write_training_set(
            data,
            given.images,
            given.seed,
            given.processes,
            size=PHOTO_SIZE,
            textures=skin_textures(),
            shard=(part, parts),
            mix=PhotoMix(given.usual, given.middle, given.late),
        )
        if parts > 1:
            return
        torch.set_num_threads(given.processes)
        settings = replace(SETTINGS, steps=given.steps)
        train(data, run, given.init, settings, show)
    card = export_model(run, data, given.models / given.name, NOTES)
    show({"model": card.name, "digest": card.digest})


if __name__ == "__main__":
    main()
