"""Coordinate frames.

- Pixels: of the photo as displayed; (0, 0) is the centre of the top-left pixel, x right, y down.
- Camera: right-handed, x right, y down, z forward, metres.
- Body: the Anny frame (z up, metres), posed.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def frozen(array: np.ndarray, dtype: type) -> np.ndarray:
    """A read-only copy, for records."""
    copy: np.ndarray = np.array(array, dtype=dtype)
    copy.setflags(write=False)
    return copy


@dataclass(frozen=True)
class Camera:
    """A pinhole: camera = R X + t, pixel = K camera / z.

    Attributes
    ----------
    k : (3, 3) intrinsics in pixels of an image of `size`.
    r : (3, 3) rotation body -> camera.
    t : (3,) metres.
    size : (width, height) in pixels.
    """

    k: FloatArray
    r: FloatArray
    t: FloatArray
    size: tuple[int, int]

    def to_camera(self, points: FloatArray) -> FloatArray:
        """Body points (N, 3) in metres -> camera frame (N, 3)."""
        return points @ self.r.T + self.t

    def project(self, points: FloatArray) -> FloatArray:
        """Body points (N, 3) in metres -> pixels (N, 2)."""
        homogeneous = self.to_camera(points) @ self.k.T
        return homogeneous[:, :2] / homogeneous[:, 2:3]

    def centre(self) -> FloatArray:
        """The camera's place in the body frame, (3,) metres."""
        return -self.r.T @ self.t
