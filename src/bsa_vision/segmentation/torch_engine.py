"""The torch engine: the same graph from the weights file, on a GPU where there is one."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from bsa_vision.segmentation.card import WEIGHTS_FILE, ModelCard, check_files
from bsa_vision.segmentation.export import build_network
from bsa_vision.segmentation.model import deployed, placed

Pixels = NDArray[np.uint8]


class TorchRunner:
    """Float32 torch, channels last. May be called from several threads."""

    def __init__(self, folder: Path, card: ModelCard) -> None:
        check_files(folder, card, (WEIGHTS_FILE,))
        network = build_network(
            folder, card.architecture, len(card.classes), mirrored=card.mirrored
        )
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        if self._device.type == "cuda":
            # By default convolutions round to TF32 and may add up in another order each time.
            # (torch's type stubs lack the attribute.)
            torch.backends.cudnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]  # torch's types lack it
            torch.backends.cudnn.deterministic = True
        self._graph = deployed(network, card)
        placed(self._graph, self._device)

    @property
    def name(self) -> str:
        """Engine and arithmetic."""
        return f"torch-{self._device.type}-fp32"

    def run(self, pixels: Pixels) -> tuple[Pixels, Pixels]:
        """Run one photo."""
        with torch.inference_mode():
            batch = torch.from_numpy(pixels)[None].to(self._device)
            index, probabilities = self._graph(batch)
        return (
            np.asarray(index[0].cpu().numpy(), np.uint8),
            np.asarray(probabilities[0].cpu().numpy(), np.uint8),
        )
