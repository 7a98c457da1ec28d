import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bsa_vision.calibration.card import CardSample
from bsa_vision.calibration.colour import LUT_SIZE, MODELS, THIN_PLATE, fit_colour, white_balance
from bsa_vision.calibration.paper import PaperLight
from bsa_vision.calibration.records import ColourFit
from bsa_vision.calibration.reference import REFERENCE_LAB, reference_linear
from bsa_vision.calibration.sheets import A4_CLASSIC
from bsa_vision.calibration.srgb import ciede2000, linear_to_lab, linear_to_srgb, srgb_to_linear
from bsa_vision.core.errors import Refused

CENTRES = A4_CLASSIC.card.centres()
CAST = np.array([[0.75, 0.05, 0.0], [0.1, 0.8, 0.05], [0.0, 0.1, 0.55]])


def card(linear, clipped=()):
    marks = np.zeros(24, dtype=bool)
    marks[list(clipped)] = True
    return CardSample(
        linear=np.clip(linear, 0.0005, 1),
        clipped=marks,
        spoilt=np.zeros(24, dtype=bool),
        centres_mm=CENTRES,
        agreement=1.0,
        rectified=np.zeros((2, 2, 3), dtype=np.uint8),
    )


def fitted(sample, paper=None):
    fit = fit_colour(sample, paper)
    assert isinstance(fit, ColourFit)
    return fit


def codes(linear):
    return np.round(255 * linear_to_srgb(linear)).astype(np.uint8)[None]


def test_a_cast_is_taken_off_a_photo():
    light = np.clip(reference_linear(), 0, 1)
    fit = fitted(card(light @ CAST))
    before, after = codes(light @ CAST), fit.apply(codes(light @ CAST))
    off = [ciede2000(linear_to_lab(srgb_to_linear(pixels[0])), REFERENCE_LAB)
           for pixels in (before, after)]  # fmt: skip
    assert off[0].mean() > 5
    # Half a code of rounding before and after, and 3.5 of cyan, which sRGB does not hold, over 24.
    assert off[1].mean() < 0.8
    assert fit.de00_raw_mean == pytest.approx(off[0].mean(), abs=0.3)
    assert fit.flags == ()


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.floats(0.0, 0.6))
def test_correction_is_never_worse_than_none_and_the_best_of_all_tried(seed, disorder):
    factors = np.exp(disorder * np.random.default_rng(seed).normal(size=(24, 3)))
    fit = fitted(card(reference_linear() * factors))
    assert set(fit.candidates) == {"none", THIN_PLATE} | {model.name for model in MODELS}
    assert fit.candidates["none"] == fit.de00_raw_mean
    assert fit.de00_loo_mean == min(fit.candidates.values()) == fit.candidates[fit.method]
    assert fit.de00_loo_max >= fit.de00_loo_mean


def test_a_true_card_is_left_alone():
    fit = fitted(card(np.clip(reference_linear(), 0, 1)))
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    assert np.abs(fit.apply(ramp).astype(int) - ramp).max() <= 2


def test_uneven_light_is_divided_out_before_the_fit():
    light = np.clip(reference_linear(), 0, 1) @ CAST
    slope = np.array([0.0, 0.5, 0.2, 0.0, 0.0, 0.0])
    paper = PaperLight(slope, A4_CLASSIC.card.centre_mm, np.full(3, 0.8), 0.01)
    shaded = card(light * paper.gain(CENTRES)[:, None])
    blind, seeing, even = fitted(shaded), fitted(shaded, paper), fitted(card(light))
    assert seeing.de00_loo_mean == pytest.approx(even.de00_loo_mean, abs=1e-6)
    assert blind.de00_loo_mean > 2 * seeing.de00_loo_mean
    assert "uneven_light" in seeing.flags
    # The photo itself is not evened out: the light over the sheet says nothing of the skin's.
    assert np.abs(seeing.lut - even.lut).max() < 1e-5
    # No correction is judged on the same evened patches as the models; the raw error is not.
    assert seeing.candidates["none"] == pytest.approx(even.candidates["none"], abs=1e-6)
    assert seeing.de00_raw_mean == blind.de00_raw_mean > seeing.candidates["none"]
    # A paper that tells nothing true is not used.
    wrong = PaperLight(-3 * slope, A4_CLASSIC.card.centre_mm, np.full(3, 0.8), 0.01)
    assert fitted(card(light), wrong).de00_loo_mean == even.de00_loo_mean


def test_clipped_patches_enter_no_fit_and_are_counted():
    light = np.clip(reference_linear(), 0, 1) @ CAST
    burnt = light.copy()
    burnt[18] = [1.0, 1.0, 0.4]
    honest, fooled = fitted(card(burnt, clipped=[18])), fitted(card(burnt))
    assert honest.patches_used == 23
    assert honest.flags == ("patches_clipped",)
    assert honest.de00_loo_max > 10  # the burnt patch itself
    clean = fitted(card(light))
    rest = np.delete(np.arange(24), 18)
    seen = codes(light)
    off = [
        np.abs(fit.apply(seen).astype(int) - clean.apply(seen))[0, rest].max()
        for fit in (honest, fooled)
    ]
    assert off[0] <= 2 < off[1]


def test_too_few_clean_patches_are_refused():
    found = fit_colour(card(reference_linear(), clipped=range(7)), None)
    assert isinstance(found, Refused)
    assert found.code == "card_spoilt"
    assert "got 17" in found.reason


def test_a_poor_print_is_flagged():
    factors = np.exp(0.3 * np.random.default_rng(2).normal(size=(24, 3)))
    assert "weak_fit" in fitted(card(reference_linear() * factors)).flags


@pytest.mark.parametrize("power", [0.85, 1.0, 1.2])
def test_corrections_are_tame_everywhere(power):
    """Greys stay in order, and no colour is thrown far from what a plain correction makes of it."""
    fit = fitted(card((np.clip(reference_linear(), 0, 1) @ CAST) ** power))
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    brightness = fit.apply(ramp)[0].astype(int).sum(axis=1)
    assert (np.diff(brightness) >= -1).all()  # one code of rounding
    steps = np.abs(np.diff(fit.lut, axis=0)).max()
    # A step between nodes is 1/32 of the range; gains of this cast are up to 2.2 in sRGB, and a
    # tone curve doubles them near black.
    assert steps < 2 * 2.2 * 2 / (LUT_SIZE - 1)


def test_applying_keeps_shape_and_does_not_write_into_its_input():
    fit = fitted(card(np.clip(reference_linear(), 0, 1) @ CAST))
    pixels = np.random.default_rng(1).integers(0, 256, (37, 53, 3), dtype=np.uint8)
    pixels.setflags(write=False)
    corrected = fit.apply(pixels)
    assert corrected.shape == pixels.shape
    assert corrected.dtype == np.uint8
    # Channels must not be mixed up on their way through the table: its nodes come out as they are.
    node = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], dtype=np.uint8)
    wanted = np.array([fit.lut[-1, 0, 0], fit.lut[0, -1, 0], fit.lut[0, 0, -1]])
    assert np.abs(fit.apply(node)[0] - 255 * wanted).max() <= 1


def test_white_balance_makes_the_paper_neutral_and_says_what_it_is():
    paper = PaperLight(np.zeros(6), (0.0, 0.0), np.array([0.5, 0.6, 0.8]), 0.01)
    fit = white_balance(paper, "no readable card: it is torn.")
    assert fit.flags == ("white_balance_only",)
    assert fit.de00_loo_mean is None
    assert fit.reason == "no readable card: it is torn."
    assert np.ptp(fit.apply(codes(paper.linear[None]))[0, 0].astype(int)) <= 1
