import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.chart.scenes import SIZE, WOMAN, body_of, scene

from bsa_vision.app import photo_job
from bsa_vision.app.photo_job import PhotoDone, PhotoJob, in_agreement, run_photo
from bsa_vision.app.series import PhotoEntry
from bsa_vision.chart.cells import load_cells
from bsa_vision.chart.fuse import EvidenceMap
from bsa_vision.core.errors import Refused
from bsa_vision.core.labels import Label
from bsa_vision.measures.records import CellHistory, VisitEvidence


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


N_CELLS = len(load_cells())
TRUNK_FRONT = load_cells().region == 2


def decided_visit(inferred: np.ndarray) -> VisitEvidence:
    """A visit in which earlier ones decided all of the cells where `inferred` is not 0."""
    shares = np.zeros((N_CELLS, 5), np.float32)
    shares[np.arange(N_CELLS), np.where(inferred > 0, 4, 0)] = 1
    nothing = np.zeros((0, N_CELLS, 5), np.float32)
    everywhere = np.ones(N_CELLS, np.float32)
    evidence = EvidenceMap(shares, everywhere, np.zeros(N_CELLS, bool), nothing, everywhere)
    lost = (inferred > 0).astype(np.float32)
    history = CellHistory(lost, bare=inferred > 0, intact=inferred < 0)
    return VisitEvidence(7, evidence, history, inferred.astype(np.float32))


EVERYWHERE = decided_visit(np.where(np.arange(N_CELLS) % 2, 1, -1))


@pytest.fixture
def found(entry, tmp_path):
    """The photo as if a model had found one state all over."""
    done = run_photo(job(entry, tmp_path))

    def as_if(state: Label) -> PhotoDone:
        labels = np.full((SIZE[1] // 2, SIZE[0] // 2), state, np.uint8)
        return replace(done, result=replace(done.result, labels=labels, mask_source="model"))

    return as_if


@pytest.mark.parametrize(
    ("seen", "decided", "sign"),
    [
        (Label.UNAFFECTED, Label.REEPITHELIALISED, 1),
        (Label.ERYTHEMA, Label.REEPITHELIALISED, 1),
        (Label.REEPITHELIALISED, Label.UNAFFECTED, -1),
    ],
)
def test_earlier_visits_decide_in_the_mask_as_on_the_chart(found, seen, decided, sign):
    before = found(seen)
    done = in_agreement(before, decided_visit(np.where(TRUNK_FRONT, sign, -sign)))
    mask = cv2.imread(str(done.job.mask_out), cv2.IMREAD_UNCHANGED)
    evidence = before.result.evidence
    x, y = np.rint(evidence.at).astype(int).T
    on_trunk = TRUNK_FRONT[evidence.cells]
    assert (mask[y[on_trunk], x[on_trunk]] == decided).mean() > 0.97
    assert (mask[y[~on_trunk], x[~on_trunk]] == seen).mean() > 0.97
    assert done.thumbnail != before.thumbnail


@pytest.mark.parametrize("state", [Label.BACKGROUND, Label.DETACHED, Label.NOT_ASSESSABLE])
def test_other_skin_of_a_mask_stays(found, state):
    before = found(state)
    assert in_agreement(before, EVERYWHERE) is before


def test_redness_of_a_mask_stays_where_skin_was_lost_but_never_bare(found):
    before = found(Label.ERYTHEMA)
    visit = decided_visit(np.ones(N_CELLS))
    only_detachable = replace(visit.history, bare=np.zeros(N_CELLS, bool))
    assert in_agreement(before, replace(visit, history=only_detachable)) is before
    assert in_agreement(before, visit) is not before


def test_a_drawn_mask_and_a_first_visit_stay(entry, tmp_path, found):
    drawn = run_photo(job(entry, tmp_path))
    assert in_agreement(drawn, EVERYWHERE) is drawn
    first = found(Label.UNAFFECTED)
    assert in_agreement(first, decided_visit(np.zeros(N_CELLS))) is first
