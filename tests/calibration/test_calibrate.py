import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.calibration.drawing import View, as_photo, draw_sheet, expose, photograph

from bsa_vision.calibration.calibrate import calibrate
from bsa_vision.calibration.records import ColourFit, ScaleFit
from bsa_vision.calibration.reference import REFERENCE_LAB
from bsa_vision.calibration.sheets import A4_CLASSIC
from bsa_vision.calibration.srgb import ciede2000, linear_to_lab, srgb_to_linear
from bsa_vision.core.errors import Refused
from bsa_vision.photo.decode import read_photo
from bsa_vision.photo.records import Photo

CAST = np.array([0.9, 0.75, 0.5], dtype=np.float32)
REAL = ("_1", "_3", "_5", "_8", "_mini_1", "_mini_3", "_mini_5")


def cast_photo(card):
    view = View(distance_mm=450.0, tilt_deg=10.0)
    scene = [(draw_sheet(A4_CLASSIC, card), view.homography(A4_CLASSIC))]
    return as_photo(expose(photograph(scene, view.size) * CAST, 1.0), view.focal_px)


def test_scale_and_colours_come_together():
    found = calibrate(cast_photo(A4_CLASSIC.card))
    assert isinstance(found.scale, ScaleFit)
    assert isinstance(found.colour, ColourFit)
    assert found.colour.de00_loo_mean < 1.0 < found.colour.de00_raw_mean
    middle = found.scale.homography @ [*A4_CLASSIC.card.centres()[21], 1.0]
    x, y = (round(float(value / middle[2])) for value in middle[:2])
    grey = srgb_to_linear(found.pixels[y - 3 : y + 4, x - 3 : x + 4]).mean(axis=(0, 1))
    assert ciede2000(linear_to_lab(grey), REFERENCE_LAB[21]) < 1.0


def test_without_a_card_the_paper_gives_a_flagged_white_balance():
    found = calibrate(cast_photo(None))
    assert isinstance(found.scale, ScaleFit)
    assert isinstance(found.colour, ColourFit)
    assert found.colour.flags == ("white_balance_only",)
    assert found.colour.reason.startswith("no readable card: ")


def test_without_a_sheet_the_photo_is_kept_as_it_is():
    photo = as_photo(np.full((60, 80, 3), 120, dtype=np.uint8))
    found = calibrate(photo)
    assert isinstance(found.scale, Refused)
    assert isinstance(found.colour, Refused)
    assert found.colour.code == "no_card"
    assert found.pixels is photo.pixels


@settings(max_examples=40)
@given(
    st.tuples(st.integers(1, 70), st.integers(1, 70)),
    st.sampled_from(["black", "white", "noise"]),
    st.integers(1, 9),
)
def test_no_photo_makes_it_fail(shape, kind, enlarged):
    rng = np.random.default_rng(0)
    pixels = {
        "black": np.zeros((*shape, 3), dtype=np.uint8),
        "white": np.full((*shape, 3), 255, dtype=np.uint8),
        "noise": rng.integers(0, 256, (*shape, 3), dtype=np.uint8),
    }[kind]
    full = (shape[1] * enlarged, shape[0] * enlarged)
    found = calibrate(as_photo(pixels, full_size=full))
    assert isinstance(found.scale, Refused)
    assert (found.quality.verdict == "unusable") == (found.quality.refused is not None)
    if kind != "noise":
        assert found.quality.verdict == "unusable"


@pytest.mark.parametrize("name", REAL)
def test_real_cards_are_found_and_measured(data_dir, name):
    photo = read_photo(data_dir / "colour_scale" / f"color_checker{name}.jpg")
    assert isinstance(photo, Photo)
    found = calibrate(photo)
    assert isinstance(found.scale, ScaleFit)
    mini = "mini" in name
    assert found.scale.sheet == ("arcu-a4-mini" if mini else "arcu-a3")
    # Acceptance figures of the project for these photographs.
    assert found.scale.residual_mm_rms <= (0.3 if mini else 0.6)
    assert isinstance(found.colour, ColourFit)
    assert found.colour.de00_loo_mean <= 3.5
    assert found.colour.de00_loo_mean < found.colour.de00_raw_mean
