"""Train several networks for the same computing time and compare accuracy with speed.

    python scripts/compare_architectures.py --data DATA --work build/architectures --minutes 12

Each network first takes a few steps to learn what a step of it costs on one thread. Then it trains
for as many steps as fit the minutes, is scored on the held-out patients of the folder (``val``) and
timed in OpenVINO on one thread. Run `--only NAME` in several processes to use several cores.
"""

import argparse
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from bsa_vision.segmentation.card import Architecture
from bsa_vision.segmentation.dataset import read_training_folder
from bsa_vision.segmentation.export import export_model
from bsa_vision.segmentation.openvino_engine import OpenVinoRunner
from bsa_vision.segmentation.train import NETWORK, RECORD, TrainSettings, train
from train_shipped_model import SETTINGS

_SLIM: Mapping[str, object] = {"channels": [32, 64, 128, 256], "stem_width": 16}
_UNET = (128, 64, 32, 16)
CANDIDATES = {
    "unet resnet10-slim": Architecture("tu-resnet10t", _UNET, _SLIM),
    "unet-scse resnet10-slim": Architecture(
        "tu-resnet10t", _UNET, _SLIM, decoder_options={"decoder_attention_type": "scse"}
    ),
    "deeplabv3plus resnet10-slim": Architecture(
        "tu-resnet10t", (), _SLIM, "deeplabv3plus", {"decoder_channels": 64}
    ),
    "deeplabv3plus-near resnet10-slim": NETWORK,
    "upernet resnet10-slim": Architecture(
        "tu-resnet10t", (), _SLIM, "upernet", {"decoder_channels": 48}
    ),
    "deeplabv3plus resnet10": Architecture(
        "tu-resnet10t", (), {}, "deeplabv3plus", {"decoder_channels": 96}
    ),
    "deeplabv3plus regnety-002": Architecture(
        "tu-regnety_002", (), {}, "deeplabv3plus", {"decoder_channels": 64}
    ),
    "unet mobilenetv4-small": Architecture("tu-mobilenetv4_conv_small_050", _UNET),
    "unet regnety-002": Architecture("tu-regnety_002", _UNET),
}
TIMED_STEPS = 12


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="training folder")
    parser.add_argument("--work", type=Path, required=True, help="runs and models")
    parser.add_argument("--minutes", type=float, default=12.0, help="of one core, for each")
    parser.add_argument("--only", nargs="*", choices=CANDIDATES, default=list(CANDIDATES))
    return parser.parse_args()


def step_seconds(data: Path, out: Path, settings: TrainSettings) -> float:
    """What a step costs, in processor seconds, without the set-up of the first."""
    spent = []
    for steps in (2, 2 + TIMED_STEPS):
        started = time.process_time()
        train(data, out / f"timing-{steps}", settings=replace(settings, steps=steps, val_images=1))
        spent.append(time.process_time() - started)
    return (spent[1] - spent[0]) / TIMED_STEPS


def milliseconds(model: Path) -> float:
    """Median of one photo of 512 x 384 in OpenVINO on one thread."""
    runner = OpenVinoRunner(model, threads=1)
    pixels = np.random.default_rng(0).integers(0, 256, (384, 512, 3)).astype(np.uint8)
    spent = []
    for _ in range(25):
        started = time.perf_counter()
        runner.run(pixels)
        spent.append(time.perf_counter() - started)
    return 1000 * float(np.median(spent[5:]))


def main() -> None:
    given = parse_arguments()
    torch.set_num_threads(1)
    read_training_folder(given.data)
    for name in given.only:
        out = given.work / name.replace(" ", "_")
        settings = replace(SETTINGS, architecture=CANDIDATES[name], workers=0)
        cost = step_seconds(given.data, out, settings)
        steps = int(60 * given.minutes / cost)
        settings = replace(settings, steps=steps, val_every=steps)
        train(given.data, out / "run", settings=settings)
        export_model(out / "run", given.data, out / "model")
        history = json.loads((out / "run" / RECORD).read_text())["history"]
        line = {
            "network": name,
            "step_seconds": round(cost, 3),
            "steps": settings.steps,
            "val": {c["name"]: c["dice"] for c in history[-1]["val"]["classes"]},
            "mean_dice": history[-1]["val"]["mean_dice"],
            "ms": round(milliseconds(out / "model"), 1),
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
