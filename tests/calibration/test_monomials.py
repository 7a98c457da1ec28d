import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bsa_vision.calibration.colour import MODELS, PLAIN
from bsa_vision.calibration.monomials import LEAST_TONE_SLOPE, LOG_FOOT, fit_monomials
from bsa_vision.calibration.reference import REFERENCE_LAB, reference_linear
from bsa_vision.calibration.srgb import ciede2000, linear_to_lab
from bsa_vision.calibration.thin_plate import ThinPlate

ALL = np.ones(24, dtype=bool)
CAST = np.array([[0.7, 0.05, 0.0], [0.1, 0.8, 0.05], [0.0, 0.1, 0.5]])


def seen_through_cast():
    """The card in coloured light and a camera with crosstalk: linear, so a matrix undoes it."""
    return np.clip(reference_linear(), 0.002, None) @ CAST


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_a_linear_cast_is_undone_by_every_model(model):
    # Cyan, clipped into the camera's range, is no longer what the reference says.
    in_range = np.arange(24) != 17
    parameters, _ = fit_monomials(model, seen_through_cast(), REFERENCE_LAB, in_range)
    corrected = linear_to_lab(model.predict(parameters, seen_through_cast()))
    # An exact solution exists; the weak priors pull at it by 0.1 CIELAB per unit of coefficient,
    # over 23 patches.
    assert ciede2000(corrected, REFERENCE_LAB)[in_range].max() < 0.1


def test_a_tone_curve_is_found_where_the_model_has_one():
    seen = np.clip(reference_linear(), 0.002, None) ** 1.3
    by_tone, _ = fit_monomials(PLAIN, seen, REFERENCE_LAB, ALL)
    # ln t = ln x / 1.3
    assert by_tone[-2:] == pytest.approx([1 / 1.3, 0.0], abs=0.02)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
@pytest.mark.parametrize("patch", [1, 14, 18])
def test_a_left_out_patch_has_no_say_in_its_own_prediction(model, patch):
    linear = seen_through_cast() ** 1.1
    spoilt = linear.copy()
    spoilt[patch] *= [0.2, 1.5, 0.6]
    _, honest = fit_monomials(model, linear, REFERENCE_LAB, ALL)
    _, other = fit_monomials(model, spoilt, REFERENCE_LAB, ALL)
    predicted = [linear_to_lab(model.predict(fit[patch], linear)) for fit in (honest, other)]
    # The fits start from a full fit that saw the patch: what is left is their convergence.
    assert ciede2000(*predicted).max() < 0.02


@settings(max_examples=20)
@given(st.lists(st.floats(0.02, 0.9), min_size=72, max_size=72))
def test_the_tone_curve_rises_whatever_the_patches(values):
    parameters, _ = fit_monomials(PLAIN, np.reshape(values, (24, 3)), REFERENCE_LAB, ALL)
    alpha, beta = parameters[-2:]
    slopes = [alpha, alpha + 2 * beta * LOG_FOOT]
    assert min(slopes) >= LEAST_TONE_SLOPE - 1e-9


def test_thin_plate_passes_near_its_points_and_is_constant_for_a_constant_shift():
    places = REFERENCE_LAB
    constant = ThinPlate(places, np.tile([1.0, -2.0, 3.0], (24, 1)))
    anywhere = np.array([[50.0, 0.0, 0.0], [10.0, 60.0, -60.0]])
    assert constant(anywhere) == pytest.approx(np.tile([1.0, -2.0, 3.0], (2, 1)), abs=1e-9)
    bump = np.zeros((24, 3))
    bump[4] = [5.0, 0.0, 0.0]
    spline = ThinPlate(places, bump)
    assert 0.0 < spline(places[4:5])[0, 0] < 5.0
