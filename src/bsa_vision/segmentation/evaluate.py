"""Whole held-out images through a torch network: logits and confusion tables."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bsa_vision.segmentation.dataset import TrainingFolder, class_indices
from bsa_vision.segmentation.metrics import Counts, confusion
from bsa_vision.segmentation.model import MULTIPLE, normalise
from bsa_vision.segmentation.padding import network_size, pad_to_multiple, resample


def held_out_logits(
    network: nn.Module,
    folder: TrainingFolder,
    names: Sequence[str],
    long_side: int,
    device: torch.device,
) -> Iterator[tuple[Tensor, NDArray[np.uint8]]]:
    """Per image: logits (n_classes, h, w) on the CPU and true class indices (h, w).

    Both are at network resolution; the mask is sampled at the nearest pixel.
    """
    network.eval()
    for name in names:
        image, mask = folder.read(name)
        size = network_size((image.shape[1], image.shape[0]), long_side)
        pixels = pad_to_multiple(resample(image, size), MULTIPLE)
        batch = torch.from_numpy(pixels).permute(2, 0, 1)[None].to(device)
        with torch.inference_mode():
            logits = network(normalise(batch))[0, :, : size[1], : size[0]].float().cpu()
        indices = class_indices(mask, tuple(folder.classes))
        truth = cv2.resize(indices, size, interpolation=cv2.INTER_NEAREST_EXACT)
        yield logits, np.asarray(truth, np.uint8)


def count_images(
    network: nn.Module,
    folder: TrainingFolder,
    names: Sequence[str],
    long_side: int,
    device: torch.device,
) -> dict[str, Counts]:
    """Confusion table of each image, rows truth, in the order of the folder's classes."""
    codes = range(len(folder.classes))
    counted = {}
    logits = held_out_logits(network, folder, names, long_side, device)
    for name, (found, truth) in zip(names, logits, strict=True):
        counted[name] = confusion(truth, found.argmax(dim=0).numpy().astype(np.uint8), codes)
    return counted
