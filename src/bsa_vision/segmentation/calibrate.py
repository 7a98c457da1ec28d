"""How far the network's probabilities can be believed, and the calibration that mends them.

Training sees rare states more often than they are, by its crops and by its loss, so that they are
learnt at all; the network then finds too much of them, and area is what is measured. So its logits
are divided by a temperature and each class's is shifted by a bias, both of them the most likely on
patients it did not learn from (A. Alexandari and others, "Maximum likelihood with bias-corrected
calibration is hard-to-beat at label shift adaptation", 2020).

Biases carry how frequent each state is where they were fitted: in a clinic's own photos, or, for
the shipped weights, in the usual photos of rendered patients.

How the states compare with one another is fitted on the patient alone. A sheet in the colour of
healed skin is a mistake of the background; charged to healed skin, it would take it away on the
body as well, where area is measured. The background's own bias is fitted after that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize, minimize_scalar
from torch import Tensor
from torch.nn import functional

from bsa_vision.core.labels import Label
from bsa_vision.segmentation.dataset import IGNORED, TrainingFolder
from bsa_vision.segmentation.evaluate import LogitsOf, held_out_logits

#: Temperatures that are believed; a fit at either end means that something else is wrong.
LIMITS = (0.25, 4.0)
BINS = 15
#: Every how many pixels, in each direction, an image is looked at when the calibration is fitted.
STRIDE = 4
#: Spread of biases before any patient is seen: round zero, and round those of the model that
#: training started from.
BIAS_SPREAD, TUNED_BIAS_SPREAD = 2.0, 0.2
#: How many independent looks a patient is worth (neighbouring pixels say the same): a few patients
#: cannot move the biases far.
LOOKS_PER_PATIENT = 10


@dataclass(frozen=True)
class Calibration:
    """Logits are divided by `temperature`, then `bias` is added, one for each class in order."""

    temperature: float
    bias: tuple[float, ...]

    def probabilities(self, logits: Tensor) -> Tensor:
        """Probabilities (n_classes, h, w) of logits of that shape."""
        return (logits / self.temperature + torch.tensor(self.bias)[:, None, None]).softmax(dim=0)


def fit_calibration(
    logits_of: LogitsOf,
    folder: TrainingFolder,
    names: Sequence[str],
    long_side: int,
    start: Calibration | None = None,
) -> Calibration:
    """The calibration of least negative log-likelihood per pixel on held-out images, 3 decimals.

    Where there is a background and two classes or more besides, temperature and biases are those of
    these classes on pixels that are not background, and then the background's bias is that of all
    pixels. Biases are drawn towards zero, the less the more patients there are, and their mean is
    zero. `start` is the calibration of the model that training started from: its biases take the
    place of zero, and it is the result where there is nothing to fit on.
    """
    spread = BIAS_SPREAD if start is None else TUNED_BIAS_SPREAD
    start = start or Calibration(1.0, (0.0,) * len(folder.classes))
    logits, targets = [], []
    for found, truth in held_out_logits(logits_of, folder, names, long_side):
        target = torch.from_numpy(truth[::STRIDE, ::STRIDE].astype(np.int64)).ravel()
        kept = target != IGNORED
        sampled = found[:, ::STRIDE, ::STRIDE].flatten(1).T[kept]
        logits.append(sampled / start.temperature + torch.tensor(start.bias))
        targets.append(target[kept])
    if not any(map(len, targets)):
        return start
    all_logits, all_targets = torch.cat(logits), torch.cat(targets)
    n = all_logits.shape[1]
    looks = LOOKS_PER_PATIENT * len({folder.patients[name] for name in names})
    # Cost of a squared bias, beside the mean cost of a pixel.
    pull = 1 / (2 * spread**2 * looks)
    met = torch.bincount(all_targets, minlength=n)
    others = [k for k, code in enumerate(folder.classes) if code != Label.BACKGROUND]
    if len(others) < n and int((met[others] > 0).sum()) >= 2:
        temperature, bias = _fit_on_the_patient(all_logits, all_targets, others, pull)
    else:
        temperature, bias = _most_likely(all_logits, all_targets, pull)
    bias += np.array(start.bias) / temperature
    bias -= bias.mean()
    temperature *= start.temperature
    return Calibration(round(temperature, 3), tuple(np.round(bias, 3).tolist()))


def _fit_on_the_patient(
    logits: Tensor, targets: Tensor, others: list[int], pull: float
) -> tuple[float, NDArray[np.float64]]:
    """Temperature and biases of the classes but one, then the bias of that one, the background."""
    (background,) = set(range(logits.shape[1])) - set(others)
    place = torch.full((logits.shape[1],), -1)
    place[others] = torch.arange(len(others))
    patient = targets != background
    states = logits[:, others]
    temperature, bias = _most_likely(states[patient], place[targets[patient]], pull)
    among = (states / temperature + torch.from_numpy(bias).float()).logsumexp(dim=1)
    lead = logits[:, background] / temperature - among

    def cost(value: float) -> float:
        losses = functional.softplus(torch.where(patient, lead + value, -lead - value))
        return float(losses.mean()) + pull * value**2

    whole = np.zeros(logits.shape[1])
    whole[others] = bias
    whole[background] = minimize_scalar(cost, bounds=(-8.0, 8.0), method="bounded").x
    return temperature, whole


def _most_likely(logits: Tensor, targets: Tensor, pull: float) -> tuple[float, NDArray[np.float64]]:
    """Temperature, and biases (n,), of logits (pixels, n) whose classes are `targets` (pixels,)."""
    n = logits.shape[1]

    def cost(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        free = torch.tensor(values, dtype=torch.float32, requires_grad=True)
        scaled = logits / free[0].exp() + free[1:]
        whole = functional.cross_entropy(scaled, targets)
        whole = whole + pull * (free[1:] ** 2).sum()
        (slope,) = torch.autograd.grad(whole, free)
        return float(whole.detach()), slope.numpy().astype(np.float64)

    bounds = [tuple(np.log(LIMITS).tolist()), *[(None, None)] * n]
    values = minimize(cost, np.zeros(n + 1), jac=True, method="L-BFGS-B", bounds=bounds).x
    return float(np.exp(values[0])), values[1:]


def tally(probabilities: NDArray[np.float32], truth: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Pixels, sum of the highest probability, and pixels found right, by bin: (3, `BINS`).

    Parameters
    ----------
    probabilities : (n_classes, h, w), 0 to 1.
    truth : (h, w) class indices; `IGNORED` is left out.
    """
    kept = truth != IGNORED
    sure = probabilities.max(axis=0)[kept].astype(np.float64)
    right = (probabilities.argmax(axis=0) == truth)[kept]
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    return np.stack(
        [np.bincount(bins, weights, BINS) for weights in (np.ones_like(sure), sure, right)]
    )


def reliability_document(table: NDArray[np.float64]) -> dict[str, Any]:
    """Expected calibration error and the points of the reliability diagram, from `tally`'s sums."""
    count, sure, right = table
    met = count > 0
    error = float(np.abs(sure - right)[met].sum() / count.sum()) if met.any() else None
    return {
        "ece": error,
        "bins": [
            {"share": c / count.sum(), "probability": s / c, "right": r / c}
            for c, s, r in zip(count[met], sure[met], right[met], strict=True)
        ],
    }
