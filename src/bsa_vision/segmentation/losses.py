"""The training loss and the class weights in it."""

from collections.abc import Sequence

import numpy as np
import segmentation_models_pytorch as smp
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from bsa_vision.segmentation.dataset import IGNORED, TrainingFolder, class_indices


def class_weights(
    counts: NDArray[np.int64], power: float, limits: tuple[float, float] = (0.5, 2.5)
) -> NDArray[np.float32]:
    """Weights that favour rare classes, (most frequent / count)^power, mean 1, clipped.

    The power is small on purpose: full inverse frequency would make the network report more of the
    rare states than there is, and area is what is measured. A class that does not occur gets 1.
    """
    occurring = counts > 0
    weights = np.ones(len(counts))
    weights[occurring] = (counts.max() / counts[occurring]) ** power
    weights[occurring] /= weights[occurring].mean()
    return np.clip(weights, *limits).astype(np.float32)


def count_pixels(folder: TrainingFolder, names: Sequence[str]) -> NDArray[np.int64]:
    """Pixels of each class in the masks; all of them, or a rare class could be missed."""
    n = len(folder.classes)
    counts = np.zeros(n, dtype=np.int64)
    for name in names:
        indices = class_indices(folder.read_codes(name), tuple(folder.classes))
        counts += np.bincount(indices[indices != IGNORED], minlength=n)
    return counts


class CrossEntropyAndDice(nn.Module):
    """Weighted cross-entropy plus `dice_share` times the soft Dice loss pooled over the batch."""

    def __init__(self, weights: NDArray[np.float32], dice_share: float) -> None:
        super().__init__()
        self.register_buffer("weights", torch.from_numpy(weights))
        self.dice_share = dice_share
        self._dice = smp.losses.DiceLoss("multiclass", from_logits=True, ignore_index=IGNORED)

    weights: Tensor

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Mean loss of logits (n, c, h, w) against class indices (n, h, w), `IGNORED` left out."""
        logits, target = logits.float(), target.long()
        cross_entropy = functional.cross_entropy(
            logits, target, weight=self.weights, ignore_index=IGNORED
        )
        dice: Tensor = self._dice(logits, target)
        return cross_entropy + self.dice_share * dice
