"""Colour correction from the card: several models, judged on patches they have not seen."""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bsa_vision.calibration.card import CardSample
from bsa_vision.calibration.monomials import MonomialModel, fit_monomials
from bsa_vision.calibration.paper import PaperLight
from bsa_vision.calibration.records import ColourFit
from bsa_vision.calibration.reference import REFERENCE_LAB
from bsa_vision.calibration.srgb import (
    LINEAR_TO_XYZ_D50,
    ciede2000,
    lab_to_linear,
    linear_to_lab,
    linear_to_srgb,
    srgb_values_to_linear,
)
from bsa_vision.calibration.thin_plate import ThinPlate
from bsa_vision.core.errors import Refused
from bsa_vision.core.frames import FloatArray, frozen

LUT_SIZE = 33
MIN_PATCHES = 18
#: Light that differs by more than this over the card is called uneven.
UNEVEN_GAIN = 1.25
#: Real cards under phone cameras come to 2-4; beyond this, suspect a print or a faded card.
WEAK_FIT_DE00 = 5.0
#: The chosen model rules up to this CIELAB distance from the nearest patch; beyond, it gives way
#: to the plain one over as many units again.
TRUST_RADIUS = 25.0

_UNIT = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
_ROOTS = ((0.5, 0.5, 0.0), (0.0, 0.5, 0.5), (0.5, 0.0, 0.5))
_SQUARES = ((2.0, 0.0, 0.0), (0.0, 2.0, 0.0), (0.0, 0.0, 2.0))
_OFFSET = ((0.0, 0.0, 0.0),)

#: The model that colours far from every patch are corrected with: it cannot run away.
PLAIN = MonomialModel("tone-matrix", _UNIT, tone=True)
MODELS = (
    PLAIN,
    MonomialModel("affine", _UNIT + _OFFSET, tone=False),
    MonomialModel("root-polynomial", _UNIT + _ROOTS, tone=False),
    MonomialModel("vandermonde", _UNIT + _SQUARES + _OFFSET, tone=False),
    MonomialModel("tone-root-polynomial", _UNIT + _ROOTS, tone=True),
)
THIN_PLATE = "thin-plate-lab"
NONE = "none"


@dataclass(frozen=True)
class _Fitted:
    """A model on one card: its parameters, and each patch as predicted without itself."""

    model: MonomialModel
    parameters: FloatArray
    left_out: FloatArray
    errors: FloatArray

    @property
    def mean(self) -> float:
        return float(self.errors.mean())


def fit_colour(card: CardSample, paper: PaperLight | None) -> ColourFit | Refused:
    """Choose and fit a colour correction by leave-one-patch-out CIEDE2000.

    The paper's light, where known, is divided out of the patches first if that lowers the
    leave-one-out error of the plain model; it is measured without any patch, so no patch is
    predicted with its own help. All candidates, no correction included, are then compared on the
    evened patches: their errors say how well colours under one and the same light are corrected.
    The photo itself is not evened out, so a patch in it is off by the unevenness as well. Only
    `de00_raw_mean` is of the patches as photographed. Evening and model are chosen by the errors
    that are reported, which are therefore a little lower than on a card not seen before.

    Errors are of colours as delivered, that is clipped to sRGB. Clipped patches enter no fit, but
    are counted in every error.

    Returns
    -------
    The fit, never worse than no correction on the same patches, or `Refused` (``"card_spoilt"``).
    """
    used = ~(card.clipped | card.spoilt)
    patches_used = int(used.sum())
    if patches_used < MIN_PATCHES:
        return Refused(
            "card_spoilt",
            f"Needed {MIN_PATCHES} clean patches in the camera's range, got {patches_used}.",
            "Wipe the card, keep glare off it, and photograph again with another exposure.",
        )
    linear, plain, uneven = _even_out(card, paper, used)
    fits = {PLAIN.name: plain}
    for model in MODELS[1:]:
        fits[model.name] = _fit(model, linear, used)
    errors = {NONE: _errors(linear)} | {name: fitted.errors for name, fitted in fits.items()}
    errors[THIN_PLATE] = _thin_plate_errors(plain, linear, used)
    candidates = {name: float(of_patches.mean()) for name, of_patches in errors.items()}
    method = min(candidates, key=lambda name: candidates[name])
    flags = ["patches_clipped"] * bool(card.clipped.any())
    flags += ["patches_spoilt"] * bool(card.spoilt.any()) + ["uneven_light"] * uneven
    flags += ["weak_fit"] * (candidates[method] > WEAK_FIT_DE00)
    return ColourFit(
        method=method,
        de00_raw_mean=float(_errors(card.linear).mean()),
        de00_loo_mean=candidates[method],
        de00_loo_max=float(errors[method].max()),
        candidates=candidates,
        patches_used=patches_used,
        lut=_lut(method, fits, linear, used),
        flags=tuple(flags),
    )


def white_balance(paper: PaperLight, reason: str) -> ColourFit:
    """Make the paper neutral, keeping its luminance: the fallback without a readable card.

    Parameters
    ----------
    reason : why there is no error of the colours.
    """
    gains = float(paper.linear @ LINEAR_TO_XYZ_D50[1]) / paper.linear
    return ColourFit(
        method="white-balance",
        de00_raw_mean=None,
        de00_loo_mean=None,
        de00_loo_max=None,
        candidates={},
        patches_used=0,
        lut=_as_lut(_lut_linear() * gains),
        flags=("white_balance_only",),
        reason=reason,
    )


def _even_out(
    card: CardSample, paper: PaperLight | None, used: NDArray[np.bool_]
) -> tuple[FloatArray, _Fitted, bool]:
    """Patches with the unevenness of the light divided out where that helps."""
    plain = _fit(PLAIN, card.linear, used)
    if paper is None:
        return card.linear, plain, False
    gain = paper.gain(card.centres_mm)
    evened = card.linear / gain[:, None]
    evened_plain = _fit(PLAIN, evened, used)
    uneven = bool(gain.max() / gain.min() > UNEVEN_GAIN)
    if evened_plain.mean < plain.mean:
        return evened, evened_plain, uneven
    return card.linear, plain, uneven


def _errors(linear: FloatArray) -> FloatArray:
    """CIEDE2000 of 24 patches as delivered in sRGB."""
    return ciede2000(linear_to_lab(np.clip(linear, 0, 1)), REFERENCE_LAB)


def _fit(model: MonomialModel, linear: FloatArray, used: NDArray[np.bool_]) -> _Fitted:
    parameters, without = fit_monomials(model, linear, REFERENCE_LAB, used)
    predictions = model.predict(without, linear)
    own = predictions[np.arange(len(linear)), np.arange(len(linear))]
    return _Fitted(model, parameters, without, _errors(own))


def _thin_plate_errors(plain: _Fitted, linear: FloatArray, used: NDArray[np.bool_]) -> FloatArray:
    """Leave-one-out errors of the plain model with a thin-plate spline on top."""
    predictions = linear_to_lab(plain.model.predict(plain.left_out, linear))
    own = np.empty((len(linear), 3))
    for i in range(len(linear)):
        others = used & (np.arange(len(linear)) != i)
        places = predictions[i, others]
        spline = ThinPlate(places, REFERENCE_LAB[others] - places)
        own[i] = predictions[i, i] + spline(predictions[i, i : i + 1])[0]
    return _errors(lab_to_linear(own))


@functools.cache
def _lut_linear() -> FloatArray:
    """Linear light of the table's nodes, (n^3, 3), red slowest."""
    axis = srgb_values_to_linear(np.linspace(0, 1, LUT_SIZE))
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1)
    return frozen(grid.reshape(-1, 3), np.float64)


@functools.cache
def _node_lab() -> FloatArray:
    """CIELAB of the table's nodes, (n^3, 3)."""
    return frozen(linear_to_lab(_lut_linear()), np.float64)


def _distance_to_nearest(points: FloatArray, places: FloatArray) -> FloatArray:
    """Distance from each point (n, 3) to the nearest of some places (m, 3), (n,)."""
    squares = (points**2).sum(axis=1)[:, None] + (places**2).sum(axis=1) - 2 * points @ places.T
    return np.asarray(np.sqrt(np.maximum(squares.min(axis=1), 0)))


def _as_lut(linear: FloatArray) -> NDArray[np.float32]:
    table = linear_to_srgb(linear).astype(np.float32)
    return table.reshape(LUT_SIZE, LUT_SIZE, LUT_SIZE, 3)


def _lut(
    method: str, fits: dict[str, _Fitted], linear: FloatArray, used: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """The correction as a table; far from every patch it becomes the plain model's."""
    nodes = _lut_linear()
    if method == NONE:
        return _as_lut(nodes)
    plain = fits[PLAIN.name]
    cautious = plain.model.predict(plain.parameters, nodes)
    if method == PLAIN.name:
        return _as_lut(cautious)
    if method == THIN_PLATE:
        places = linear_to_lab(plain.model.predict(plain.parameters, linear[used]))
        spline = ThinPlate(places, REFERENCE_LAB[used] - places)
        lab = linear_to_lab(cautious)
        chosen = lab_to_linear(lab + spline(lab))
    else:
        chosen = fits[method].model.predict(fits[method].parameters, nodes)
    distance = _distance_to_nearest(_node_lab(), linear_to_lab(linear[used]))
    trust = np.clip(2 - distance / TRUST_RADIUS, 0, 1)[:, None]
    return _as_lut(trust * chosen + (1 - trust) * cautious)
