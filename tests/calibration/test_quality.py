import math

import cv2
import numpy as np
import pytest
from tests.calibration.drawing import View, as_photo, sheet_photo

from bsa_vision.calibration.quality import edge_sharpness, judge
from bsa_vision.calibration.records import ScaleFit
from bsa_vision.calibration.scale import fit_scale
from bsa_vision.calibration.sheets import A4_CLASSIC
from bsa_vision.core.errors import Refused

NO_SHEET = Refused("no_sheet", "Needed a sheet, found none.", "Lay one.")


def scene():
    """Mid-tone blobs with hard edges, (768, 1024, 3), nothing burnt out or black."""
    noise = np.random.default_rng(4).normal(size=(768, 1024)).astype(np.float32)
    blobs = cv2.GaussianBlur(noise, (0, 0), 25) > 0
    return np.where(blobs[..., None], (190, 140, 120), (110, 80, 70)).astype(np.uint8)


@pytest.mark.parametrize("sigma", [1.5, 3.0, 6.0])
def test_sharpness_of_a_blurred_step_is_the_gaussians_peak(sigma):
    step = np.full((200, 200), 60, dtype=np.float32)
    step[:, 100:] = 200
    blurred = np.round(cv2.GaussianBlur(step, (0, 0), sigma)).astype(np.uint8)
    # Central difference over 2 px of the error function, for the contrast that the 15 px window
    # holds (all of it up to 7.5 px from the edge); codes are rounded to 1 in 140.
    reach = 7 / (sigma * np.sqrt(2))
    held = math.erf(reach)
    slope = math.erf(1 / (sigma * np.sqrt(2))) / 2
    assert edge_sharpness(blurred) == pytest.approx(slope / held, abs=0.02)


def test_a_plain_photo_is_good():
    found = judge(as_photo(scene()), NO_SHEET)
    assert found.verdict == "good"
    assert found.remedies == ()
    assert found.tilt_deg is None


@pytest.mark.parametrize(
    ("spoil", "word", "verdict"),
    [
        (lambda p: cv2.GaussianBlur(p, (0, 0), 3.0), "still", "usable"),
        (lambda p: cv2.GaussianBlur(p, (0, 0), 6.0), "still", "poor"),
        (lambda p: np.clip(p.astype(int) * 2, 0, 255).astype(np.uint8), "exposure", "poor"),
        (lambda p: np.where(np.arange(1024)[:, None] < 92, p, p // 10), "light", "poor"),
        (lambda p: cv2.GaussianBlur(p, (0, 0), 20.0), "still", "unusable"),
        (lambda p: np.full_like(p, 255), "exposure", "unusable"),
        (lambda p: p // 10, "light", "unusable"),
    ],
    ids=["blurred", "very blurred", "burnt out", "dark", "nothing sharp", "white", "black"],
)
def test_faults_are_named_with_a_remedy(spoil, word, verdict):
    found = judge(as_photo(spoil(scene())), NO_SHEET)
    assert found.verdict == verdict
    assert any(word in remedy for remedy in found.remedies)


@pytest.mark.parametrize(
    ("pixels", "got"),
    [
        (scene() // 10, "black, got 100.0 %"),
        (np.full_like(scene(), 255), "burnt out, got 100.0 %"),
        (np.full_like(scene(), 128), "sharpness of 0.075 or more, got 0.000"),
    ],
    ids=["black", "white", "fog"],
)
def test_what_cannot_be_measured_on_is_refused_with_value_and_limit(pixels, got):
    found = judge(as_photo(pixels), NO_SHEET)
    assert found.verdict == "unusable"
    assert found.refused.code == "quality_unusable"
    assert got in found.refused.reason
    assert found.refused.remedy in found.remedies


def test_glare_is_small_and_white_and_a_white_sheet_is_not_glare():
    shiny = scene()
    for x in range(40, 1000, 60):
        cv2.circle(shiny, (x, 300), 9, (250, 250, 250), -1)
    found = judge(as_photo(shiny), NO_SHEET)
    # 16 discs of radius 9 (254 px each) of 786,432 px.
    assert found.glare_percent == pytest.approx(100 * 16 * 254 / shiny[..., 0].size, rel=0.05)
    assert found.clipped_percent == 0
    white = scene()
    white[200:600, 200:800] = 250
    assert judge(as_photo(white), NO_SHEET).glare_percent == 0


def test_tilt_counts_and_the_sheet_itself_does_not():
    photo = sheet_photo(A4_CLASSIC, View(tilt_deg=50.0, distance_mm=450.0), A4_CLASSIC.card)
    scale = fit_scale(photo)
    assert isinstance(scale, ScaleFit)
    found = judge(photo, scale)
    assert found.tilt_deg == scale.tilt_deg
    assert any("square" in remedy for remedy in found.remedies)
    # The dark ink of markers and card lies inside the sheet: only the plain ground is judged.
    assert found.dark_percent == 0
