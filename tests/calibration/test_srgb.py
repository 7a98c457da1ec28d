import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsa_vision.calibration.srgb import (
    ciede2000,
    lab_jacobian,
    lab_to_linear,
    linear_to_lab,
    linear_to_srgb,
    srgb_to_linear,
    srgb_values_to_linear,
)

# Sharma, Wu & Dalal 2005, table 1: pairs chosen to exercise every branch of the formula.
SHARMA = [
    ((50.0, 2.6772, -79.7751), (50.0, 0.0, -82.7485), 2.0425),
    ((50.0, 3.1571, -77.2803), (50.0, 0.0, -82.7485), 2.8615),
    ((50.0, -1.3802, -84.2814), (50.0, 0.0, -82.7485), 1.0000),
    ((50.0, 0.0, 0.0), (50.0, -1.0, 2.0), 2.3669),
    ((50.0, 2.49, -0.001), (50.0, -2.49, 0.0009), 7.1792),
    ((50.0, 2.49, -0.001), (50.0, -2.49, 0.0011), 7.2195),
    ((50.0, -0.001, 2.49), (50.0, 0.0009, -2.49), 4.8045),
    ((50.0, -0.001, 2.49), (50.0, 0.0011, -2.49), 4.7461),
    ((50.0, 2.5, 0.0), (50.0, 0.0, -2.5), 4.3065),
    ((50.0, 2.5, 0.0), (73.0, 25.0, -18.0), 27.1492),
    ((50.0, 2.5, 0.0), (50.0, 3.2592, 0.335), 1.0000),
    ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
    ((63.0109, -31.0961, -5.8663), (62.8187, -29.7946, -4.0864), 1.2630),
    ((22.7233, 20.0904, -46.694), (23.0331, 14.973, -42.5619), 2.0373),
    ((90.8027, -2.0831, 1.441), (91.1528, -1.6435, 0.0447), 1.4441),
    ((6.7747, -0.2908, -2.4247), (5.8714, -0.0985, -2.2286), 0.6377),
    ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
]
LIGHT = st.tuples(*[st.floats(0.001, 1.0)] * 3)


@pytest.mark.parametrize(("one", "two", "published"), SHARMA)
def test_ciede2000_agrees_with_the_published_pairs_both_ways(one, two, published):
    # The table gives four decimals.
    assert ciede2000(one, two) == pytest.approx(published, abs=5e-5)
    assert ciede2000(two, one) == pytest.approx(published, abs=5e-5)


def test_white_and_black_are_the_ends_of_cielab():
    # The matrix has seven decimals; 500 x 1e-7 is the most that can show in a* or b*.
    assert linear_to_lab([1.0, 1.0, 1.0]) == pytest.approx([100, 0, 0], abs=1e-4)
    assert linear_to_lab([0.0, 0.0, 0.0]) == pytest.approx([0, 0, 0], abs=1e-9)


@given(LIGHT)
def test_cielab_and_back_is_the_same_light(light):
    assert lab_to_linear(linear_to_lab(light)) == pytest.approx(light, abs=1e-9)


def test_every_code_survives_the_way_to_linear_light_and_back():
    codes = np.arange(256, dtype=np.uint8)
    assert (np.round(linear_to_srgb(srgb_to_linear(codes)) * 255) == codes).all()
    assert srgb_values_to_linear(0.5) == pytest.approx(0.21404, abs=5e-6)  # IEC 61966-2-1


@given(LIGHT)
def test_jacobian_is_the_slope_of_cielab(light):
    step = 1e-6
    slopes = np.stack(
        [
            (linear_to_lab(light + unit) - linear_to_lab(light - unit)) / (2 * step)
            for unit in step * np.eye(3)
        ],
        axis=1,
    )
    # Central differences miss by step^2 times the third derivative (f''' < 2e7 at this light).
    assert lab_jacobian(np.array(light)) == pytest.approx(slopes, rel=1e-3, abs=1e-2)
