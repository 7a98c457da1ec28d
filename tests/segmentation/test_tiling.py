import numpy as np
import pytest

from bsa_vision.segmentation.tiling import OVERLAP, TILE, _starts, run_tiled

Pixels = np.ndarray


def by_colour(pixels: Pixels) -> tuple[Pixels, Pixels]:
    """A network that looks at each pixel alone."""
    probabilities = pixels.astype(np.uint8)
    return probabilities.argmax(axis=2).astype(np.uint8), probabilities


def by_place(pixels: Pixels) -> tuple[Pixels, Pixels]:
    """A network that is misled by where in its window a pixel lies, as far as can be."""
    height, width = pixels.shape[:2]
    first = np.broadcast_to(np.linspace(0, 255, width), (height, width))
    both = np.stack([first, 255 - first], axis=2).astype(np.uint8)
    return both.argmax(axis=2).astype(np.uint8), both


@pytest.mark.parametrize("size", [(96, 64), (TILE, 1056), (1504, 2208), (1056, 512)])
def test_tiles_give_what_the_whole_gives(size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    whole, tiled = by_colour(pixels), run_tiled(pixels, by_colour)
    np.testing.assert_array_equal(whole[0], tiled[0])
    np.testing.assert_array_equal(whole[1], tiled[1])


def test_there_is_no_step_where_tiles_meet() -> None:
    pixels = np.zeros((64, 2208, 3), np.uint8)
    found = run_tiled(pixels, by_place)[1].astype(int)
    # Side by side, the windows would differ by 255 from one pixel to the next.
    assert np.abs(np.diff(found[:, :, 0], axis=1)).max() <= 3


@pytest.mark.parametrize("length", range(1056, 5000, 32))
def test_tiles_cover_a_side_and_overlap_enough(length: int) -> None:
    starts = _starts(length)
    assert (starts[0], starts[-1] + TILE) == (0, length)
    assert all(start % 32 == 0 for start in starts)
    # Rounded to the grid of 32, an overlap may lose up to that much.
    assert np.diff(starts).max() <= TILE - OVERLAP + 32
