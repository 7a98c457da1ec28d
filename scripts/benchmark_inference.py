"""Speed of finding a mask, against torch eager and MONAI, in one run with the same weights.

    python scripts/benchmark_inference.py PHOTO... --truth DIR [--model NAME] [--work DIR]

PHOTO are photos of any size; each is also brought to 12 megapixels. Three ways from the same
decoded 12-megapixel pixels to a full-size uint8 mask: this package; torch eager in float32 (resize,
network, logits to full size, arg max); MONAI's `sliding_window_inference` over the same network and
the same resized pixels, then as torch. Then from the JPEG file to the mask with this package alone,
its memory measured in a process of its own: `bsa-vision predict` over all the photos. All may use
every core. MONAI is no dependency of the project: `pip install --no-deps monai`.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import torch
from torch.nn import functional

from bsa_vision.app.masks import found_labels, prepared_photo
from bsa_vision.segmentation.card import find_model, read_card
from bsa_vision.segmentation.export import build_network
from bsa_vision.segmentation.mask_file import encode_mask, read_mask
from bsa_vision.segmentation.metrics import class_agreement, confusion, mean_dice
from bsa_vision.segmentation.model import normalise
from bsa_vision.segmentation.padding import network_size, pad_to_multiple, resample
from bsa_vision.segmentation.predict import load_segmenter
from bsa_vision.segmentation.registry import default_model

Mask = np.ndarray
LONG, SHORT = 4032, 3024
#: Of MONAI's windows, as in its examples. A window is as large as the picture the network sees:
#: other sizes give other masks (256 x 256 cuts context off, 512 x 512 adds a black rim).
OVERLAP = 0.25
#: Runs a command and says its peak of memory in kB. A process of its own does it, because the
#: system counts the memory of who starts a command as the command's.
MEASURED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""


class Eager:
    """torch in float32, and MONAI over it, as a tutorial would do it."""

    def __init__(self, name: str) -> None:
        folder = find_model(name)
        self.card = read_card(folder)
        self.network = build_network(
            folder, self.card.architecture, len(self.card.classes), mirrored=self.card.mirrored
        )
        self.codes = np.array(list(self.card.classes), np.uint8)
        self.bias = torch.tensor(self.card.bias or (0.0,)).view(1, -1, 1, 1)

    def whole(self, pixels: np.ndarray) -> Mask:
        """The photo in one piece."""
        return self._mask(pixels, self.network)

    def windows(self, pixels: np.ndarray) -> Mask:
        """The photo in MONAI's windows."""
        from monai.inferers import sliding_window_inference  # noqa: PLC0415 (not always installed)

        return self._mask(
            pixels, lambda x: sliding_window_inference(x, x.shape[2:], 1, self.network, OVERLAP)
        )

    def _mask(self, pixels: np.ndarray, run: Callable[[torch.Tensor], torch.Tensor]) -> Mask:
        height, width = pixels.shape[:2]
        size = network_size((width, height), self.card.long_side)
        small = pad_to_multiple(resample(pixels, size), self.card.multiple)
        with torch.inference_mode():
            images = normalise(torch.from_numpy(small).permute(2, 0, 1)[None].contiguous())
            logits = run(images)[:, :, : size[1], : size[0]] / self.card.temperature + self.bias
            full = functional.interpolate(logits, (height, width), mode="bilinear")
            return self.codes[full.argmax(dim=1)[0].numpy()]


def enlarged(path: Path) -> np.ndarray:
    image = cv2.imread(os.fspath(path), cv2.IMREAD_COLOR_RGB)
    wide = image.shape[1] >= image.shape[0]
    return cv2.resize(
        image, (LONG, SHORT) if wide else (SHORT, LONG), interpolation=cv2.INTER_CUBIC
    )


def timed(find: Callable[[np.ndarray], Mask], photos: list[np.ndarray]) -> tuple[float, list[Mask]]:
    """Median seconds a photo, one after the other, and the masks."""
    find(photos[0])
    spent, masks = [], []
    for photo in photos:
        started = time.perf_counter()
        masks.append(find(photo))
        spent.append(time.perf_counter() - started)
    return float(np.median(spent)), masks


def dice(truths: list[Mask], masks: list[Mask], codes: np.ndarray) -> float:
    counts = sum(confusion(t, m, codes.tolist()) for t, m in zip(truths, masks, strict=True))
    return float(mean_dice(class_agreement(counts, [str(c) for c in codes])) or 0)


def files_to_masks(files: list[Path], model: str) -> dict[str, float]:
    """Seconds from a JPEG to its mask, one by one and side by side, and the peak of memory, MB."""
    segmenter = load_segmenter(model)

    def one(path: Path) -> float:
        started = time.perf_counter()
        encode_mask(found_labels(prepared_photo(path, segmenter.classes), segmenter))
        return time.perf_counter() - started

    one(files[0])
    single = [one(path) for path in files]
    started = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, files))
    together = (time.perf_counter() - started) / len(files)
    command = [Path(sys.executable).with_name("bsa-vision"), "predict", *files]
    command += ["--model", model, "--out", files[0].parent / "masks"]
    measured = [sys.executable, "-c", MEASURED, *command]
    peak = int(subprocess.run(measured, check=True, stdout=subprocess.PIPE).stdout) / 2**10
    return {"median": float(np.median(single)), "side_by_side": together, "peak_MB": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument(
        "--truth", type=Path, required=True, help="folder of masks NAME.mask.png of the photos"
    )
    parser.add_argument("--model", default=default_model())
    parser.add_argument("--work", type=Path, default=Path("build/inference"))
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    files = []
    for path in given.photos:
        files.append(given.work / f"{path.stem}.jpg")
        cv2.imwrite(
            os.fspath(files[-1]), enlarged(path)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90]
        )
    line: dict[str, object] = {"files": files_to_masks(files, given.model)}
    photos = [cv2.imread(os.fspath(path), cv2.IMREAD_COLOR_RGB) for path in files]
    eager, segmenter = Eager(given.model), load_segmenter(given.model)

    def own(pixels: np.ndarray) -> Mask:
        return segmenter.segment(pixels).labels_at((pixels.shape[1], pixels.shape[0]))

    truths = [read_mask(given.truth / f"{path.stem}.mask.png") for path in given.photos]
    truths = [
        cv2.resize(t, p.shape[1::-1], interpolation=cv2.INTER_NEAREST_EXACT)
        for t, p in zip(truths, photos, strict=True)
    ]
    ways = {"own": own, "torch eager": eager.whole, "MONAI windows": eager.windows}
    for name, find in ways.items():
        seconds, masks = timed(find, photos)
        line[name] = {"seconds": seconds, "mean_dice": dice(truths, masks, eager.codes)}
    print(json.dumps(line, indent=1))


if __name__ == "__main__":
    main()
