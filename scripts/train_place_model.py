"""Train the model that places photos on the body, from rendered photos and their places.

    python scripts/train_place_model.py --data build/training/photos --work build/places

The photos are those of `train_shipped_model.py`. A run that was interrupted is taken up again.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from bsa_vision.dense.card import DEFAULT_PLACES
from bsa_vision.dense.train import PlaceSettings, export_places, train_places
from bsa_vision.segmentation.card import DEFAULT_MODEL
from train_shipped_model import show


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="rendered training photos")
    parser.add_argument("--work", type=Path, required=True, help="checkpoints")
    parser.add_argument("--models", type=Path, default=Path("models"), help="where models go")
    parser.add_argument("--name", default=DEFAULT_PLACES)
    parser.add_argument("--init", default=DEFAULT_MODEL, help="model of placement or segmentation")
    parser.add_argument("--steps", type=int, default=PlaceSettings.steps)
    parser.add_argument("--learning-rate", type=float, default=PlaceSettings.learning_rate)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    settings = replace(PlaceSettings(), steps=given.steps, learning_rate=given.learning_rate)
    train_places(given.data, given.work, given.init, settings, show)
    notes = {"init": given.init, "steps": given.steps}
    card = export_places(given.work, given.data, given.models / given.name, settings, notes)
    show({"model": card.name, "digest": card.digest, "held_out": card.training["held_out"]})


if __name__ == "__main__":
    main()
