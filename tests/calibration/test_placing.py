import cv2
import numpy as np
import pytest

from bsa_vision.calibration.markers import Marker
from bsa_vision.calibration.placing import place_sheets
from bsa_vision.calibration.sheets import A4_CLASSIC, ARCU_A3, ARCU_A4_MINI, SHEETS

ALL = list(SHEETS.values())
NEAR = np.array([[1.9, 0.3, 80.0], [-0.2, 2.1, 90.0], [1e-4, 3e-4, 1.0]])
FAR = np.array([[0.0, 0.8, 900.0], [-0.9, 0.1, 700.0], [0.0, 1e-4, 1.0]])


def seen(sheet, homography, ids=(0, 1, 2, 3)):
    return [Marker(i, cv2.perspectiveTransform(sheet.marker(i)[None], homography)[0]) for i in ids]


@pytest.mark.parametrize("sheet", ALL, ids=lambda sheet: sheet.name)
@pytest.mark.parametrize("ids", [(0, 1), (1, 2), (0, 3), (0, 1, 3), (0, 1, 2, 3)])
def test_any_two_markers_tell_which_sheet_and_where(sheet, ids):
    placed = place_sheets(seen(sheet, NEAR, ids), ALL)
    assert [entry.sheet.name for entry in placed] == [sheet.name]
    assert placed[0].residual_mm < 1e-4
    centre = np.array([[sheet.centre_mm]])
    assert cv2.perspectiveTransform(centre, placed[0].homography) == pytest.approx(
        cv2.perspectiveTransform(centre, NEAR), abs=1e-3
    )


def test_two_sheets_with_the_same_ids_are_kept_apart():
    markers = seen(ARCU_A4_MINI, FAR) + seen(A4_CLASSIC, NEAR)
    placed = place_sheets(markers, ALL)
    assert [entry.sheet.name for entry in placed] == ["a4-classic", "arcu-a4-mini"]
    assert all(entry.is_whole for entry in placed)


def test_a_marker_that_is_out_of_place_is_passed_over():
    markers = seen(ARCU_A3, NEAR)
    bent = Marker(2, markers[2].corners + 0.4 * markers[2].side_px)
    placed = place_sheets([markers[0], bent, markers[1], markers[3]], ALL)
    assert sorted(marker.id for marker in placed[0].markers) == [0, 1, 3]
    assert placed[0].residual_mm < 1e-4


def test_one_marker_or_scattered_ones_place_nothing():
    assert place_sheets(seen(A4_CLASSIC, NEAR, (2,)), ALL) == []
    scattered = [
        *seen(A4_CLASSIC, NEAR, (0,)),
        Marker(1, seen(A4_CLASSIC, FAR, (1,))[0].corners),
    ]
    assert place_sheets(scattered, ALL) == []
    assert place_sheets([], ALL) == []
