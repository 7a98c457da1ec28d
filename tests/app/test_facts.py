from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.chart.scenes import WOMAN

from bsa_vision.app.facts import photo_facts
from bsa_vision.app.photo_job import PhotoDone, PhotoJob, run_photo
from bsa_vision.app.series import PhotoEntry
from bsa_vision.core.errors import Refused
from bsa_vision.core.labels import Label
from bsa_vision.pipeline import PhotoResult

SIZE = (300, 400)


def job(folder: Path) -> PhotoJob:
    """A photo listed with a drawn mask and a landmark file."""
    photo, mask, landmarks = folder / "a.png", folder / "a.mask.png", folder / "a.landmarks.json"
    cv2.imwrite(str(mask), np.full(SIZE, Label.DETACHED, np.uint8))
    landmarks.write_text('{"points": {}}')
    entry = PhotoEntry("a.png", photo, "whole_front", landmarks, mask)
    return PhotoJob(entry, 0, WOMAN, "given", None, folder / "masks" / "a.png")


@pytest.mark.parametrize(
    ("code", "error_mm", "verdict"),
    [
        (None, 12.0, "use"),
        (None, 21.0, "use_with_caution"),
        ("placement_uncertain", 60.0, "ask_for_landmarks"),
        ("side_open", None, "ask_for_landmarks"),
        ("no_skin_found", 12.0, "ask_for_landmarks"),
        ("landmarks_unreadable", None, "ask_for_landmarks"),
        ("quality_unusable", None, None),
    ],
)
def test_what_to_make_of_a_placement(tmp_path, code, error_mm, verdict):
    refused = Refused(code, "because", "do this") if code else None
    result = PhotoResult(None, placement_error_mm=error_mm, refused=refused)
    assert photo_facts(PhotoDone(job(tmp_path), result)).placement_verdict == verdict


def test_an_unreadable_photo_has_its_reason_beside_every_missing_number(tmp_path):
    asked = job(tmp_path)
    asked.entry.path.write_bytes(b"no photo")
    facts = photo_facts(run_photo(asked))
    assert facts.status == "refused"
    assert facts.reason
    reasons = (
        facts.colour_reason,
        facts.scale_reason,
        facts.quality_reason,
        facts.registration_reason,
    )
    assert set(reasons) == {facts.reason}
    assert (facts.colour_flags, facts.scale_flags) == ((), ())


@pytest.mark.parametrize("value", [0, 128, 255], ids=["black", "fog", "white"])
def test_a_photo_without_a_picture_is_refused_but_its_mask_is_kept(tmp_path, value):
    asked = job(tmp_path)
    cv2.imwrite(str(asked.entry.path), np.full((*SIZE, 3), value, np.uint8))
    done = run_photo(asked)
    facts = photo_facts(done)
    assert (facts.status, facts.code) == ("refused", "quality_unusable")
    assert facts.quality == "unusable"
    assert facts.quality_reason == facts.reason
    assert facts.remedy in facts.quality_remedies
    assert done.result.evidence is None
    assert asked.mask_out.is_file()
    # There is no sheet in it either, and that has its own reason.
    assert facts.scale_reason
    assert facts.scale_reason != facts.reason
