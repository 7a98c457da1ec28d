"""The photo record checks itself and cannot be changed."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest

from bsa_vision.photo.records import Photo


@pytest.fixture
def photo() -> Photo:
    return Photo(np.zeros((75, 100, 3), np.uint8), "0" * 64, (400, 300), None, 500.0, "JPEG")


def test_scale_is_the_ratio_of_widths(photo: Photo) -> None:
    assert photo.scale == 0.25


def test_pixels_are_copied_in_and_read_only(photo: Photo) -> None:
    mine = np.zeros((75, 100, 3), np.uint8)
    record = replace(photo, pixels=mine)
    mine[:] = 9
    assert record.pixels.max() == 0
    with pytest.raises(ValueError, match="read-only"):
        record.pixels[0] = 1
    with pytest.raises(FrozenInstanceError):
        record.digest = "1" * 64  # type: ignore[misc]  # the point of the test


@pytest.mark.parametrize(
    "change",
    [
        {"pixels": np.zeros((75, 100), np.uint8)},
        {"pixels": np.zeros((75, 100, 4), np.uint8)},
        {"pixels": np.zeros((75, 100, 3), np.float32)},
        {"full_size": (99, 300)},
        {"digest": "A" * 64},
        {"focal_px": 0.0},
    ],
)
def test_impossible_records_are_rejected(photo: Photo, change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"need"):
        replace(photo, **change)
