"""What the network of dense placement learns from: whole photos, moved and recoloured."""

from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bsa_vision.core.errors import InputError
from bsa_vision.core.views import VIEW_NAMES
from bsa_vision.dense.api import STRIDE, mirrored_view, view_number
from bsa_vision.dense.place_file import read_places
from bsa_vision.segmentation.dataset import TrainingFolder, read_description

#: How often, and how far, photos are changed.
_ROLL_SD_DEG, _QUARTER_TURNS = 12.0, 0.05
_SCALES, _SHIFT = (0.8, 1.35), 0.15
_UNKNOWN_VIEW = 0.15
#: How often a photo is shown beside the others: a close-up, which few photos of a visit are; head,
#: hands and feet, which are easy; arms and the sides of the trunk, which turn about their own axis.
_CLOSE_UPS = 0.2
_VIEWS = {"head": 0.6, "hands": 0.6, "feet": 0.6, "arm": 1.5, "trunk_left": 2.0, "trunk_right": 2.0}


class Batch(NamedTuple):
    """Photos of one shape, as `model.place_loss` takes them.

    Attributes
    ----------
    images : uint8 (n, 3, h, w). view : int64 (n,), as the network is told it.
    true_view : int64 (n,), 0 for a close-up.
    places : float32 (n, h / 4, w / 4, 3). skin, inside : bool (n, h / 4, w / 4).
    """

    images: Tensor
    view: Tensor
    true_view: Tensor
    places: Tensor
    skin: Tensor
    inside: Tensor


@dataclass(frozen=True)
class _Change:
    """How a photo is shown: turned and scaled by `matrix` (2, 3), mirrored, its view unknown."""

    matrix: NDArray[np.float64]
    mirrored: bool
    blind: bool


class PlacePhotos:
    """The photos of a training folder with their true places."""

    def __init__(self, folder: TrainingFolder, part: str, long_side: int) -> None:
        self._folder, self._long = folder, long_side
        self.names = folder.split[part]
        sizes = [folder.size(name) for name in self.names]
        ratios = {max(size) / min(size) for size in sizes}
        if len({round(ratio, 2) for ratio in ratios}) != 1:
            msg = f"{folder.root}: need photos of one aspect, got several."
            raise InputError(msg, "Render the training photos with one size.")
        self._short = round(long_side / ratios.pop())
        self._wide = np.array([size[0] > size[1] for size in sizes])
        stated = read_description(folder.root).get("views") or {}
        self._views = [str(stated.get(name, "")) for name in self.names]
        self._odds = np.array([_odds(view) for view in self._views])

    def batch(self, item: int, count: int, seed: int) -> Batch:
        """Photos of one shape for a step of training; a pure function of (seed, item)."""
        rng = np.random.default_rng([seed, item])
        same = np.flatnonzero(self._wide == (rng.random() < self._wide.mean()))
        odds = self._odds[same]
        picked = rng.choice(same, size=count, p=odds / odds.sum())
        return self._stacked([self._shown(int(i), rng) for i in picked])

    def plain(self, index: int) -> Batch:
        """One photo as it is."""
        return self._stacked([self._shown(index, None)])

    @staticmethod
    def _stacked(samples: list[tuple[Tensor, ...]]) -> Batch:
        return Batch(*(torch.stack(values) for values in zip(*samples, strict=True)))

    def _shown(self, index: int, rng: np.random.Generator | None) -> tuple[Tensor, ...]:
        name = self.names[index]
        # Half of a rendered photo's size is still more than the network's.
        read_at_half = cv2.imread(str(self._folder.images[name]), cv2.IMREAD_REDUCED_COLOR_2)
        if read_at_half is None:
            msg = f"{self._folder.root}: the image of {name!r} cannot be decoded."
            raise InputError(msg, "Render it again.")
        image = np.ascontiguousarray(read_at_half[:, :, ::-1])
        size = (self._long, self._short) if self._wide[index] else (self._short, self._long)
        change = _change(rng, image.shape[1::-1], size)
        shown = _moved(np.asarray(image, np.uint8), change, size)
        places, skin, inside = self._targets(name, change, image.shape[1::-1], size)
        view = self._views[index]
        if rng is not None:
            shown = _recoloured(shown, rng)
        number = view_number(mirrored_view(view) if change.mirrored else view)
        return (
            torch.from_numpy(np.ascontiguousarray(shown.transpose(2, 0, 1))),
            torch.tensor(0 if change.blind else number),
            torch.tensor(number),
            torch.from_numpy(places),
            torch.from_numpy(skin),
            torch.from_numpy(inside),
        )

    def _targets(
        self, name: str, change: _Change, photo: tuple[int, int], size: tuple[int, int]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
        path = self._folder.root / "places" / f"{name}.png"
        places, skin = read_places(path)
        columns, rows = (np.arange(side // STRIDE) * STRIDE + (STRIDE - 1) / 2 for side in size)
        at = np.stack(np.meshgrid(columns, rows), axis=2)
        back = cv2.invertAffineTransform(change.matrix)
        source = at @ back[:, :2].T + back[:, 2]
        inside = ((source >= -0.5) & (source < np.array(photo) - 0.5)).all(axis=2)
        factor = places.shape[1] / photo[0]
        nearest = np.rint((source + 0.5) * factor - 0.5).astype(np.intp)
        x = nearest[..., 0].clip(0, places.shape[1] - 1)
        y = nearest[..., 1].clip(0, places.shape[0] - 1)
        shown: NDArray[np.float32] = places[y, x]
        if change.mirrored:
            shown[..., 0] *= -1
        return shown, np.asarray(skin[y, x] & inside), np.asarray(inside)


def _odds(view: str) -> float:
    if view not in VIEW_NAMES:
        return _CLOSE_UPS
    return _VIEWS.get(view, _VIEWS.get(view.partition("_")[0], 1.0))


def _change(
    rng: np.random.Generator | None, photo: tuple[int, int], size: tuple[int, int]
) -> _Change:
    scale, angle, shift, mirrored, blind = size[0] / photo[0], 0.0, np.zeros(2), False, False
    if rng is not None:
        angle = float(rng.normal(0, _ROLL_SD_DEG))
        if rng.random() < _QUARTER_TURNS:
            angle += 90.0 * int(rng.integers(1, 4))
        scale *= float(np.exp(rng.uniform(*np.log(_SCALES))))
        shift = rng.uniform(-_SHIFT, _SHIFT, 2) * size
        mirrored, blind = bool(rng.random() < 0.5), bool(rng.random() < _UNKNOWN_VIEW)
    turn = np.radians(angle)
    matrix = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    if mirrored:
        matrix[:, 0] *= -1
    middle, target = (np.array(photo) - 1) / 2, (np.array(size) - 1) / 2
    moved = target + shift - matrix @ middle
    return _Change(np.column_stack([matrix, moved]), mirrored, blind)


def _moved(image: NDArray[np.uint8], change: _Change, size: tuple[int, int]) -> NDArray[np.uint8]:
    scale = float(np.sqrt(abs(np.linalg.det(change.matrix[:, :2]))))
    if scale < 0.8:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), 0.35 / scale), np.uint8)
    moved = cv2.warpAffine(
        image, change.matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(moved, np.uint8)


def _recoloured(image: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Another exposure, contrast, cast, sharpness and noise."""
    light = (image.astype(np.float32) / 255) ** np.float32(np.exp(rng.normal(0, 0.15)))
    light *= np.exp(rng.normal(0, 0.12) + rng.normal(0, 0.06, 3)).astype(np.float32)
    if rng.random() < 0.2:
        light = np.asarray(cv2.GaussianBlur(light, (0, 0), rng.uniform(0.5, 1.5)), np.float32)
    if rng.random() < 0.3:
        light += rng.normal(0, rng.uniform(0.005, 0.03), light.shape).astype(np.float32)
    return np.asarray(np.clip(light * 255, 0, 255), np.uint8)
