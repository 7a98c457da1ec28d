from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bsa_vision.app.calibrate import calibrate_photos
from bsa_vision.app.progress import ProgressEvent, silent
from bsa_vision.core.errors import InputError
from bsa_vision.core.provenance import canonical_json


def test_photos_without_card_and_broken_photos_are_entries_with_reasons(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    plain, broken = tmp_path / "plain.png", tmp_path / "broken.jpg"
    Image.fromarray(rng.integers(90, 160, (240, 320, 3), dtype=np.uint8)).save(plain)
    broken.write_bytes(b"\xff\xd8\xff")
    events: list[ProgressEvent] = []
    document = calibrate_photos([plain, broken], None, events.append)
    assert document["format"] == "bsa-vision-calibration/1"
    first, second = document["photos"]
    assert (first["file"], second["file"]) == (str(plain), str(broken))
    assert first["scale"] is None
    assert first["scale_reason"]
    assert first["verdict"] in ("good", "usable", "poor")
    assert second["verdict"] == "refused"
    assert second["colour"] is second["scale"] is second["quality"] is None
    assert second["colour_reason"] == second["scale_reason"] == second["quality_reason"]
    assert second["reason"]
    assert second["remedies"]
    assert [event.done for event in events] == [1, 2]
    assert canonical_json(document)


def test_a_black_photo_is_refused_with_value_limit_and_remedy(tmp_path: Path) -> None:
    black = tmp_path / "black.png"
    Image.fromarray(np.zeros((240, 320, 3), np.uint8)).save(black)
    (entry,) = calibrate_photos([black], None, silent)["photos"]
    assert (entry["verdict"], entry["code"]) == ("refused", "quality_unusable")
    assert "at most 95 %" in entry["reason"]
    assert any("light" in remedy for remedy in entry["remedies"])


def test_an_unknown_sheet_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="a4-classic"):
        calibrate_photos([tmp_path / "a.jpg"], "a5", silent)


def test_a_photo_that_is_not_there_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"typo\.jpg: there is no such photo"):
        calibrate_photos([tmp_path, tmp_path / "typo.jpg"], None, silent)


def test_a_real_photo_of_a_card_on_a_sheet(data_dir: Path) -> None:
    photo = min((data_dir / "colour_scale").glob("color_checker_mini_*.jp*g"))
    (entry,) = calibrate_photos([photo], None, silent)["photos"]
    assert entry["scale"]["sheet"] == "arcu-a4-mini"
    assert entry["colour"]["de00_loo_mean"] < entry["colour"]["de00_raw_mean"]
    # The corners are those of an A4 sheet: the homography takes its outline there.
    outline = np.array([[0, 0, 1], [210, 0, 1], [210, 297, 1], [0, 297, 1]], dtype=float)
    mapped = outline @ np.array(entry["scale"]["homography"]).T
    expected = mapped[:, :2] / mapped[:, 2:]
    np.testing.assert_allclose(entry["scale"]["corners_px"], expected, atol=1e-6)
