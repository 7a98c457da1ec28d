"""Train in several ways for the same computing time, and compare accuracy with speed.

    python scripts/compare_training.py --data DATA --work build/comparison --minutes 10

What is varied is the network, the loss or the resolution. Each variant first takes a few steps to
learn what a step of it costs on one thread. Then it trains for as many steps as fit the minutes, is
scored on the held-out patients (parts ``val`` and ``test``) and timed in OpenVINO on one thread.
Run `--only NAME` in several processes to use several cores.
"""

import argparse
import json
import shutil
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
_NETWORKS = {
    "deeplabv3plus resnet10-slim": NETWORK,
    "deeplabv3plus resnet18-narrow": Architecture(
        "tu-resnet18d",
        (),
        {"channels": [32, 64, 160, 320], "stem_width": 16},
        "deeplabv3plus",
        {
            "decoder_channels": 96,
            "decoder_atrous_rates": [2, 4, 8],
            "decoder_aspp_separable": False,
            "decoder_aspp_dropout": 0.0,
        },
    ),
    "deeplabv3plus-wide-rates resnet10-slim": Architecture(
        "tu-resnet10t", (), _SLIM, "deeplabv3plus", {"decoder_channels": 64}
    ),
    "deeplabv3plus resnet10": Architecture(
        "tu-resnet10t", (), {}, "deeplabv3plus", {"decoder_channels": 96}
    ),
    "deeplabv3plus regnety-002": Architecture(
        "tu-regnety_002", (), {}, "deeplabv3plus", {"decoder_channels": 64}
    ),
    "upernet resnet10-slim": Architecture(
        "tu-resnet10t", (), _SLIM, "upernet", {"decoder_channels": 48}
    ),
    "unet resnet10-slim": Architecture("tu-resnet10t", _UNET, _SLIM),
    "unet-scse resnet10-slim": Architecture(
        "tu-resnet10t", _UNET, _SLIM, decoder_options={"decoder_attention_type": "scse"}
    ),
    "unet regnety-002": Architecture("tu-regnety_002", _UNET),
    "unet mobilenetv4-small": Architecture("tu-mobilenetv4_conv_small_050", _UNET),
}
#: Smaller crops than the shipped weights learn from: minutes are few, steps should not be.
_BASE = replace(SETTINGS, long_side=768, crop=320, average=0.999)
VARIANTS: dict[str, TrainSettings] = {
    **{name: replace(_BASE, architecture=network) for name, network in _NETWORKS.items()},
    "loss cross-entropy": replace(_BASE, class_power=0.0, dice_share=0.0),
    "loss cross-entropy + dice": replace(_BASE, class_power=0.0),
    "loss weighted cross-entropy": replace(_BASE, dice_share=0.0),
    "loss dice mostly": replace(_BASE, dice_share=2.0),
    # About as many pixels a step as with 768, and as large a part of the photo in a crop.
    "long side 512": replace(_BASE, long_side=512, crop=224, batch=8),
    "long side 1024": replace(_BASE, long_side=1024, crop=416, batch=2),
    "crops of 448": replace(_BASE, crop=448, batch=2),
    "loss of every pixel": replace(_BASE, loss_spacing=1),
}
TIMED_STEPS = 12


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="training folder")
    parser.add_argument("--work", type=Path, required=True, help="runs and models")
    parser.add_argument("--minutes", type=float, default=12.0, help="of one core, for each")
    parser.add_argument("--only", nargs="*", choices=VARIANTS, default=list(VARIANTS))
    return parser.parse_args()


def step_seconds(data: Path, out: Path, settings: TrainSettings) -> float:
    """What a step costs, in processor seconds, without the set-up of the first."""
    spent = []
    # A run that is done already would cost nothing.
    shutil.rmtree(out, ignore_errors=True)
    for steps in (2, 2 + TIMED_STEPS):
        started = time.process_time()
        train(data, out / f"timing-{steps}", settings=replace(settings, steps=steps, val_images=1))
        spent.append(time.process_time() - started)
    return (spent[1] - spent[0]) / TIMED_STEPS


def milliseconds(model: Path, long_side: int) -> float:
    """Median of one photo of 4:3 in OpenVINO on one thread."""
    runner = OpenVinoRunner(model, threads=1)
    pixels = (
        np.random.default_rng(0)
        .integers(0, 256, (long_side * 3 // 4, long_side, 3))
        .astype(np.uint8)
    )
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
        settings = replace(VARIANTS[name], workers=0)
        cost = step_seconds(given.data, out, settings)
        steps = int(60 * given.minutes / cost)
        settings = replace(settings, steps=steps, val_every=steps)
        train(given.data, out / "run", settings=settings)
        card = export_model(out / "run", given.data, out / "model")
        history = json.loads((out / "run" / RECORD).read_text())["history"]
        held_out = card.training["held_out"]
        line = {
            "variant": name,
            "step_seconds": round(cost, 3),
            "steps": settings.steps,
            "val_mean_dice": round(history[-1]["val"]["mean_dice"], 4),
            "test_mean_dice": round(held_out["mean_dice"], 4),
            "test": {c["name"]: c["dice"] and round(c["dice"], 3) for c in held_out["classes"]},
            "temperature": card.temperature,
            "ece": round(held_out["calibration"]["ece"], 4),
            "ms": round(milliseconds(out / "model", card.long_side), 1),
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
