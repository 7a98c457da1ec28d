"""Whole held-out images through a torch network: confusion tables and calibration."""

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bsa_vision.segmentation.dataset import IGNORED, TrainingFolder, class_indices
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


def evaluate_network(
    network: nn.Module,
    folder: TrainingFolder,
    names: Sequence[str],
    long_side: int,
    device: torch.device,
) -> Counts:
    """Pooled confusion table over images, rows truth, in the order of the folder's classes."""
    n = len(folder.classes)
    counts = np.zeros((n, n), dtype=np.int64)
    for logits, truth in held_out_logits(network, folder, names, long_side, device):
        predicted = logits.argmax(dim=0).numpy().astype(np.uint8)
        counts += confusion(truth, predicted, range(n))
    return counts


def fit_calibration(logits: Tensor, truth: Tensor) -> tuple[float, Tensor]:
    """Temperature and class shifts that minimise the negative log-likelihood.

    The calibrated logits are ``logits / temperature + shift``: the temperature sets how sure the
    network may be (Guo et al. 2017), the shifts (mean 0) undo what seeking out rare classes in
    training did to how often it names them, so that areas summed over probabilities are unbiased.

    Parameters
    ----------
    logits : (n_pixels, n_classes).
    truth : (n_pixels,) class indices.

    Returns
    -------
    The temperature and the shifts (n_classes,); a class that does not occur keeps shift 0.
    """
    occurring = torch.bincount(truth, minlength=logits.shape[1]) > 0
    steepness = torch.zeros(1, requires_grad=True)
    shift = torch.zeros(logits.shape[1], requires_grad=True)
    optimiser = torch.optim.LBFGS([steepness, shift], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = functional.cross_entropy(logits * steepness.exp() + shift * occurring, truth)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    final = shift.detach() * occurring
    final = torch.where(occurring, final - final[occurring].mean(), final)
    return float(torch.exp(-steepness.detach())), final


def calibrate_logits(
    network: nn.Module,
    folder: TrainingFolder,
    names: Sequence[str],
    long_side: int,
    stride: int = 7,
) -> tuple[float, Tensor]:
    """`fit_calibration` on every `stride`-th pixel, both ways, of held-out images."""
    device = torch.device("cpu")
    values, targets = [], []
    for logits, truth in held_out_logits(network, folder, names, long_side, device):
        thin_truth = torch.from_numpy(truth[::stride, ::stride].astype(np.int64)).ravel()
        thin = logits[:, ::stride, ::stride].flatten(1).T
        labelled = thin_truth != IGNORED
        values.append(thin[labelled])
        targets.append(thin_truth[labelled])
    return fit_calibration(torch.cat(values), torch.cat(targets))
