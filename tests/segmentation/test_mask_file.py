from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bsa_vision.core.errors import Refused
from bsa_vision.segmentation.mask_file import read_mask

CODES = np.array([[0, 4, 6], [1, 2, 255]], np.uint8)


@pytest.mark.parametrize("mode", ["L", "P"])
def test_pixels_are_codes_whatever_colours_show_them(tmp_path: Path, mode: str) -> None:
    image = Image.fromarray(CODES)
    if mode == "P":
        # Colours of which no grey value is the code.
        image.putpalette([channel for code in range(256) for channel in (255 - code, 40, 90)])
    assert image.mode == mode
    image.save(tmp_path / "mask.png")
    mask = read_mask(tmp_path / "mask.png")
    assert isinstance(mask, np.ndarray)
    np.testing.assert_array_equal(mask, CODES)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "1", "I;16"])
def test_other_modes_are_refused_in_words(tmp_path: Path, mode: str) -> None:
    Image.new(mode, (3, 2)).save(tmp_path / "mask.png")
    refused = read_mask(tmp_path / "mask.png")
    assert isinstance(refused, Refused)
    assert refused.code == "mask_mode"
    assert refused.reason.endswith(f"got {mode}.")


@pytest.mark.parametrize("share", [0.0, 0.5, 0.9])
def test_damaged_files_are_refused(tmp_path: Path, share: float) -> None:
    path = tmp_path / "mask.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 7, (64, 64)).astype(np.uint8)).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    refused = read_mask(path)
    assert isinstance(refused, Refused)
    assert refused.code == "mask_unreadable"


def test_a_missing_mask_is_refused(tmp_path: Path) -> None:
    refused = read_mask(tmp_path / "mask.png")
    assert isinstance(refused, Refused)
    assert refused.code == "mask_missing"
