"""Colour models that are linear in monomials of the photo's channels, fitted in CIELAB.

One fit serves them all: corrected linear light = coefficients x monomials of (toned) linear light,

    ln t = alpha ln x + beta (ln x)^2        (tone curve of the camera; alpha 1, beta 0 without)
    corrected = sum_j c_j  t_r^(e_j1) t_g^(e_j2) t_b^(e_j3)

with the exponents (e_j) of the model: unit vectors give a 3x3 matrix, the zero vector an offset,
halves the root-polynomial of Finlayson, Mackiewicz & Hurlbert (IEEE TIP 24(5), 2015), squares the
Vandermonde polynomial. The error minimised is in CIELAB with chroma damped as in CIE94, because
errors of light weigh bright patches far above dark ones. All leave-one-out fits run at once, as a
batch of Levenberg-Marquardt problems.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bsa_vision.calibration.srgb import (
    LINEAR_TO_XYZ_D50,
    lab_jacobian,
    lab_to_linear,
    linear_to_lab,
)
from bsa_vision.core.frames import FloatArray

#: Half a code of sRGB: light that is recorded as 0 is treated as this.
DARKEST = 1.5e-4
#: Below this light the tone curve goes on as a straight line (code 7: noise and flare rule there).
TONE_FOOT = 2e-3
#: The tone curve stays rising: its slope in log-log is at least this everywhere.
LEAST_TONE_SLOPE = 0.3
LOG_FOOT = float(np.log(TONE_FOOT))
#: Weight of the priors, in CIELAB units per unit of coefficient: identity for the matrix and the
#: tone curve (weak), zero for every further term (strong enough to hold 24 patches' noise).
WEAK_PRIOR = 0.1
TERM_PRIOR = 3.0
MAX_STEPS = 30
LOO_STEPS = 6
FIRST_DAMPING = 1e-3
CONVERGED = 1e-6
CHROMA_WEIGHT = 0.03


@dataclass(frozen=True)
class MonomialModel:
    """A model by its exponents.

    Attributes
    ----------
    exponents : k rows of three, the first three rows being the unit vectors.
    tone : whether a tone curve comes first.
    """

    name: str
    exponents: tuple[tuple[float, float, float], ...]
    tone: bool

    @property
    def n_parameters(self) -> int:
        """Coefficients (k x 3) and the two numbers of the tone curve."""
        return 3 * len(self.exponents) + 2

    def start(self, gain: float) -> FloatArray:
        """Parameters of "brighter by `gain`, nothing else"."""
        coefficients = np.zeros((len(self.exponents), 3))
        coefficients[:3] = gain * np.eye(3)
        return np.concatenate([coefficients.ravel(), [1.0, 0.0]])

    def priors(self) -> FloatArray:
        """Weight of each parameter's prior."""
        weights = np.full((len(self.exponents), 3), TERM_PRIOR)
        weights[:3] = WEAK_PRIOR
        # A tone curve that is switched off is held by an overwhelming prior.
        tone = WEAK_PRIOR if self.tone else 1e6
        return np.concatenate([weights.ravel(), [tone, tone]])

    def predict(self, parameters: FloatArray, linear: FloatArray) -> FloatArray:
        """Corrected linear light (..., n, 3) of linear light (n, 3) for parameters (..., P)."""
        return self.evaluate(parameters, np.log(np.maximum(linear, DARKEST)))

    def evaluate(self, parameters: FloatArray, log_x: FloatArray) -> FloatArray:
        """`predict` from the logarithm of light."""
        features = self._features(parameters, log_x)
        return np.asarray(features @ self._coefficients(parameters))

    def _coefficients(self, parameters: FloatArray) -> FloatArray:
        shape = (*parameters.shape[:-1], len(self.exponents), 3)
        return np.asarray(parameters[..., :-2].reshape(shape))

    def _features(self, parameters: FloatArray, log_x: FloatArray) -> FloatArray:
        """Monomials (..., n, k)."""
        alpha, beta = parameters[..., -2, None, None], parameters[..., -1, None, None]
        curved = np.maximum(log_x, LOG_FOOT)
        log_t = alpha * curved + beta * curved**2 + (log_x - curved)
        return np.asarray(np.exp(log_t @ np.array(self.exponents).T))

    def jacobian(self, parameters: FloatArray, log_x: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Corrected light (B, n, 3) and its derivatives (B, n, 3, P)."""
        features = self._features(parameters, log_x)
        coefficients = self._coefficients(parameters)
        batch, n, k = features.shape
        jacobian = np.zeros((batch, n, 3, self.n_parameters))
        by_coefficient = jacobian[..., :-2].reshape(batch, n, 3, k, 3)
        for channel in range(3):
            by_coefficient[:, :, channel, :, channel] = features
        jacobian[..., :-2] = by_coefficient.reshape(batch, n, 3, 3 * k)
        exponents = np.array(self.exponents).T
        curved = np.maximum(log_x, LOG_FOOT)
        for column, power in ((-2, curved), (-1, curved**2)):
            jacobian[..., column] = (features * (power @ exponents)) @ coefficients
        return features @ coefficients, jacobian


def fit_monomials(
    model: MonomialModel, linear: FloatArray, lab: FloatArray, used: NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray]:
    """Fit a model to all used patches, and to all but each one.

    Parameters
    ----------
    linear : (n, 3) patches as photographed.
    lab : (n, 3) their reference.
    used : (n,) patches that may enter a fit.

    Returns
    -------
    (P,) parameters of the full fit and (n, P) of the fits without patch i.
    """
    n = len(linear)
    problem = _Problem(model, linear, lab, used)
    full = problem.solve(problem.centre[None], used[None].astype(float), MAX_STEPS)
    masks = np.repeat(used[None].astype(float), n, axis=0)
    masks[np.arange(n), np.arange(n)] = 0.0
    left_out = problem.solve(np.repeat(full, n, axis=0), masks, LOO_STEPS)
    return full[0], left_out


def _gain(linear: FloatArray, lab: FloatArray) -> float:
    """How much brighter the reference is: the median ratio of luminances."""
    wanted = lab_to_linear(lab) @ LINEAR_TO_XYZ_D50[1]
    seen = linear @ LINEAR_TO_XYZ_D50[1]
    return float(np.median(wanted / np.maximum(seen, DARKEST)))


class _Problem:
    """The least-squares problem of one model on one card, solved for a batch of patch subsets."""

    def __init__(
        self,
        model: MonomialModel,
        linear: FloatArray,
        lab: FloatArray,
        used: NDArray[np.bool_],
    ) -> None:
        self.model = model
        self.log_x = np.log(np.maximum(linear, DARKEST))
        self.lab = lab
        damping = 1 / (1 + CHROMA_WEIGHT * np.hypot(lab[:, 1], lab[:, 2]))
        self.weights = np.stack([np.ones(len(lab)), damping, damping], axis=1)
        self.centre = model.start(_gain(linear[used], lab[used]))
        self.priors = model.priors()

    def cost(self, parameters: FloatArray, masks: FloatArray) -> FloatArray:
        """Squared errors of the patches and pulls of the priors, (B,)."""
        light = self.model.evaluate(parameters, self.log_x)
        residual = (linear_to_lab(light) - self.lab) * self.weights * masks[..., None]
        pull = (parameters - self.centre) * self.priors
        return np.asarray((residual**2).sum(axis=(1, 2)) + (pull**2).sum(axis=1))

    def solve(self, start: FloatArray, masks: FloatArray, steps: int) -> FloatArray:
        """Levenberg-Marquardt from (B, P) with patches weighed by (B, n) masks."""
        parameters = start.copy()
        damping = np.full(len(parameters), FIRST_DAMPING)
        cost = self.cost(parameters, masks)
        for _ in range(steps):
            trial = parameters - self._step(parameters, masks, damping)
            # ln t rises least at the foot or at full light (ln x = 0): keep both rising.
            trial[:, -2] = np.maximum(trial[:, -2], LEAST_TONE_SLOPE)
            trial[:, -1] = np.minimum(
                trial[:, -1], (trial[:, -2] - LEAST_TONE_SLOPE) / (-2 * LOG_FOOT)
            )
            trial_cost = self.cost(trial, masks)
            better = trial_cost < cost
            gain = np.where(better, (cost - trial_cost) / np.maximum(cost, 1e-12), 0.0)
            parameters[better] = trial[better]
            cost = np.where(better, trial_cost, cost)
            damping = np.where(better, damping * 0.2, damping * 8)
            if better.all() and gain.max() < CONVERGED:
                break
        return parameters

    def _step(self, parameters: FloatArray, masks: FloatArray, damping: FloatArray) -> FloatArray:
        """The damped Gauss-Newton step, (B, P)."""
        batch, size = parameters.shape
        light, jacobian = self.model.jacobian(parameters, self.log_x)
        weights = self.weights * masks[..., None]
        rows = (lab_jacobian(light) @ jacobian * weights[..., None]).reshape(batch, -1, size)
        residual = ((linear_to_lab(light) - self.lab) * weights).reshape(batch, -1, 1)
        transposed = rows.transpose(0, 2, 1)
        normal = transposed @ rows
        slope = (transposed @ residual)[..., 0] + self.priors**2 * (parameters - self.centre)
        index = np.arange(size)
        normal[:, index, index] += self.priors**2
        normal[:, index, index] *= 1 + damping[:, None]
        return np.asarray(np.linalg.solve(normal, slope[..., None])[..., 0])
