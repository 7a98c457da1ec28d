from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from bsa_vision.segmentation import calibrate
from bsa_vision.segmentation.calibrate import (
    BINS,
    LIMITS,
    fit_temperature,
    reliability_document,
    tally,
)
from bsa_vision.segmentation.dataset import IGNORED, read_training_folder


def pretend(monkeypatch: pytest.MonkeyPatch, sharpness: float) -> None:
    """Held-out logits that are right by chance, and stated `sharpness` times too surely."""

    def logits(*_: object):
        rng = np.random.default_rng(0)
        for _ in range(3):
            true = rng.normal(0, 1.5, (3, 160, 160))
            share = np.exp(true) / np.exp(true).sum(axis=0)
            drawn = (rng.random((160, 160)) > share.cumsum(axis=0)).sum(axis=0)
            yield torch.from_numpy(sharpness * true).float(), drawn.astype(np.uint8)

    monkeypatch.setattr(calibrate, "held_out_logits", logits)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.0])
def test_the_temperature_undoes_how_sure_the_network_is(
    monkeypatch: pytest.MonkeyPatch, training_folder: Path, sharpness: float
) -> None:
    pretend(monkeypatch, sharpness)
    folder = read_training_folder(training_folder)
    found = fit_temperature(nn.Identity(), folder, ["p00_0"], 128)
    assert found == pytest.approx(sharpness, rel=0.05)


def test_a_temperature_stays_within_its_limits(
    monkeypatch: pytest.MonkeyPatch, training_folder: Path
) -> None:
    pretend(monkeypatch, 50.0)
    folder = read_training_folder(training_folder)
    assert fit_temperature(nn.Identity(), folder, ["p00_0"], 128) == pytest.approx(LIMITS[1], 1e-3)


def test_sure_and_wrong_is_the_whole_error() -> None:
    probabilities = np.zeros((2, 4, 5), np.float32)
    probabilities[0] = 1.0
    right, wrong = np.zeros((4, 5), np.uint8), np.ones((4, 5), np.uint8)
    assert reliability_document(tally(probabilities, right))["ece"] == 0.0
    assert reliability_document(tally(probabilities, wrong))["ece"] == 1.0
    half = tally(probabilities, right) + tally(probabilities, wrong)
    document = reliability_document(half)
    assert document["ece"] == pytest.approx(0.5)
    assert document["bins"] == [{"share": 1.0, "probability": 1.0, "right": 0.5}]


def test_unlabelled_pixels_do_not_count() -> None:
    truth = np.full((4, 5), IGNORED, np.uint8)
    assert tally(np.full((2, 4, 5), 0.5, np.float32), truth).sum() == 0
    assert reliability_document(np.zeros((3, BINS)))["ece"] is None
