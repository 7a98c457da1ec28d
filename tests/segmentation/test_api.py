import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsa_vision.segmentation.api import Segmentation, sharpened
from bsa_vision.segmentation.padding import network_size, pad_to_multiple, resample


def test_shapes_must_match() -> None:
    labels = np.zeros((4, 5), np.uint8)
    with pytest.raises(ValueError, match="need shape"):
        Segmentation(labels, np.zeros((4, 6, 7), np.uint8))
    with pytest.raises(ValueError, match=r"need shape \(h, w\)"):
        Segmentation(labels[None], np.zeros((4, 5, 7), np.uint8))


def test_labels_at_another_size_are_those_of_the_pixel_that_covers_them() -> None:
    labels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    result = Segmentation(labels, np.zeros((2, 3, 7), np.uint8)).labels_at((9, 6))
    assert np.array_equal(result, labels.repeat(3, axis=0).repeat(3, axis=1))


sides = st.integers(1, 3000)


@given(sides, sides, st.sampled_from([128, 768]))
def test_network_size_keeps_the_aspect(width: int, height: int, long_side: int) -> None:
    w, h = network_size((width, height), long_side)
    assert max(w, h) == long_side
    # Each side is rounded to a whole pixel, and none vanishes.
    assert abs(w - width * long_side / max(width, height)) <= 0.5 or w == 1
    assert abs(h - height * long_side / max(width, height)) <= 0.5 or h == 1


@given(st.integers(1, 70), st.integers(1, 70))
def test_padding_keeps_the_photo_and_repeats_its_rim(height: int, width: int) -> None:
    image = np.random.default_rng(0).integers(0, 255, (height, width, 3)).astype(np.uint8)
    padded = pad_to_multiple(image, 32)
    assert padded.shape[0] % 32 == padded.shape[1] % 32 == 0
    assert padded.shape[0] - height < 32
    assert np.array_equal(padded[:height, :width], image)
    assert np.array_equal(padded[-1, :width], image[-1])


def test_shrinking_averages() -> None:
    image = np.tile(np.array([[0, 200]], np.uint8).repeat(2, 0), (4, 4))[:, :, None].repeat(3, 2)
    assert np.all(resample(image, (4, 4)) == 100)


def test_sharper_probabilities_still_sum_to_one_and_rank_the_same() -> None:
    found = np.array([[[128, 76, 51], [255, 0, 0], [85, 85, 85]]], np.uint8)
    assert np.array_equal(sharpened(found, 1), found)
    sharp = sharpened(found, 3)
    assert sharp.dtype == np.uint8
    assert np.all(np.abs(sharp.sum(axis=2, dtype=int) - 255) <= 1)
    shares = np.array([128, 76, 51]) ** 3.0
    assert sharp[0, 0] == pytest.approx(255 * shares / shares.sum(), abs=0.51)
    assert sharp[0, 1].tolist() == [255, 0, 0]
    assert sharp[0, 2].tolist() == [85, 85, 85]
