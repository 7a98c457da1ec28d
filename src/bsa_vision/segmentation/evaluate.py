"""Whole held-out images through a network: logits and confusion tables."""

from collections.abc import Callable, Iterator, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from bsa_vision.segmentation.dataset import TrainingFolder, class_indices
from bsa_vision.segmentation.metrics import Counts, confusion
from bsa_vision.segmentation.model import MULTIPLE, normalise
from bsa_vision.segmentation.padding import network_size, pad_to_multiple, resample
from bsa_vision.segmentation.tiling import TILE, blend

#: From uint8 pixels (h, w, 3) to logits (n_classes, h, w) on the processor.
LogitsOf = Callable[[NDArray[np.uint8]], Tensor]


def on_device(network: nn.Module, device: torch.device) -> LogitsOf:
    """The network as it is, in torch."""
    network.eval()

    def logits_of(pixels: NDArray[np.uint8]) -> Tensor:
        batch = torch.from_numpy(pixels).permute(2, 0, 1)[None].to(device)
        with torch.inference_mode():
            return network(normalise(batch))[0].float().cpu()  # type: ignore[no-any-return]  # modules are untyped

    return logits_of


def held_out_logits(
    logits_of: LogitsOf, folder: TrainingFolder, names: Sequence[str], long_side: int
) -> Iterator[tuple[Tensor, NDArray[np.uint8]]]:
    """Per image: logits (n_classes, h, w) and true class indices (h, w).

    Both are at network resolution; the mask is sampled at the nearest pixel. Logits of a tiled
    image are those of its blended probabilities.
    """
    for name in names:
        image, mask = folder.read(name)
        size = network_size((image.shape[1], image.shape[0]), long_side)
        pixels = pad_to_multiple(resample(image, size), MULTIPLE)
        if max(pixels.shape[:2]) <= TILE:
            logits = logits_of(pixels)
        else:
            blended = blend(pixels, lambda p: logits_of(p).softmax(dim=0).permute(1, 2, 0).numpy())
            logits = torch.from_numpy(blended).clamp_min(1e-7).log().permute(2, 0, 1)
        indices = class_indices(mask, tuple(folder.classes))
        truth = cv2.resize(indices, size, interpolation=cv2.INTER_NEAREST_EXACT)
        yield logits[:, : size[1], : size[0]], np.asarray(truth, np.uint8)


def count_images(
    network: nn.Module,
    folder: TrainingFolder,
    names: Sequence[str],
    long_side: int,
    device: torch.device,
) -> dict[str, Counts]:
    """Confusion table of each image, rows truth, in the order of the folder's classes."""
    logits = held_out_logits(on_device(network, device), folder, names, long_side)
    return {
        name: count_image(found, truth) for name, (found, truth) in zip(names, logits, strict=True)
    }


def count_image(scores: Tensor, truth: NDArray[np.uint8]) -> Counts:
    """Confusion table of one image's true class indices (h, w) and the classes of highest score.

    Scores are logits or probabilities (n_classes, h, w).
    """
    found = scores.argmax(dim=0).numpy().astype(np.uint8)
    return confusion(truth, found, range(len(scores)))
