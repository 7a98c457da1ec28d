from dataclasses import replace

import cv2
import numpy as np
import pytest
from tests.calibration.drawing import View, as_photo, draw_sheet, expose, photograph, sheet_photo

from bsa_vision.calibration.card import CardSample, card_agreement, sample_card
from bsa_vision.calibration.records import ScaleFit
from bsa_vision.calibration.reference import REFERENCE_LAB, reference_linear
from bsa_vision.calibration.scale import fit_scale
from bsa_vision.calibration.sheets import A4_CLASSIC, ARCU_A3, ARCU_A4_MINI, SHEETS, CardPlace
from bsa_vision.calibration.srgb import ciede2000, linear_to_lab
from bsa_vision.core.errors import Refused

# Rendered in the reference's own colours: what is left is rounding to codes (0.5 code is 0.2 in L*
# at mid grey, more in the dark) and noise of 1 code averaged over a hundred pixels.
ROUNDING_DE00 = 0.6
IN_GAMUT = np.arange(24) != 17


def sample(photo):
    scale = fit_scale(photo)
    assert isinstance(scale, ScaleFit)
    return sample_card(photo.pixels, photo.scale, scale)


def assert_true_colours(found):
    assert isinstance(found, CardSample)
    assert found.agreement > 0.99
    off = ciede2000(linear_to_lab(found.linear), REFERENCE_LAB)
    assert off[IN_GAMUT].max() < ROUNDING_DE00


@pytest.mark.parametrize("name", list(SHEETS))
def test_each_sheets_card_is_read_in_chart_order(name):
    sheet = SHEETS[name]
    distance = {"a4-classic": 450.0, "arcu-a3": 550.0, "arcu-a4-mini": 280.0}[name]
    view = View(tilt_deg=25.0, turn_deg=200.0, distance_mm=distance)
    found = sample(sheet_photo(sheet, view, sheet.card))
    assert_true_colours(found)
    # The samples must lie on their patches: within the margin of the sampled middle.
    miss = np.abs(found.centres_mm - sheet.card.centres()).max()
    assert miss < 0.2 * sheet.card.patch_mm


@pytest.mark.parametrize(
    ("shift_mm", "turns", "stretch"), [((9.0, -7.0), 0, 1.0), ((-6.0, 5.0), 2, 1.03)]
)
def test_a_card_laid_off_its_place_or_upside_down_is_read(shift_mm, turns, stretch):
    own = A4_CLASSIC.card
    laid = replace(
        own,
        centre_mm=(own.centre_mm[0] + shift_mm[0], own.centre_mm[1] + shift_mm[1]),
        quarter_turns=turns,
        patch_mm=own.patch_mm * stretch,
        pitch_mm=own.pitch_mm * stretch,
    )
    found = sample(sheet_photo(A4_CLASSIC, View(distance_mm=450.0), laid))
    assert_true_colours(found)


def test_a_small_card_is_read_and_a_smaller_one_refused():
    patch_px = {1500.0: 15.6, 5000.0: 4.7}
    for distance, expected in patch_px.items():
        view = View(tilt_deg=0.0, distance_mm=distance)
        assert A4_CLASSIC.card.patch_mm * view.focal_px / distance == pytest.approx(expected, 0.01)
    assert_true_colours(sample(sheet_photo(A4_CLASSIC, View(distance_mm=1500.0), A4_CLASSIC.card)))
    photo = sheet_photo(A4_CLASSIC, View(tilt_deg=0.0, distance_mm=450.0), A4_CLASSIC.card)
    scale = fit_scale(photo)
    assert isinstance(scale, ScaleFit)
    found = sample_card(photo.pixels, 0.05, scale)
    assert isinstance(found, Refused)
    assert found.code == "card_small"


def test_a_mini_laid_between_the_ticks_of_the_classic_sheet_is_preferred():
    drawn = draw_sheet(A4_CLASSIC, A4_CLASSIC.cards[1])
    view = View(distance_mm=350.0)
    light = photograph([(drawn, view.homography(A4_CLASSIC))], view.size)
    assert_true_colours(sample(as_photo(expose(light, 1.0))))


@pytest.mark.parametrize("colour", [(0.85, 0.85, 0.85), (0.45, 0.25, 0.18)])
def test_a_card_area_without_a_card_is_refused(colour):
    drawn = draw_sheet(A4_CLASSIC, None)
    drawn[400:800, 100:740] = colour
    view = View(distance_mm=450.0)
    light = photograph([(drawn, view.homography(A4_CLASSIC))], view.size)
    found = sample(as_photo(expose(light, 2.0)))
    assert isinstance(found, Refused)
    assert found.code == "card_unreadable"
    assert found.remedy


def test_burnt_out_and_glossy_patches_are_marked():
    view = View(tilt_deg=0.0, distance_mm=450.0)
    light = photograph(
        [(draw_sheet(A4_CLASSIC, A4_CLASSIC.card), view.homography(A4_CLASSIC))], view.size
    )
    # A highlight across half of the first patch (dark skin).
    spot = cv2.perspectiveTransform(
        A4_CLASSIC.card.centres()[None, :1] + [4.0, 0.0], view.homography(A4_CLASSIC)
    )[0, 0]
    cv2.circle(light, tuple(int(v) for v in spot), 9, (0.9, 0.9, 0.9), -1)
    found = sample(as_photo(expose(light * 1.2)))
    assert isinstance(found, CardSample)
    # What passes 1 at 1.2 times the light, cyan, which has no red at all, and the highlight.
    assert set(np.flatnonzero(found.spoilt)) == {0}
    brightest = np.clip(reference_linear(), 0, None).max(axis=1) * 1.2
    assert set(np.flatnonzero(found.clipped)) == set(np.flatnonzero(brightest >= 1)) | {0, 17}


def test_agreement_is_one_for_the_card_under_any_exposure_and_low_for_noise():
    assert card_agreement(0.4 * reference_linear()) == pytest.approx(1.0, abs=1e-12)
    noise = np.random.default_rng(5).uniform(0, 1, (200, 24, 3))
    # Correlation of 24 independent pairs has standard deviation 1/sqrt(23) = 0.21 a channel.
    assert max(card_agreement(patches) for patches in noise) < 0.6


def test_patch_centres_follow_the_turn_of_the_card():
    upright = CardPlace((0.0, 0.0), 10.0, 12.0, 0, 1.0, (80.0, 60.0))
    assert upright.centres()[[0, 5, 18, 23]].tolist() == [
        [-30.0, -18.0], [30.0, -18.0], [-30.0, 18.0], [30.0, 18.0]
    ]  # fmt: skip
    # A quarter turn clockwise brings the top-left patch to the top right.
    turned = replace(upright, quarter_turns=1)
    assert turned.centres()[0] == pytest.approx([18.0, -30.0])
    for sheet in (A4_CLASSIC, ARCU_A3, ARCU_A4_MINI):
        assert (sheet.card.centres() > 0).all()
        assert (sheet.card.centres() < np.array(sheet.size_mm)).all()
