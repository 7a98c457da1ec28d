"""Run a model of dense placement with OpenVINO."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bsa_vision.dense.api import STRIDE, PlaceMap, view_number
from bsa_vision.dense.card import DEFAULT_PLACES, PlaceCard, find_place_model, read_place_card
from bsa_vision.segmentation.card import NETWORK_FILES, check_files
from bsa_vision.segmentation.openvino_engine import OpenVinoGraph
from bsa_vision.segmentation.padding import network_size, pad_to_multiple, resample


class ModelPlaceFinder:
    """A `PlaceFinder` over OpenVINO, in float32: bfloat16 rounds places to half a centimetre."""

    def __init__(self, card: PlaceCard, graph: OpenVinoGraph) -> None:
        self._card, self._graph = card, graph

    @property
    def name(self) -> str:
        """Name of the model."""
        return self._card.name

    @property
    def digest(self) -> str:
        """SHA-256 over everything that decides the output."""
        return self._card.digest

    def find(self, pixels: NDArray[np.uint8], view: str) -> PlaceMap:
        """Places in an sRGB photo, uint8 (H, W, 3), of a stated view ("" for none)."""
        width, height = network_size((pixels.shape[1], pixels.shape[0]), self._card.long_side)
        padded = pad_to_multiple(resample(pixels, (width, height)), self._card.multiple)
        number = np.array([view_number(view)], np.int64)
        maps, views = self._graph.infer(np.ascontiguousarray(padded)[None], number)
        found = maps[0]
        # What lies in the padding alone is no part of the photo.
        found = found[: -(-height // STRIDE), : -(-width // STRIDE)]
        size = (width, height)
        return PlaceMap(
            size, found[..., 0], found[..., 1:4], found[..., 4], found[..., 5], views[0]
        )


def load_place_finder(
    name_or_path: str | Path = DEFAULT_PLACES, threads: int | None = None
) -> ModelPlaceFinder:
    """Load a model of dense placement.

    Raises
    ------
    InputError
        When there is no such model or its files are not those of its card.
    """
    folder = find_place_model(name_or_path)
    card = read_place_card(folder)
    check_files(folder, card, NETWORK_FILES)
    return ModelPlaceFinder(card, OpenVinoGraph(folder, threads, bfloat16=False))
