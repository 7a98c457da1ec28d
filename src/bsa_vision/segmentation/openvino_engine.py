"""The OpenVINO engine."""

from pathlib import Path
from threading import local
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bsa_vision.segmentation.card import NETWORK_FILES
from bsa_vision.segmentation.openvino_quiet import openvino

Pixels = NDArray[np.uint8]
#: Side of a picture that any graph takes: no encoder halves more than six times.
_SMALL = 64


class OpenVinoGraph:
    """A graph for the processor; each inference runs on one thread, several side by side."""

    def __init__(self, folder: Path, threads: int | None, *, bfloat16: bool) -> None:
        core = openvino.Core()
        bfloat16 &= "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self.name = "openvino-bf16" if bfloat16 else "openvino-fp32"
        settings: dict[str, str | int | bool] = {
            "INFERENCE_PRECISION_HINT": "bf16" if bfloat16 else "f32",
            "ENABLE_CPU_PINNING": False,
        }
        streams = threads or core.get_property("CPU", "RANGE_FOR_STREAMS")[1]
        settings |= {"INFERENCE_NUM_THREADS": streams, "NUM_STREAMS": streams}
        self._compiled = core.compile_model(str(folder / NETWORK_FILES[0]), "CPU", settings)
        self._local = local()

    def infer(self, *inputs: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        """What the graph gives for its inputs, in their order."""
        if not hasattr(self._local, "request"):
            self._local.request = self._compiled.create_infer_request()
        result = self._local.request.infer(list(inputs))
        return tuple(result[i] for i in range(len(self._compiled.outputs)))


class OpenVinoRunner:
    """A network of segmentation: bfloat16 where the processor computes in it, else float32."""

    def __init__(self, folder: Path, threads: int | None) -> None:
        self._graph = OpenVinoGraph(folder, threads, bfloat16=True)
        # OpenVINO's Python side sets itself up at its first result, and two threads that are there
        # at once wait for each other for ever.
        self.run(np.zeros((_SMALL, _SMALL, 3), np.uint8))

    @property
    def name(self) -> str:
        """Engine and arithmetic."""
        return self._graph.name

    def run(self, pixels: Pixels) -> tuple[Pixels, Pixels]:
        """Run one photo on one thread."""
        index, probabilities = self._graph.infer(pixels[None])
        return index[0], probabilities[0]
