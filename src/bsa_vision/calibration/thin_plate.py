"""Thin-plate correction in CIELAB: what a simpler model leaves over, smoothly interpolated."""

import numpy as np

from bsa_vision.core.frames import FloatArray

#: Nugget: how far, in CIELAB squared per unit of curvature, the surface may miss a patch. The
#: kernel is in units of 100.
SMOOTHING = 0.3


class ThinPlate:
    """Smooth map from CIELAB (n, 3) to CIELAB shifts through noisy points.

    The kernel is -r, the three-dimensional thin-plate spline of lowest order (constant trend), so
    that far from every patch the shift stays bounded by a slow growth.
    """

    def __init__(self, places: FloatArray, shifts: FloatArray) -> None:
        n = len(places)
        system = np.zeros((n + 1, n + 1))
        system[:n, :n] = _kernel(places, places) + SMOOTHING * np.eye(n)
        system[:n, n] = system[n, :n] = 1
        self.places = places
        self.weights = np.linalg.solve(system, np.vstack([shifts, np.zeros((1, 3))]))

    def __call__(self, lab: FloatArray) -> FloatArray:
        """Shifts (n, 3) at CIELAB places (n, 3)."""
        return np.asarray(_kernel(lab, self.places) @ self.weights[:-1] + self.weights[-1])


def _kernel(one: FloatArray, two: FloatArray) -> FloatArray:
    return -np.asarray(np.linalg.norm(one[:, None] - two[None], axis=-1)) / 100
