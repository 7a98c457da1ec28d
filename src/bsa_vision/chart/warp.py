"""The residual warp: a smooth displacement, carried by the skin, that makes the landmarks meet.

After the body is fitted, what is left at the landmarks is partly body shape (smooth over the skin,
to be followed) and partly clicking error (not to be followed). A Gaussian process over places on
the resting skin separates the two; it smooths like a thin-plate spline but does not tear across
the image edge between an arm and the trunk behind it, and it knows its own uncertainty.
"""

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from bsa_vision.core.frames import FloatArray

#: How far a person's shape moves skin against the body fitted to landmarks (mm), and over what
#: distance (m).
SHAPE_SD_MM = 9.0
SHAPE_LENGTH_M = 0.13
#: Clicking errors tried, as fractions of the photo's long side (2000 px: 1.2, 3, 6, 12 px).
CLICK_FRACTIONS = (0.0006, 0.0015, 0.003, 0.006)
_FEATURES = 128


def _kernel(a: FloatArray, b: FloatArray) -> FloatArray:
    squared = ((a[:, None] - b[None]) ** 2).sum(axis=2)
    smooth: FloatArray = np.exp(-squared / (2 * SHAPE_LENGTH_M**2))
    return smooth


@dataclass(frozen=True)
class Warp:
    """A displacement field over the resting skin.

    Attributes
    ----------
    places : (N, 3) metres, rest positions of the landmarks.
    shape_px : (N,) standard deviation of the field at each landmark, pixels.
    noise_px : (N,) clicking error at each landmark, pixels.
    residuals : (N, 2) pixels.
    shape_sd_mm : standard deviation of the field on the skin away from landmarks.
    """

    places: FloatArray
    shape_px: FloatArray
    noise_px: FloatArray
    residuals: FloatArray
    shape_sd_mm: float = SHAPE_SD_MM

    @classmethod
    def from_residuals(
        cls,
        places: FloatArray,
        residuals: FloatArray,
        px_per_mm: FloatArray,
        weights: FloatArray,
        long_side: int,
        shape_sd_mm: float = SHAPE_SD_MM,
    ) -> "Warp":
        """Choose the clicking error by marginal likelihood; distrusted points count little.

        Without landmarks the field is 0, and as unsure as `shape_sd_mm` says.
        """
        shape = shape_sd_mm * px_per_mm
        if not len(places):
            return cls(places, shape, shape, residuals, shape_sd_mm)
        kernel = _kernel(places, places) * np.outer(shape, shape)
        best: tuple[float, FloatArray] | None = None
        for fraction in CLICK_FRACTIONS:
            noise = fraction * long_side / np.sqrt(np.maximum(weights, 1e-3))
            factor = cho_factor(kernel + np.diag(noise**2))
            logdet = 2 * np.log(np.diag(factor[0])).sum()
            misfit = float((residuals * cho_solve(factor, residuals)).sum())
            score = -0.5 * misfit - logdet  # two coordinates share one determinant
            if best is None or score > best[0]:
                best = (score, noise)
        noise = best[1] if best else np.zeros(len(places))
        return cls(places, shape, noise, residuals, shape_sd_mm)

    def _gain(self, places: FloatArray, px_per_mm: FloatArray) -> tuple[FloatArray, FloatArray]:
        if not len(self.places):
            nothing = np.zeros((len(places), 0))
            return nothing, nothing
        cross = _kernel(places, self.places) * np.outer(self.shape_sd_mm * px_per_mm, self.shape_px)
        inner = _kernel(self.places, self.places) * np.outer(self.shape_px, self.shape_px)
        factor = cho_factor(inner + np.diag(self.noise_px**2))
        return cross, cho_solve(factor, cross.T).T

    def displacement(
        self, places: FloatArray, px_per_mm: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Shift (M, 2) in pixels at rest places (M, 3), and its standard deviation (M,)."""
        cross, gain = self._gain(places, px_per_mm)
        variance = (self.shape_sd_mm * px_per_mm) ** 2 - (cross * gain).sum(axis=1)
        return gain @ self.residuals, np.sqrt(np.maximum(variance, 0))

    def draws(
        self, places: FloatArray, px_per_mm: FloatArray, count: int, rng: np.random.Generator
    ) -> FloatArray:
        """Deviations (count, M, 2) in pixels of possible fields from the mean one.

        Source: Matheron's rule on random Fourier features of the kernel (Rahimi & Recht 2007).
        """
        waves = rng.normal(0, 1 / SHAPE_LENGTH_M, (_FEATURES, 3))
        phase = rng.uniform(0, 2 * np.pi, _FEATURES)
        amplitude = rng.normal(0, np.sqrt(2 / _FEATURES), (_FEATURES, count, 2))
        _, gain = self._gain(places, px_per_mm)

        def field(at: FloatArray, scale: FloatArray) -> FloatArray:
            return np.tensordot(np.cos(at @ waves.T + phase), amplitude, 1) * scale[:, None, None]

        prior_here = field(places, self.shape_sd_mm * px_per_mm)
        prior_there = field(self.places, self.shape_px)
        prior_there = (
            prior_there + rng.normal(0, 1, prior_there.shape) * self.noise_px[:, None, None]
        )
        deviation = prior_here - np.tensordot(gain, prior_there, 1)
        drawn: FloatArray = deviation.transpose(1, 0, 2)
        return drawn
