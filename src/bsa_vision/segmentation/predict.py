"""Run a model: OpenVINO on the processor, torch on a GPU.

Every inference runs on one thread and several run side by side, so the masks are the same bytes
whatever number of threads or processes is at work.
"""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from bsa_vision.segmentation.api import Segmentation
from bsa_vision.segmentation.card import (
    NETWORK_FILES,
    ModelCard,
    check_files,
    find_model,
    read_card,
)
from bsa_vision.segmentation.openvino_engine import OpenVinoRunner
from bsa_vision.segmentation.padding import network_size, pad_to_multiple, resample
from bsa_vision.segmentation.registry import default_model
from bsa_vision.segmentation.tiling import run_tiled

Pixels = NDArray[np.uint8]
Engine = Literal["auto", "openvino", "torch"]
#: There where NVIDIA's driver is loaded: a machine without one need not import torch to know.
GPU_DEVICE = Path("/dev/nvidiactl")


class GraphRunner(Protocol):
    """Runs a deployed graph. May be called from several threads."""

    @property
    def name(self) -> str:
        """Engine and arithmetic, such as ``openvino-fp32``."""
        ...

    def run(self, pixels: Pixels) -> tuple[Pixels, Pixels]:
        """Pixels (h, w, 3) -> class indices (h, w) and probabilities x 255 (h, w, n), all uint8."""
        ...


class ModelSegmenter:
    """A `Segmenter` over any engine."""

    def __init__(self, card: ModelCard, runner: GraphRunner) -> None:
        self.card = card
        self._runner = runner
        self._codes = np.array(list(card.classes), dtype=np.uint8)

    @property
    def name(self) -> str:
        """Name of the model and of the engine that runs it."""
        return f"{self.card.name} ({self._runner.name})"

    @property
    def digest(self) -> str:
        """SHA-256 over everything in the model that decides the output."""
        return self.card.digest

    @property
    def classes(self) -> Mapping[int, str]:
        """Mask code -> class name, in the order of the probability channels."""
        return self.card.classes

    @property
    def area_power(self) -> float:
        """What probabilities are raised to before areas are summed, 1 for nothing."""
        return self.card.area_power

    def segment(self, pixels: Pixels) -> Segmentation:
        """Label an sRGB photo, uint8 (H, W, 3). May be called from several threads."""
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
            msg = f"pixels: need uint8 (H, W, 3), got {pixels.dtype} {pixels.shape}"
            raise ValueError(msg)
        width, height = network_size((pixels.shape[1], pixels.shape[0]), self.card.long_side)
        padded = pad_to_multiple(resample(pixels, (width, height)), self.card.multiple)
        index, probabilities = run_tiled(np.ascontiguousarray(padded), self._runner.run)
        return Segmentation(
            labels=self._codes[index[:height, :width]],
            probabilities=probabilities[:height, :width],
        )


def load_segmenter(
    name_or_path: str | Path | None = None, threads: int | None = None, engine: Engine = "auto"
) -> ModelSegmenter:
    """Load a model.

    Parameters
    ----------
    name_or_path : name of an installed model, or its folder (None: the default model).
    threads : photos that can be segmented side by side (None: as many as the machine has cores).
    engine : ``auto`` is torch where it is installed and finds a GPU, else OpenVINO; ``torch`` runs
        on a GPU where there is one, else on the processor.

    Raises
    ------
    InputError
        When there is no such model or its files are not those of its card.
    """
    folder = find_model(default_model() if name_or_path is None else name_or_path)
    card = read_card(folder)
    if engine == "torch" or (engine == "auto" and _finds_gpu()):
        # Imported here: torch takes seconds to import and the usual engine does without it
        from bsa_vision.segmentation.torch_engine import TorchRunner  # noqa: PLC0415 - torch is slow to load

        return ModelSegmenter(card, TorchRunner(folder, card))
    check_files(folder, card, NETWORK_FILES)
    return ModelSegmenter(card, OpenVinoRunner(folder, threads))


def _finds_gpu() -> bool:
    """Whether torch is there and can run on a GPU; only where there is a driver is it imported."""
    if not GPU_DEVICE.exists() or find_spec("torch") is None:
        return False
    import torch  # noqa: PLC0415 - not needed without a GPU

    return torch.cuda.is_available()
