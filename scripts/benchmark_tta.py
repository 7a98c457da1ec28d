"""Whether looking at each photo mirrored as well pays: Dice and time with and without.

    python scripts/benchmark_tta.py --data DATA --model NAME [--images 100]

On the test part of a training folder, with the calibration of the model's card.
"""

import argparse
import json
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from bsa_vision.segmentation.card import find_model, read_card
from bsa_vision.segmentation.dataset import class_indices, read_training_folder
from bsa_vision.segmentation.export import build_network
from bsa_vision.segmentation.metrics import class_agreement, confusion, mean_dice
from bsa_vision.segmentation.model import deployed
from bsa_vision.segmentation.padding import network_size, pad_to_multiple, resample


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--images", type=int, default=100)
    given = parser.parse_args()
    folder, model = read_training_folder(given.data), find_model(given.model)
    card, names = read_card(model), tuple(folder.classes.values())
    for mirrored in (False, True):
        network = build_network(model, card.architecture, len(names), mirrored=mirrored)
        graph = deployed(network, card)
        counts, spent = np.zeros((len(names), len(names)), np.int64), 0.0
        for name in folder.split["test"][: given.images]:
            image, mask = folder.read(name)
            size = network_size(image.shape[1::-1], card.long_side)
            small = pad_to_multiple(resample(image, size), card.multiple)
            pixels = torch.from_numpy(small)[None]
            started = time.perf_counter()
            with torch.inference_mode():
                found = graph(pixels)[1]
            spent += time.perf_counter() - started
            found = found[0, : size[1], : size[0]].argmax(dim=2).numpy().astype(np.uint8)
            truth = class_indices(mask, tuple(folder.classes))
            truth = cv2.resize(truth, size, interpolation=cv2.INTER_NEAREST_EXACT)
            counts += confusion(truth, found, range(len(names)))
        agreement = class_agreement(counts, names)
        line = {
            "mirrored": mirrored,
            "mean_dice": round(mean_dice(agreement) or 0, 4),
            "dice": {a.name: a.dice and round(a.dice, 4) for a in agreement},
            "network_seconds": round(spent, 1),
        }
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
