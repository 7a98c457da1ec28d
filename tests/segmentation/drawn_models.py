"""Locked sets of drawn photos, and real models that know a drawn photo by its colours."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from tests.segmentation.conftest import COLOURS, draw_photo
from torch import Tensor, nn

from bsa_vision.segmentation.card import (
    MODEL_FILES,
    SKIN_CLASSES,
    WEIGHTS_FILE,
    Architecture,
    ModelCard,
    file_sha256,
)
from bsa_vision.segmentation.export import write_graph
from bsa_vision.segmentation.model import MEAN, MULTIPLE, STD

#: The colours of each label on light and on dark skin.
LIGHT, DARK = COLOURS, COLOURS // 2

CARD = ModelCard(
    name="",
    classes=SKIN_CLASSES,
    architecture=Architecture("tu-test_efficientnet", (8, 8, 8, 8)),
    long_side=160,
    multiple=MULTIPLE,
    mean=MEAN,
    std=STD,
    temperature=1.0,
    files={},
    training={"data": {"digest": "0" * 64}, "notes": ["Trained on nothing."]},
)


class NearestColour(nn.Module):
    """Logits that are largest for the class with the nearest colour in any of the palettes.

    -|x - c|^2 / 1000 without the term that all classes share is linear in the colour x.
    """

    def __init__(self, palettes: Sequence[NDArray[np.uint8]]) -> None:
        super().__init__()
        mean, std = torch.tensor(MEAN), torch.tensor(STD)
        self.distances = nn.ModuleList()
        for palette in palettes:
            colours = torch.tensor(palette.astype(np.float32))
            layer = nn.Conv2d(3, len(colours), 1)
            layer.weight.data = (2 * colours * std / 1000)[:, :, None, None]
            layer.bias.data = (2 * colours @ mean - (colours**2).sum(1)) / 1000
            self.distances.append(layer)

    def forward(self, images: Tensor) -> Tensor:
        return torch.stack([layer(images) for layer in self.distances]).amax(0)


def write_model(
    folder: Path,
    palettes: Sequence[NDArray[np.uint8]] = (LIGHT, DARK),
    card: ModelCard = CARD,
) -> ModelCard:
    """A model folder whose graph is real; its weights are not, for the OpenVINO engine alone."""
    folder.mkdir(parents=True)
    card = replace(card, name=folder.name)
    write_graph(NearestColour(palettes).eval(), card, folder)
    (folder / WEIGHTS_FILE).write_bytes(b"none")
    return _described(folder, card)


def write_files(folder: Path, content: bytes = b"a", name: str | None = None) -> ModelCard:
    """A model folder that is whole but cannot run: a card and files with `content`."""
    folder.mkdir(parents=True)
    for file in MODEL_FILES:
        (folder / file).write_bytes(content)
    return _described(folder, replace(CARD, name=folder.name if name is None else name))


def _described(folder: Path, card: ModelCard) -> ModelCard:
    card = replace(card, files={name: file_sha256(folder / name) for name in MODEL_FILES})
    card.write(folder)
    (folder / "MODEL_CARD.md").write_text("# For people\n")
    return card


def write_locked(
    root: Path,
    patients: Mapping[str, int] = {"light": 6, "dark": 5, "tanned": 2},
    first_seed: int = 900,
) -> Path:
    """A training folder with two photos of each patient, of so many patients of each skin tone."""
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    whose, groups = {}, {}
    tones = [tone for tone, number in patients.items() for _ in range(number)]
    for i in range(2 * len(tones)):
        tone, name = tones[i // 2], f"p{i // 2:02d}_{i % 2}"
        image, mask = draw_photo(first_seed + i)
        if tone == "dark":
            image = image // 2
        cv2.imwrite(str(root / "images" / f"{name}.png"), image[:, :, ::-1])
        cv2.imwrite(str(root / "masks" / f"{name}.png"), mask)
        whose[name] = f"P{i // 2}"
        groups[name] = {"skin_tone": tone, "view": ("front", "back")[i % 2]}
    document = {
        "classes": {str(code): name for code, name in SKIN_CLASSES.items()},
        "patients": whose,
        "groups": groups,
    }
    (root / "dataset.json").write_text(json.dumps(document))
    return root
