import cv2
import numpy as np

from bsa_vision.calibration.reference import reference_linear
from bsa_vision.calibration.sheets import A4_CLASSIC
from bsa_vision.phantom.sheet_texture import SHEET_MM, sheet_albedo


def _picture(px_per_mm: float) -> np.ndarray:
    width, height = (round(side * px_per_mm) for side in SHEET_MM)
    y, x = np.mgrid[0:height, 0:width]
    x_mm = (x.ravel() + 0.5) / px_per_mm - SHEET_MM[0] / 2
    y_mm = (y.ravel() + 0.5) / px_per_mm - SHEET_MM[1] / 2
    return sheet_albedo(x_mm, y_mm, 1 / px_per_mm).reshape(height, width, 3)


def test_the_markers_are_found_at_their_places():
    scale = 3.0
    grey = (np.clip(_picture(scale)[:, :, 1], 0, 1) * 255).astype(np.uint8)
    detector = cv2.aruco.ArucoDetector(cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_4X4_50))
    corners, ids, _ = detector.detectMarkers(grey)
    assert sorted(ids.ravel().tolist()) == [0, 1, 2, 3]
    for found, identity in zip(corners, ids.ravel().tolist(), strict=True):
        # Pixel centres lie half a pixel inside; the detector is good to about one more.
        expected = A4_CLASSIC.marker(identity) * scale - 0.5
        np.testing.assert_allclose(found[0], expected, atol=1.5)


def test_the_patches_have_the_published_colours():
    centres = A4_CLASSIC.card.centres()
    x, y = (centres - np.array(SHEET_MM) / 2).T
    expected = np.clip(reference_linear(), 0, 1)
    for mm_per_px in (0.2, 1.0, 3.0):
        found = sheet_albedo(x.astype(np.float32), y.astype(np.float32), mm_per_px)
        np.testing.assert_allclose(found, expected, atol=1e-6)
