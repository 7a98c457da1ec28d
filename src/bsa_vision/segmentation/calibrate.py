"""How far the network's probabilities can be believed, and the temperature that mends them.

A temperature divides the logits and so changes how sure the network is, never which class it finds
most probable (C. Guo and others, "On calibration of modern neural networks", 2017).
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import nn
from torch.nn import functional

from bsa_vision.segmentation.dataset import IGNORED, TrainingFolder
from bsa_vision.segmentation.evaluate import held_out_logits

#: Temperatures that are believed; a fit at either end means that something else is wrong.
LIMITS = (0.25, 4.0)
BINS = 15
#: Every how many pixels, in each direction, an image is looked at when a temperature is fitted.
STRIDE = 4


def fit_temperature(
    network: nn.Module, folder: TrainingFolder, names: Sequence[str], long_side: int
) -> float:
    """The temperature of least negative log-likelihood per pixel on held-out images, 3 decimals."""
    logits, targets = [], []
    for found, truth in held_out_logits(network, folder, names, long_side, torch.device("cpu")):
        target = torch.from_numpy(truth[::STRIDE, ::STRIDE].astype(np.int64)).ravel()
        kept = target != IGNORED
        sampled = found[:, ::STRIDE, ::STRIDE].flatten(1).T
        logits.append(sampled[kept])
        targets.append(target[kept])
    all_logits, all_targets = torch.cat(logits), torch.cat(targets)
    if not len(all_targets):
        return 1.0

    def cost(log_temperature: float) -> float:
        scaled = all_logits / float(np.exp(log_temperature))
        return float(functional.cross_entropy(scaled, all_targets))

    found = minimize_scalar(cost, bounds=np.log(LIMITS).tolist(), method="bounded")
    return round(float(np.exp(found.x)), 3)


def tally(probabilities: NDArray[np.float32], truth: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Pixels, sum of the highest probability, and pixels found right, by bin: (3, `BINS`).

    Parameters
    ----------
    probabilities : (n_classes, h, w), 0 to 1.
    truth : (h, w) class indices; `IGNORED` is left out.
    """
    kept = truth != IGNORED
    sure = probabilities.max(axis=0)[kept].astype(np.float64)
    right = (probabilities.argmax(axis=0) == truth)[kept]
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    return np.stack(
        [np.bincount(bins, weights, BINS) for weights in (np.ones_like(sure), sure, right)]
    )


def reliability_document(table: NDArray[np.float64]) -> dict[str, Any]:
    """Expected calibration error and the points of the reliability diagram, from `tally`'s sums."""
    count, sure, right = table
    met = count > 0
    error = float(np.abs(sure - right)[met].sum() / count.sum()) if met.any() else None
    return {
        "ece": error,
        "bins": [
            {"share": c / count.sum(), "probability": s / c, "right": r / c}
            for c, s, r in zip(count[met], sure[met], right[met], strict=True)
        ],
    }
