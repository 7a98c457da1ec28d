"""One photo through the chain, and invariants of the way from cells to percentages."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.calibration.drawing import View, as_photo, draw_sheet, expose, photograph
from tests.chart.scenes import FOCAL, SIZE, body_of, scene

from bsa_vision import pipeline
from bsa_vision.calibration.records import ScaleFit
from bsa_vision.calibration.reference import REFERENCE_LAB
from bsa_vision.calibration.sheets import A4_CLASSIC
from bsa_vision.calibration.srgb import ciede2000, linear_to_lab, srgb_to_linear
from bsa_vision.chart.cells import load_cells
from bsa_vision.chart.fuse import EvidenceMap
from bsa_vision.chart.pose_fit import SCALE_LOG_SD
from bsa_vision.core.labels import LABEL_NAMES, Label
from bsa_vision.dense.api import PlaceMap, view_number
from bsa_vision.measures.area import fill_unassessed, measure_area
from bsa_vision.photo.records import Photo
from bsa_vision.pipeline import PhotoRequest, assess_photo, chart_facts
from bsa_vision.segmentation.api import Segmentation

CAST = np.array([0.9, 0.75, 0.5], dtype=np.float32)
DISTANCE_M = 1.3
#: Half the resolution of the scene's photos; the sheet lies tilted, away from the middle.
VIEW = View(
    size=(SIZE[0] // 2, SIZE[1] // 2),
    focal_px=FOCAL / 2,
    tilt_deg=45.0,
    distance_mm=1000 * DISTANCE_M,
    aim_px=(560.0, 760.0),
)
CELLS = load_cells()
CHARTS = {
    weighting: chart_facts(body_of(), weighting) for weighting in ("lund-browder", "personal")
}


def evidence(seed: int, unseen: float) -> EvidenceMap:
    """Confluent patches of states round random cells, and patches never seen."""
    rng = np.random.default_rng(seed)
    places = CELLS.centres(body_of().rest.vertices)
    centres = places[rng.choice(len(CELLS), 60)]
    nearest = ((places[:, None] - centres[None]) ** 2).sum(axis=2).argmin(axis=1)
    states = rng.dirichlet(np.full(5, 0.3), 60).astype(np.float32)
    seen = (rng.random(60) >= unseen)[nearest]
    return EvidenceMap(
        probabilities=states[nearest] * seen[:, None],
        weight=seen.astype(np.float32),
        hidden=~seen & (nearest % 2 == 0),
        replicates=np.zeros((0, len(CELLS), 5), np.float32),
        model_share=seen.astype(np.float32),
    )


def mirrored(found: EvidenceMap) -> EvidenceMap:
    return EvidenceMap(
        found.probabilities[CELLS.mirror],
        found.weight[CELLS.mirror],
        found.hidden[CELLS.mirror],
        found.replicates,
        found.model_share[CELLS.mirror],
    )


@pytest.mark.parametrize("weighting", CHARTS)
@given(seed=st.integers(0, 1000), unseen=st.sampled_from([0.0, 0.1, 0.5, 0.9]))
@settings(max_examples=6)
def test_states_and_unseen_skin_sum_to_100(weighting, seed, unseen):
    chart, found = CHARTS[weighting], evidence(seed, unseen)
    filled = fill_unassessed(found, chart, 8.0)
    if filled is None:
        assert not found.assessed.any()
        return
    area = measure_area(found, filled, chart)
    assert area.seen.sum() + area.not_assessed.sum() == pytest.approx(100, abs=1e-4)
    assert area.estimate.sum() == pytest.approx(100, abs=1e-4)
    low, high = area.counted_bounds
    assert 0 <= low <= high <= 100 + 1e-4


@pytest.mark.parametrize("weighting", CHARTS)
@given(seed=st.integers(0, 1000))
@settings(max_examples=6)
def test_mirroring_the_body_mirrors_the_result(weighting, seed):
    chart, found = CHARTS[weighting], evidence(seed, 0.2)
    here, there = (
        measure_area(one, fill_unassessed(one, chart, 8.0), chart)
        for one in (found, mirrored(found))
    )
    names = [(row.region, row.side) for row in chart.rows]
    swap = {"left": "right", "right": "left"}
    opposite = [names.index((region, swap.get(side, side))) for region, side in names]
    # Opposite cells differ in area by the rounding of the body asset, under 0.1 %.
    np.testing.assert_allclose(there.seen[opposite], here.seen, rtol=2e-3, atol=2e-3)
    np.testing.assert_allclose(there.estimate[opposite], here.estimate, rtol=5e-3, atol=5e-3)


class Recorder:
    """A segmenter that calls all of the photo detached and keeps what it was shown."""

    name, digest, classes, area_power = "recorder", "0" * 64, LABEL_NAMES, 1.0

    def __init__(self) -> None:
        self.shown: list[np.ndarray] = []

    def segment(self, pixels: np.ndarray) -> Segmentation:
        self.shown.append(pixels)
        labels = np.full(pixels.shape[:2], Label.DETACHED, np.uint8)
        return Segmentation(labels, 255 * np.eye(len(LABEL_NAMES), dtype=np.uint8)[labels])


@pytest.fixture(scope="module")
def sheet_photo() -> Photo:
    """A tilted sheet in yellow light; of the patient only the landmarks are needed."""
    drawn = draw_sheet(A4_CLASSIC, A4_CLASSIC.card)
    light = photograph([(drawn, VIEW.homography(A4_CLASSIC))], VIEW.size)
    return as_photo(expose(light * CAST, 1.0), FOCAL, SIZE)


@pytest.fixture(scope="module")
def request_front() -> PhotoRequest:
    points = scene(body_of(), 0.0, distance=DISTANCE_M).points
    return PhotoRequest("trunk_front", points)


def patch_colours(pixels: np.ndarray) -> np.ndarray:
    """CIELAB (24, 3) of the card in a picture of the photo, at any size."""
    factor = pixels.shape[1] / VIEW.size[0]
    places = np.column_stack([A4_CLASSIC.card.centres(), np.ones(24)])
    x, y, w = VIEW.homography(A4_CLASSIC) @ places.T
    column, row = (np.rint((at / w + 0.5) * factor - 0.5).astype(int) for at in (x, y))
    near = np.arange(-1, 2)
    blocks = pixels[(row[:, None] + near)[:, :, None], (column[:, None] + near)[:, None]]
    return linear_to_lab(srgb_to_linear(blocks).mean(axis=(1, 2)))


def test_the_segmenter_sees_the_photo_with_its_colours_corrected(sheet_photo, request_front):
    recorder = Recorder()
    result = assess_photo(sheet_photo, request_front, body_of(), recorder)
    (shown,) = recorder.shown
    assert max(shown.shape[:2]) == min(pipeline.WORK_SIDE, max(VIEW.size))
    as_taken = ciede2000(patch_colours(sheet_photo.pixels), REFERENCE_LAB)
    corrected = ciede2000(patch_colours(shown), REFERENCE_LAB)
    # Patches are 10 x 14 px here: codes have noise 1, over 9 px, and sRGB does not hold cyan.
    assert np.median(as_taken) > 5
    assert np.median(corrected) < 1.5
    assert result.mask_source == "model"
    assert result.evidence is not None
    np.testing.assert_allclose(result.evidence.states[:, 3].max(), 1)


def test_the_scale_reaches_the_placement_without_the_sheets_tilt(
    sheet_photo, request_front, monkeypatch
):
    given: list[dict] = []

    def record(*args, **kwargs):
        given.append(kwargs)
        return register(*args, **kwargs)

    register = pipeline.register
    monkeypatch.setattr(pipeline, "register", record)
    result = assess_photo(sheet_photo, request_front, body_of(), Recorder())
    # Depth of the sheet's centre, along the camera's axis, over the focal length.
    off = np.array(VIEW.aim_px) - (np.array(VIEW.size) - 1) / 2
    depth_mm = VIEW.distance_mm * np.cos(np.arctan(np.linalg.norm(off) / VIEW.focal_px))
    assert given[0]["mm_per_px"] == pytest.approx(depth_mm / FOCAL, rel=0.01)
    assert given[0]["mm_per_px_log_sd"] == SCALE_LOG_SD
    assert result.calibration.scale.mm_per_px > 1.1 * depth_mm / FOCAL
    assert result.evidence is not None

    def without_tilt(photo):
        found = calibrate(photo)
        assert isinstance(found.scale, ScaleFit)
        return replace(found, scale=replace(found.scale, tilt_deg=None))

    calibrate = pipeline.calibrate
    monkeypatch.setattr(pipeline, "calibrate", without_tilt)
    assess_photo(sheet_photo, request_front, body_of(), Recorder())
    assert given[1]["mm_per_px"] == result.calibration.scale.mm_per_px
    assert given[1]["mm_per_px_log_sd"] > SCALE_LOG_SD


def test_a_poor_photo_weighs_less(sheet_photo, request_front):
    burnt = sheet_photo.pixels.copy()
    burnt[: burnt.shape[0] // 3] = 255  # above 20 % is poor; the sheet lies below
    poor_photo = replace(sheet_photo, pixels=burnt)
    # The 45 degrees of the sheet are usable, not good.
    usable, poor = (
        assess_photo(photo, request_front, body_of(), Recorder())
        for photo in (sheet_photo, poor_photo)
    )
    assert usable.calibration.quality.verdict == "usable"
    assert poor.calibration.quality.verdict == "poor"
    np.testing.assert_array_equal(poor.evidence.cells, usable.evidence.cells)
    np.testing.assert_allclose(poor.evidence.weight, 0.4 / 0.7 * usable.evidence.weight, rtol=1e-5)


def test_a_network_is_not_asked_where_a_mask_was_drawn(sheet_photo, request_front):
    recorder = Recorder()
    mask = np.full(SIZE[::-1], Label.UNAFFECTED, np.uint8)
    result = assess_photo(sheet_photo, replace(request_front, mask=mask), body_of(), recorder)
    assert recorder.shown == []
    assert result.mask_source == "given"
    np.testing.assert_allclose(result.evidence.states[:, 0].max(), 1)


class OtherArm:
    """A finder that sees the other arm, whatever it is told."""

    name, digest = "other-arm", "0" * 64

    def find(self, pixels: np.ndarray, view: str) -> PlaceMap:
        del view
        height, width = pixels.shape[0] // 4, pixels.shape[1] // 4
        flat = np.ones((height, width), np.float32)
        views = np.zeros(21, np.float32)
        views[view_number("arm_right_front")] = 0.99
        views[view_number("arm_left_front")] = 0.01
        places = np.zeros((height, width, 3), np.float32)
        return PlaceMap((4 * width, 4 * height), flat, places, flat, flat, views)


def test_a_photo_that_rules_out_its_stated_view_is_refused(sheet_photo):
    request = PhotoRequest("arm_left_front", {})
    result = assess_photo(sheet_photo, request, body_of(), Recorder(), OtherArm())
    assert result.evidence is None
    assert result.refused is not None
    assert result.refused.code == "view_contradicts"
    assert "arm_left_front, the photo looks like arm_right_front (99%)" in result.refused.reason
    assert "Correct the view" in result.refused.remedy
