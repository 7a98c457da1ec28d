import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.chart.scenes import SIZE, WOMAN, body_of, scene

from bsa_vision.app import photo_job
from bsa_vision.app.photo_job import PhotoDone, PhotoJob, healed_where_lost, run_photo
from bsa_vision.app.series import PhotoEntry
from bsa_vision.chart.cells import load_cells
from bsa_vision.core.errors import Refused
from bsa_vision.core.labels import Label


@pytest.fixture
def entry(tmp_path) -> PhotoEntry:
    """A patterned photo with true landmarks and a mask that is detached all over."""
    photo, mask = tmp_path / "front.png", tmp_path / "front.mask.png"
    noise = np.random.default_rng(0).integers(60, 200, (SIZE[1] // 20, SIZE[0] // 20, 3), np.uint8)
    cv2.imwrite(str(photo), np.kron(noise, np.ones((20, 20, 1), np.uint8)))
    cv2.imwrite(str(mask), np.full((SIZE[1], SIZE[0]), Label.DETACHED, np.uint8))
    landmarks = tmp_path / "front.landmarks.json"
    landmarks.write_text(json.dumps({"points": scene(body_of(), 0.0).points}))
    return PhotoEntry("front.png", photo, "whole_front", landmarks, mask)


def job(entry: PhotoEntry, tmp_path: Path, masks: str = "given") -> PhotoJob:
    return PhotoJob(entry, 0, WOMAN, masks, None, tmp_path / "masks" / "front.png")


def refused(entry: PhotoEntry, tmp_path: Path) -> Refused:
    found = run_photo(job(entry, tmp_path)).result.refused
    assert found is not None
    return found


def test_a_photo_without_card_is_placed_and_says_that_there_is_none(entry, tmp_path):
    done = run_photo(job(entry, tmp_path))
    assert done.result.refused is None
    assert isinstance(done.result.calibration.scale, Refused)
    assert isinstance(done.result.calibration.colour, Refused)
    evidence = done.result.evidence
    np.testing.assert_allclose(evidence.states[:, 3], 1)
    assert (
        cv2.imread(str(tmp_path / "masks" / "front.png"), cv2.IMREAD_UNCHANGED).shape == SIZE[::-1]
    )
    assert done.thumbnail is not None


def test_pictures_do_not_travel_between_processes(entry, tmp_path):
    result = run_photo(job(entry, tmp_path)).result
    assert result.work is None
    assert result.labels is None
    assert result.photo.pixels.size <= 3
    assert result.calibration.photo.pixels.size <= 3


@pytest.mark.parametrize(
    ("mask", "words"),
    [
        (np.zeros((10, 10), np.uint8), "(10, 10)"),
        (np.full(SIZE[::-1], 9, np.uint8), "codes 0 to 6"),
        (np.zeros(SIZE[::-1], np.uint16), "8-bit codes"),
        (np.zeros((*SIZE[::-1], 3), np.uint8), "got RGB"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused_in_words(entry, tmp_path, mask, words):
    cv2.imwrite(str(entry.mask), mask)
    found = refused(entry, tmp_path)
    assert found.code == "mask_malformed"
    assert words in found.reason


def test_a_missing_mask_is_refused_when_masks_must_be_given(entry, tmp_path):
    entry.mask.unlink()
    assert refused(entry, tmp_path).code == "mask_missing"


@pytest.mark.parametrize(
    "fault", [ValueError, OSError, MemoryError, AttributeError, cv2.error, KeyError]
)
def test_an_error_in_the_software_loses_one_photo_only(entry, tmp_path, monkeypatch, caplog, fault):
    def broken(*_args):
        msg = "/home/someone/site-packages: shapes do not match"
        raise fault(msg)

    monkeypatch.setattr(photo_job, "assess_photo", broken)
    found = refused(entry, tmp_path)
    assert found.code == "photo_failed"
    assert fault.__name__ in found.reason
    # The text may hold paths of the machine: it is for the log, not for the results.
    assert "someone" not in found.reason
    assert "shapes do not match" in caplog.text


def test_a_broken_mask_is_not_replaced_by_the_networks(entry, tmp_path):
    cv2.imwrite(str(entry.mask), np.zeros((10, 10), np.uint8))
    result = run_photo(job(entry, tmp_path, masks="auto")).result
    assert result.refused.code == "mask_malformed"
    assert result.evidence is None


@pytest.fixture
def found_unaffected(entry, tmp_path) -> PhotoDone:
    """The photo as if a model had found unaffected skin all over."""
    done = run_photo(job(entry, tmp_path))
    labels = np.full((SIZE[1] // 2, SIZE[0] // 2), Label.UNAFFECTED, np.uint8)
    return replace(done, result=replace(done.result, labels=labels, mask_source="model"))


def written_mask(done: PhotoDone) -> np.ndarray:
    return cv2.imread(str(done.job.mask_out), cv2.IMREAD_UNCHANGED)


def test_a_mask_shows_lost_skin_healed_where_the_chart_has_it_so(found_unaffected):
    cells = load_cells()
    trunk_front = (cells.region == 2).astype(np.float32)
    done = healed_where_lost(found_unaffected, trunk_front)
    mask = written_mask(done)
    evidence = found_unaffected.result.evidence
    x, y = np.rint(evidence.at).astype(int).T
    on_trunk = trunk_front[evidence.cells] > 0
    assert (mask[y[on_trunk], x[on_trunk]] == Label.REEPITHELIALISED).mean() > 0.97
    assert (mask[y[~on_trunk], x[~on_trunk]] == Label.UNAFFECTED).mean() > 0.97
    assert done.thumbnail != found_unaffected.thumbnail


@pytest.mark.parametrize("state", [Label.BACKGROUND, Label.ERYTHEMA, Label.DETACHED])
def test_other_skin_of_a_mask_stays(found_unaffected, state):
    labels = np.full_like(found_unaffected.result.labels, state)
    shown = replace(found_unaffected, result=replace(found_unaffected.result, labels=labels))
    assert healed_where_lost(shown, np.ones(len(load_cells()), np.float32)) is shown


def test_a_drawn_mask_and_a_first_visit_stay(entry, tmp_path, found_unaffected):
    drawn = run_photo(job(entry, tmp_path))
    assert healed_where_lost(drawn, np.ones(len(load_cells()), np.float32)) is drawn
    assert healed_where_lost(found_unaffected, None) is found_unaffected
