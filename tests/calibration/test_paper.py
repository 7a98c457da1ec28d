import numpy as np
import pytest
from tests.calibration.drawing import PAPER, View, as_photo, draw_sheet, expose, photograph

from bsa_vision.calibration.paper import PaperLight, measure_paper
from bsa_vision.calibration.records import ScaleFit
from bsa_vision.calibration.scale import fit_scale
from bsa_vision.calibration.sheets import A4_CLASSIC
from bsa_vision.core.errors import Refused

VIEW = View(tilt_deg=15.0, distance_mm=450.0)


def paper_of(drawn):
    light = photograph([(drawn, VIEW.homography(A4_CLASSIC))], VIEW.size)
    photo = as_photo(expose(light, 1.0), VIEW.focal_px)
    scale = fit_scale(photo)
    assert isinstance(scale, ScaleFit)
    return measure_paper(photo.pixels, photo.scale, scale)


def test_a_gradient_of_light_is_measured_through_the_card():
    drawn = draw_sheet(A4_CLASSIC, A4_CLASSIC.card)
    across = np.linspace(0.5, 1.0, drawn.shape[1], dtype=np.float32)[None, :, None]
    found = paper_of(drawn * across)
    assert isinstance(found, PaperLight)
    x = A4_CLASSIC.card.centres()[:, 0]
    truth = 0.5 + 0.5 * x / A4_CLASSIC.size_mm[0]
    truth /= np.exp(np.log(truth).mean())
    # A quadratic in ln(light) misses ln(0.5 + 0.5 u) by its third-order term, at most 0.01 here.
    assert found.gain(A4_CLASSIC.card.centres()) == pytest.approx(truth, abs=0.02)


def test_the_papers_colour_is_measured():
    found = paper_of(draw_sheet(A4_CLASSIC, None) * np.float32([0.9, 0.8, 0.7]))
    assert isinstance(found, PaperLight)
    # A code of rounding is 0.8 % of the light at this brightness.
    assert found.linear == pytest.approx(PAPER * np.array([0.9, 0.8, 0.7]), rel=0.01)
    assert found.gain(A4_CLASSIC.card.centres()) == pytest.approx(np.ones(24), abs=0.01)


def test_stains_are_left_out_and_a_covered_sheet_is_refused():
    stained = draw_sheet(A4_CLASSIC, None)
    stained[860:940, 200:640] = (0.3, 0.02, 0.02)
    found = paper_of(stained)
    assert isinstance(found, PaperLight)
    assert found.gain(A4_CLASSIC.card.centres()) == pytest.approx(np.ones(24), abs=0.01)
    covered = draw_sheet(A4_CLASSIC, None)
    covered[200:980] = (0.3, 0.02, 0.02)
    found = paper_of(covered)
    assert isinstance(found, Refused)
    assert found.code == "paper_hidden"
