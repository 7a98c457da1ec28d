from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.calibration.drawing import (
    View,
    as_photo,
    draw_sheet,
    expose,
    photograph,
    sheet_photo,
)

from bsa_vision.calibration.records import ScaleFit
from bsa_vision.calibration.scale import fit_scale, mm_per_px_at
from bsa_vision.calibration.sheets import A4_CLASSIC, ARCU_A3, ARCU_A4_MINI, SHEETS
from bsa_vision.core.errors import Refused

# A refined corner is within 0.3 px (drawn here at 4 px per mm, edges between pixels).
# A sheet's markers span at least 300 px in these views, so lengths are off by at most
# 2 x 0.3 / 300 = 0.2 %, and areas by twice that, of which the scale is the root.
SCALE_TOLERANCE = 0.002
CORNER_PX = 0.3
DISTANCE = {"a4-classic": 500.0, "arcu-a3": 600.0, "arcu-a4-mini": 300.0}


def assert_fits(found, sheet, view):
    assert isinstance(found, ScaleFit)
    assert found.sheet == sheet.name
    truth = view.homography(sheet)
    assert found.mm_per_px == pytest.approx(
        mm_per_px_at(truth, sheet.centre_mm), rel=SCALE_TOLERANCE
    )
    markers = np.concatenate([sheet.marker(marker_id) for marker_id in sheet.marker_corners])[None]
    missed = cv2.perspectiveTransform(markers, found.homography) - cv2.perspectiveTransform(
        markers, truth
    )
    assert np.abs(missed).max() < CORNER_PX


@pytest.mark.parametrize("name", list(SHEETS))
@pytest.mark.parametrize("turn_deg", [0.0, 100.0, 180.0])
def test_each_sheet_is_recognised_turned_and_tilted(name, turn_deg):
    sheet = SHEETS[name]
    view = View(tilt_deg=30.0, turn_deg=turn_deg, distance_mm=DISTANCE[name])
    found = fit_scale(sheet_photo(sheet, view, sheet.card))
    assert_fits(found, sheet, view)
    assert found.marker_ids == (0, 1, 2, 3)
    assert found.flags == ()


@settings(max_examples=8)
@given(
    tilt_deg=st.floats(0, 50),
    axis_deg=st.floats(0, 360),
    turn_deg=st.floats(0, 360),
    distance_mm=st.floats(450, 1500),
)
def test_scale_and_tilt_hold_in_any_pose(tilt_deg, axis_deg, turn_deg, distance_mm):
    view = View(tilt_deg=tilt_deg, axis_deg=axis_deg, turn_deg=turn_deg, distance_mm=distance_mm)
    found = fit_scale(sheet_photo(A4_CLASSIC, view, None))
    assert isinstance(found, ScaleFit)
    # At 1500 mm the markers span 123 x 180 px: twice the error of a length of 300 px.
    assert found.mm_per_px == pytest.approx(
        mm_per_px_at(view.homography(A4_CLASSIC), A4_CLASSIC.centre_mm), rel=0.004
    )
    # Foreshortening is the cosine of the tilt: an error of 0.4 % in a length near 0 degrees is a
    # tilt of acos(0.996) = 5.1 degrees.
    assert abs(found.tilt_deg - tilt_deg) < 5.2


def test_without_a_camera_that_explains_the_sheet_there_is_no_tilt(monkeypatch):
    photo = sheet_photo(A4_CLASSIC, View(distance_mm=500.0), None)
    monkeypatch.setattr(cv2, "solvePnP", lambda *_args, **_options: (False, None, None))
    found = fit_scale(photo)
    assert isinstance(found, ScaleFit)
    assert found.tilt_deg is None
    assert found.reason
    assert "tilt_unknown" in found.flags


def test_tilt_without_a_focal_length_rests_on_the_prior():
    view = View(tilt_deg=35.0, distance_mm=500.0)
    photo = sheet_photo(A4_CLASSIC, view, None)
    found = fit_scale(replace(photo, focal_px=None))
    assert isinstance(found, ScaleFit)
    assert "focal_assumed" in found.flags
    # The prior is 15 % wide in focal length, which moves a tilt t by about tan(t) x 15 % / 2.
    assert found.tilt_deg == pytest.approx(35.0, abs=np.degrees(0.15 * np.tan(np.radians(35)) / 2))


def test_fit_is_in_pixels_of_the_full_photo():
    view = View(tilt_deg=10.0, distance_mm=500.0)
    photo = sheet_photo(A4_CLASSIC, view, None)
    half = cv2.resize(photo.pixels, (450, 600), interpolation=cv2.INTER_AREA)
    found = fit_scale(as_photo(half, view.focal_px, full_size=(900, 1200)))
    assert isinstance(found, ScaleFit)
    whole = fit_scale(photo)
    assert isinstance(whole, ScaleFit)
    # Half the resolution doubles the error in pixels of the full photo.
    assert found.corners_px == pytest.approx(whole.corners_px, abs=4 * CORNER_PX)
    assert found.mm_per_px == pytest.approx(whole.mm_per_px, rel=2 * SCALE_TOLERANCE)


@pytest.mark.parametrize("hidden", [(0,), (2,), (0, 1), (1, 2), (1, 3)])
def test_two_markers_are_enough_and_the_sheet_is_called_partly_hidden(hidden):
    view = View(tilt_deg=15.0, distance_mm=450.0)
    drawn = draw_sheet(A4_CLASSIC, A4_CLASSIC.card, hidden)
    light = photograph([(drawn, view.homography(A4_CLASSIC))], view.size)
    found = fit_scale(as_photo(expose(light, 1.0), view.focal_px))
    assert isinstance(found, ScaleFit)
    assert found.sheet == "a4-classic"
    assert found.marker_ids == tuple(i for i in range(4) if i not in hidden)
    assert "partly_hidden" in found.flags
    # The centre lies up to 140 mm from the markers that are left: corners of 0.3 px over a marker
    # of 87 px (40 mm) give 0.35 % there and 140 / 40 times as much at the centre.
    truth = mm_per_px_at(view.homography(A4_CLASSIC), A4_CLASSIC.centre_mm)
    assert found.mm_per_px == pytest.approx(truth, rel=0.012)


def test_one_marker_is_refused_with_a_remedy():
    view = View(distance_mm=450.0)
    drawn = draw_sheet(A4_CLASSIC, None, hidden=(0, 1, 3))
    light = photograph([(drawn, view.homography(A4_CLASSIC))], view.size)
    found = fit_scale(as_photo(expose(light)))
    assert isinstance(found, Refused)
    assert found.code == "sheet_hidden"
    assert "markers [2]" in found.reason
    assert found.remedy


def test_of_two_sheets_in_view_the_larger_is_used():
    size = (1500, 1125)
    near = View(size=size, distance_mm=500.0, aim_px=(450.0, 560.0))
    far = View(size=size, distance_mm=1100.0, aim_px=(1200.0, 450.0), turn_deg=40.0)
    scenes = [
        (draw_sheet(A4_CLASSIC, None), near.homography(A4_CLASSIC)),
        (draw_sheet(ARCU_A3, None), far.homography(ARCU_A3)),
    ]
    photo = as_photo(expose(photograph(scenes, size), 1.0), near.focal_px)
    found = fit_scale(photo)
    assert_fits(found, A4_CLASSIC, near)
    assert found.flags == ("two_sheets",)
    other = fit_scale(photo, "arcu-a3")
    assert isinstance(other, ScaleFit)
    assert other.mm_per_px == pytest.approx(
        mm_per_px_at(far.homography(ARCU_A3), ARCU_A3.centre_mm), rel=0.004
    )


def test_a_sheet_is_not_taken_for_another():
    photo = sheet_photo(ARCU_A4_MINI, View(distance_mm=300.0), None)
    found = fit_scale(photo, "a4-classic")
    assert isinstance(found, Refused)
    assert found.code == "sheet_hidden"


def test_a_photo_without_sheet_is_refused():
    grain = np.random.default_rng(3).integers(0, 256, (400, 600, 3), dtype=np.uint8)
    found = fit_scale(as_photo(cv2.GaussianBlur(grain, (0, 0), 2)))
    assert isinstance(found, Refused)
    assert found.code == "no_sheet"


def test_an_unknown_sheet_name_is_a_bug():
    with pytest.raises(KeyError):
        fit_scale(as_photo(np.zeros((20, 20, 3), dtype=np.uint8)), "a5")


def test_scale_of_a_similarity_is_its_factor():
    similarity = np.array([[0.0, -4.0, 10.0], [4.0, 0.0, 5.0], [0.0, 0.0, 1.0]])
    assert mm_per_px_at(similarity, (3.0, 8.0)) == pytest.approx(0.25, rel=1e-12)
