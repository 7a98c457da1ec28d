from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bsa_vision.segmentation import calibrate
from bsa_vision.segmentation.calibrate import (
    BINS,
    LIMITS,
    Calibration,
    fit_calibration,
    reliability_document,
    tally,
)
from bsa_vision.segmentation.dataset import IGNORED, read_training_folder


def pretend(
    monkeypatch: pytest.MonkeyPatch,
    sharpness: float,
    shift: tuple[float, ...] = (0, 0, 0),
    *,
    sheet: bool = False,
) -> None:
    """Held-out logits that are right by chance, stated `sharpness` times too surely and shifted.

    With a sheet, half of each photo is all background, and stated to be the last class.
    """

    def logits(*_: object):
        rng = np.random.default_rng(0)
        for _ in range(3):
            true = rng.normal(0, 1.5, (3, 160, 160))
            share = np.exp(true) / np.exp(true).sum(axis=0)
            drawn = (rng.random((160, 160)) > share.cumsum(axis=0)).sum(axis=0)
            if sheet:
                true[:, :80] = np.array([0.0, 0.0, 4.0])[:, None, None]
                drawn[:80] = 0
            stated = sharpness * (true + np.array(shift)[:, None, None])
            yield torch.from_numpy(stated).float(), drawn.astype(np.uint8)

    monkeypatch.setattr(calibrate, "held_out_logits", logits)


def fitted(root: Path, names: int = 12, start: Calibration | None = None) -> Calibration:
    folder = read_training_folder(root)
    # As many classes as the pretended logits.
    folder = replace(folder, classes={code: folder.classes[code] for code in range(3)})
    picked = sorted(folder.images)[:names]
    return fit_calibration(torch.from_numpy, folder, picked, 128, start)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.0])
def test_the_temperature_undoes_how_sure_the_network_is(
    monkeypatch: pytest.MonkeyPatch, training_folder: Path, sharpness: float
) -> None:
    pretend(monkeypatch, sharpness)
    found = fitted(training_folder)
    assert found.temperature == pytest.approx(sharpness, rel=0.05)
    assert found.bias == pytest.approx((0, 0, 0), abs=0.1)


def test_the_biases_undo_what_training_favoured(
    monkeypatch: pytest.MonkeyPatch, training_folder: Path
) -> None:
    pretend(monkeypatch, 1.5, (-1.0, 0.0, 1.0))
    many = fitted(training_folder)
    assert many.temperature == pytest.approx(1.5, rel=0.05)
    assert many.bias == pytest.approx((1.0, 0.0, -1.0), abs=0.1)
    # One patient's word moves them less.
    assert abs(fitted(training_folder, names=1).bias[0]) < 0.9 * many.bias[0]
    probabilities = many.probabilities(torch.full((3, 2, 2), 0.7))
    assert probabilities.sum(dim=0) == pytest.approx(np.ones((2, 2)))
    assert torch.all(probabilities[0] > probabilities[2])


def test_the_model_started_from_is_believed_until_patients_say_otherwise(
    monkeypatch: pytest.MonkeyPatch, training_folder: Path
) -> None:
    pretend(monkeypatch, 1.5, (-1.0, 0.0, 1.0))
    right = Calibration(1.5, (1.0, 0.0, -1.0))
    again = fitted(training_folder, names=1, start=right)
    assert again.temperature == pytest.approx(1.5, rel=0.05)
    assert again.bias == pytest.approx(right.bias, abs=0.1)
    # A start that is wrong by two: six patients take back more of it than one, and not all.
    wrong = Calibration(1.5, (-1.0, 0.0, 1.0))
    one, six = (fitted(training_folder, names, start=wrong).bias[0] for names in (1, 12))
    assert -1 < one < six - 0.1 < 1
    # Nobody to ask: the start's own.
    monkeypatch.setattr(calibrate, "held_out_logits", lambda *_: iter(()))
    assert fitted(training_folder, names=0, start=wrong) == wrong
    assert fitted(training_folder, names=0) == Calibration(1.0, (0.0, 0.0, 0.0))


def test_a_temperature_stays_within_its_limits(
    monkeypatch: pytest.MonkeyPatch, training_folder: Path
) -> None:
    pretend(monkeypatch, 50.0)
    assert fitted(training_folder).temperature == pytest.approx(LIMITS[1], 1e-3)


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


def test_a_background_that_looks_like_a_state_takes_nothing_from_it_on_the_patient(
    monkeypatch: pytest.MonkeyPatch, training_folder: Path
) -> None:
    pretend(monkeypatch, 1.0, sheet=True)
    found = fitted(training_folder)
    assert found.temperature == pytest.approx(1, rel=0.05)
    assert found.bias[1] == pytest.approx(found.bias[2], abs=0.1)
    assert found.bias[0] > found.bias[1] + 0.5
