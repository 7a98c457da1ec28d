"""Fractal noise in space, fast enough to be evaluated for every pixel of a photo.

Two fixed tileable volumes are made once per process: a fractal one (power law over four octaves)
and a band-limited one (blobs of one size). Each has four independent channels of unit variance.
A volume is kept as an atlas of its slices, so that OpenCV's bilinear remap does the interpolation
inside a slice; two slices are then blended. That is some ten times faster than a general
map_coordinates, and the same function serves pixels and body cells.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

#: float32 throughout; the type is wider because NumPy does not type mixed expressions narrowly.
Float32 = NDArray[np.floating[Any]]

#: Voxels per side of a volume, and slices per row of its atlas.
SIDE = 96
_PER_ROW = 12
_PITCH = SIDE + 1
_ROW = 512
#: Points handled at a time, so that what is in between stays in the cache.
_CHUNK = 16 * _ROW
#: Voxels that one `wavelength` of `sample` spans in either volume.
PERIOD = 24.0
CHANNELS = 4


def _spectrum(kind: str) -> Float32:
    """Amplitude by frequency on the half grid of a real FFT, (SIDE, SIDE, SIDE // 2 + 1)."""
    axis = np.fft.fftfreq(SIDE)
    half = np.fft.rfftfreq(SIDE)
    frequency = np.sqrt(
        axis[:, None, None] ** 2 + axis[None, :, None] ** 2 + half[None, None, :] ** 2
    )
    relative = frequency * PERIOD
    if kind == "fractal":
        amplitude = np.where(
            (relative > 0.45) & (relative < 7.0), np.maximum(relative, 0.45) ** -2.35, 0.0
        )
    else:
        amplitude = np.exp(-0.5 * ((relative - 1.0) / 0.28) ** 2) / np.maximum(relative, 0.3)
    return amplitude.astype(np.float32)


@lru_cache(maxsize=2)
def _atlas(kind: str) -> Float32:
    """The slices of a volume, each padded by its wrapped neighbours, in one four-channel image."""
    rng = np.random.default_rng({"fractal": 8191, "blobs": 131071}[kind])
    spectrum = _spectrum(kind)
    rows = -(-SIDE // _PER_ROW)
    atlas = np.zeros((rows * _PITCH, _PER_ROW * _PITCH, CHANNELS), np.float32)
    for channel in range(CHANNELS):
        white = rng.standard_normal((SIDE, SIDE, SIDE), dtype=np.float32)
        volume = np.fft.irfftn(np.fft.rfftn(white) * spectrum, s=(SIDE,) * 3, axes=(0, 1, 2))
        volume = (volume / volume.std()).astype(np.float32)
        padded = np.pad(volume, ((0, 0), (0, 1), (0, 1)), mode="wrap")
        for k in range(SIDE):
            top, left = (k // _PER_ROW) * _PITCH, (k % _PER_ROW) * _PITCH
            atlas[top : top + _PITCH, left : left + _PITCH, channel] = padded[k]
    atlas.setflags(write=False)
    return atlas


def _tile_starts(shift: int) -> tuple[Float32, Float32]:
    """Left and top of the tile of each slice, or of its successor by `shift`."""
    slices = (np.arange(SIDE) + shift) % SIDE
    return (
        (slices % _PER_ROW * _PITCH).astype(np.float32),
        (slices // _PER_ROW * _PITCH).astype(np.float32),
    )


_TILES = (_tile_starts(0), _tile_starts(1))


def _slice_values(
    atlas: Float32, x: Float32, y: Float32, slices: NDArray[np.int32], shift: int
) -> Float32:
    """Values (rows, _ROW, 4) at places x, y of each point's slice or of the one after it."""
    left, top = _TILES[shift]
    shape = (x.size // _ROW, _ROW)
    across, down = np.take(left, slices), np.take(top, slices)
    across += x
    down += y
    found = cv2.remap(atlas, across.reshape(shape), down.reshape(shape), cv2.INTER_LINEAR)
    values: Float32 = np.asarray(found, np.float32)
    return values


@dataclass(frozen=True)
class Noise:
    """One random placement of the noise volumes in space.

    Attributes
    ----------
    rotation : (3, 3), so that the grid of the volume aligns with nothing.
    offset : (3,) voxels.
    """

    rotation: Float32
    offset: Float32

    @classmethod
    def from_rng(cls, rng: np.random.Generator) -> "Noise":
        """A placement drawn at random."""
        turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        offset = rng.uniform(0, SIDE, 3)
        return cls(turn.astype(np.float32), offset.astype(np.float32))

    def sample(self, points: Float32, wavelength: float, kind: str = "fractal") -> Float32:
        """Four independent values of unit variance at each point.

        Parameters
        ----------
        points : (N, 3) metres.
        wavelength : metres; the coarsest features (fractal) or the blobs' spacing (blobs).
        kind : "fractal" or "blobs".

        Returns
        -------
        (N, 4) float32.
        """
        atlas = _atlas(kind)
        turn = self.rotation * np.float32(PERIOD / wavelength / SIDE)
        values = np.empty((len(points), CHANNELS), np.float32)
        for start in range(0, len(points), _CHUNK):
            part = np.asarray(points[start : start + _CHUNK], np.float32)
            values[start : start + _CHUNK] = self._chunk(atlas, turn, part)
        return values

    def _chunk(self, atlas: Float32, turn: Float32, points: Float32) -> Float32:
        count = len(points)
        voxels = np.zeros((3, -(-count // _ROW) * _ROW), np.float32)
        np.matmul(turn, points.T, out=voxels[:, :count])
        voxels += (self.offset / SIDE)[:, None]
        voxels -= np.floor(voxels)
        voxels *= np.float32(SIDE)
        x, y, z = voxels
        below = np.minimum(z.astype(np.int32), SIDE - 1)
        z -= below
        low = _slice_values(atlas, x, y, below, 0)
        high = _slice_values(atlas, x, y, below, 1)
        high -= low
        high *= z.reshape(high.shape[:2])[..., None]
        low += high
        return low.reshape(-1, CHANNELS)[:count]


def smoothstep(low: float, high: float, value: Float32) -> Float32:
    """0 below `low`, 1 above `high`, a cubic between."""
    t = np.clip((value - np.float32(low)) / np.float32(high - low), 0, 1).astype(np.float32)
    blend: Float32 = t * t * (3 - 2 * t)
    return blend
