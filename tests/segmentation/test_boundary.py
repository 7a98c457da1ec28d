import cv2
import numpy as np
import pytest

from bsa_vision.segmentation.boundary import TOLERANCE, BoundaryCounts, boundary_counts


def disc(radius: int, size: int = 400, centre: int = 200) -> np.ndarray:
    mask = np.zeros((size, size), np.uint8)
    cv2.circle(mask, (centre, centre), radius, 1, -1)
    return mask


def f1(truth: np.ndarray, found: np.ndarray) -> float | None:
    return boundary_counts(truth, found)[1].f1


def test_an_outline_within_the_tolerance_agrees_and_one_beyond_does_not() -> None:
    reach = TOLERANCE * 400 * 2**0.5  # 4.2 pixels
    assert f1(disc(100), disc(100)) == 1.0
    assert f1(disc(100), disc(100 + int(reach) - 1)) == 1.0
    assert f1(disc(100), disc(100 + 3 * int(reach))) == 0.0


def test_an_outline_says_what_the_area_does_not() -> None:
    ragged = disc(100)
    ragged[::2, :] &= disc(80)[::2, :]
    dice = 2 * (ragged & disc(100)).sum() / (ragged.sum() + disc(100).sum())
    assert dice > 0.85
    assert (f1(disc(100), ragged) or 0.0) < 0.8


def test_a_class_of_one_mask_only_counts_against_it() -> None:
    counts = boundary_counts(disc(50), disc(50) * 0)
    assert counts[1].f1 == 0.0
    assert counts[0].f1 == 0.0  # the hole's outline is nowhere in the other mask
    assert boundary_counts(disc(0) * 0, disc(0) * 0)[0].f1 is None


def test_large_masks_are_judged_as_small_ones() -> None:
    large = [cv2.resize(m, (1600, 1600), interpolation=0) for m in (disc(100), disc(103))]
    assert f1(*large) == pytest.approx(f1(disc(100), disc(103)), abs=0.02)


def test_counts_are_pooled_before_dividing() -> None:
    pooled = BoundaryCounts.pooled([BoundaryCounts(10, 10, 10, 10), BoundaryCounts(30, 0, 10, 0)])
    assert pooled.f1 == pytest.approx(2 * 0.25 * 0.5 / 0.75)
