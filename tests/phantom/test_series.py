import json

import numpy as np
import pytest
from PIL import Image, ImageOps

from bsa_vision.chart.anny_model import BodyModel
from bsa_vision.chart.cells import load_cells
from bsa_vision.chart.landmarks import landmark_points
from bsa_vision.core.errors import InputError
from bsa_vision.core.frames import Camera
from bsa_vision.core.labels import LABEL_NAMES
from bsa_vision.phantom.series import render_series

_DAYS = (0, 7)
_VIEWS = ("whole_front", "trunk_back")


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    out = tmp_path_factory.mktemp("series")
    calls: list[tuple[int, int]] = []
    render_series(
        out, 5, _DAYS, _VIEWS, (150, 200), max_fraction=0.3,
        progress=lambda done, total: calls.append((done, total)),
    )  # fmt: skip
    assert calls == [(1, 4), (2, 4), (3, 4), (4, 4)]
    return out


@pytest.fixture(scope="module")
def truth(series):
    return json.loads((series / "truth" / "truth.json").read_text("utf-8"))


def _photos(series):
    document = json.loads((series / "series.json").read_text("utf-8"))
    assert document["format"] == "bsa-vision-series/1"
    return [photo for visit in document["visits"] for photo in visit["photos"]]


def test_photo_mask_and_landmarks_share_the_displayed_frame(series):
    photos = _photos(series)
    assert len(photos) == 4
    for photo in photos:
        stored = Image.open(series / photo["file"])
        shown = ImageOps.exif_transpose(stored)
        mask = np.asarray(Image.open(series / photo["mask"]))
        portrait = photo["view"] == "whole_front"
        assert shown.size == ((150, 200) if portrait else (200, 150))
        assert mask.shape == (shown.height, shown.width)
        assert stored.getexif()[274] == (6 if portrait else 1)
        points = json.loads((series / photo["landmarks"]).read_text("utf-8"))["points"]
        assert len(points) >= 8
        geometry = np.load(series / "truth" / photo["file"].replace(".jpg", ".geometry.npz"))
        camera = Camera(geometry["K"], geometry["R"], geometry["t"], tuple(geometry["size"]))
        projected = camera.project(landmark_points(geometry["vertices"].astype(float), points))
        # Stored with two decimals; float32 geometry moves a point by far less.
        np.testing.assert_allclose(projected, list(points.values()), atol=0.02)
        inside = mask[tuple(np.rint(projected).astype(int).T[::-1])]
        assert np.mean(inside > 0) > 0.85  # landmarks at the eyes may fall on an eyeball


def test_the_body_on_file_has_the_stated_height(series):
    document = json.loads((series / "series.json").read_text("utf-8"))
    rest = np.load(series / "truth" / "body.npz")["rest_vertices"]
    assert document["patient"]["height_cm"] == pytest.approx(100 * np.ptp(rest[:, 2]), abs=0.06)


def test_percentages_are_complete_and_the_maximum_is_running(truth):
    highest = 0.0
    for visit in truth["visits"]:
        percent = visit["percent_of_skin"]
        assert sum(percent.values()) == pytest.approx(100)
        assert sum(visit["percent_if_no_dressing"].values()) == pytest.approx(100)
        counted = percent["detachable"] + percent["detached"]
        assert visit["counted_bsa"] == pytest.approx(counted)
        highest = max(highest, counted)
        assert visit["max_counted_bsa_to_day"] == pytest.approx(highest)
    assert truth["max_counted_bsa"] == pytest.approx(highest)
    assert highest > 1


def test_the_cells_tell_the_same_as_the_fine_samples(series, truth):
    cells = np.load(series / "truth" / "cells.npz")
    assert cells["label"].shape == (len(_DAYS), len(load_cells().face))
    rest = np.load(series / "truth" / "body.npz")["rest_vertices"]
    chart = load_cells()
    corners = np.einsum("nij,njc->nic", chart.corners, rest[BodyModel.load().faces[chart.face]])
    sides = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(sides, axis=1)
    for label, visit in zip(cells["label_if_no_dressing"], truth["visits"], strict=True):
        for code, name in enumerate(LABEL_NAMES[1:6], start=1):
            share = 100 * area[label == code].sum() / area.sum()
            # n cells sampled at their centres: the standard error is at most 50 / sqrt(n) < 0.5.
            assert share == pytest.approx(visit["percent_if_no_dressing"][name], abs=1.0)


def test_the_sheet_in_the_truth_is_the_sheet_in_the_picture(truth):
    for visit in truth["visits"]:
        for photo in visit["photos"]:
            sheet = photo["calibration"]
            homography = np.array(sheet["homography_sheet_mm_to_px"])
            corners = np.array(
                [[-105, -148.5, 1], [105, -148.5, 1], [105, 148.5, 1], [-105, 148.5, 1]]
            )
            projected = corners @ homography.T
            np.testing.assert_allclose(
                projected[:, :2] / projected[:, 2:], sheet["sheet_corners_px"], atol=1e-6
            )
            width, height = photo["displayed_size"]
            inside = np.array(sheet["sheet_corners_px"]) / [width, height]
            assert inside.min() > 0
            assert inside.max() < 1


def test_an_unknown_view_is_refused_before_rendering(tmp_path):
    with pytest.raises(KeyError):
        render_series(tmp_path / "x", 1, (0,), ("whole_front", "elbow_of_the_moon"))
    assert not (tmp_path / "x").exists()


def test_a_folder_of_another_rendering_is_refused_before_rendering(series, tmp_path):
    with pytest.raises(InputError, match=r"other settings \(days, seed\)"):
        render_series(series, 6, (0,), _VIEWS, (150, 200), max_fraction=0.3)
    assert (series / "series.json").exists()
    (tmp_path / "D00").mkdir()
    (tmp_path / "D00" / "whole_front.jpg").write_bytes(b"of another version")
    with pytest.raises(InputError, match=r"no rendering\.json"):
        render_series(tmp_path, 5, _DAYS, _VIEWS, (150, 200))


@pytest.mark.slow
def test_the_number_of_workers_changes_no_byte(tmp_path):
    for workers in (1, 2):
        render_series(
            tmp_path / str(workers), 6, (0, 10), ("trunk_front", "legs_back"), (90, 120),
            workers=workers,
        )  # fmt: skip
    one, two = (
        {f.relative_to(tmp_path / n): f.read_bytes() for f in (tmp_path / n).rglob("*.*")}
        for n in ("1", "2")
    )
    assert one == two
