"""A small training folder of drawn photos, and a model trained on it for a few seconds."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from bsa_vision.core.labels import LABEL_NAMES
from bsa_vision.segmentation.card import Architecture
from bsa_vision.segmentation.export import export_model
from bsa_vision.segmentation.train import TrainSettings, train

N_CLASSES = len(LABEL_NAMES)
#: One clearly different colour per label.
COLOURS = np.array(
    [
        (40, 90, 60),
        (225, 185, 160),
        (240, 130, 130),
        (130, 90, 140),
        (170, 20, 30),
        (250, 215, 120),
        (245, 245, 245),
    ],
    np.uint8,
)

TINY = TrainSettings(
    architecture=Architecture("tu-test_efficientnet", (24, 24, 16, 16)),
    long_side=128,
    crop=64,
    batch=8,
    steps=60,
    learning_rate=4e-3,
    average=0.9,
    workers=0,
)


def draw_photo(seed: int, size: tuple[int, int] = (160, 120)) -> tuple[np.ndarray, np.ndarray]:
    """Discs of every label on a background, with noise: image (H, W, 3) and mask (H, W)."""
    rng = np.random.default_rng(seed)
    width, height = size
    mask = np.zeros((height, width), np.uint8)
    for label in rng.permutation(np.repeat(np.arange(1, N_CLASSES), 2)):
        centre = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(mask, centre, int(rng.integers(15, 35)), int(label), -1)
    noisy = COLOURS[mask] + rng.normal(0, 8, (height, width, 3))
    return np.clip(noisy, 0, 255).astype(np.uint8), mask


def write_folder(root: Path, n_patients: int, split: bool = True) -> Path:
    """A training folder with two photos a patient."""
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    patients = {}
    for i in range(2 * n_patients):
        name = f"p{i // 2:02d}_{i % 2}"
        image, mask = draw_photo(i)
        cv2.imwrite(str(root / "images" / f"{name}.png"), image[:, :, ::-1])
        cv2.imwrite(str(root / "masks" / f"{name}.png"), mask)
        patients[name] = f"P{i // 2}"
    document: dict[str, object] = {
        "classes": {str(code): name for code, name in enumerate(LABEL_NAMES)},
        "patients": patients,
    }
    if split:
        names = sorted(patients)
        document["split"] = {"train": names[:-8], "val": names[-8:-4], "test": names[-4:]}
    (root / "dataset.json").write_text(json.dumps(document))
    return root


@pytest.fixture(scope="session")
def training_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("training") / "discs", 12)


@pytest.fixture(scope="session")
def trained_run(training_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    train(training_folder, out, settings=TINY)
    return out


@pytest.fixture(scope="session")
def model_folder(
    trained_run: Path, training_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("models") / "discs-1"
    export_model(trained_run, training_folder, folder, notes=["Trained on drawn discs."])
    return folder
