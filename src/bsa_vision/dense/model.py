"""The network of dense placement, its loss and its deployed form."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from bsa_vision.core.views import VIEW_NAMES
from bsa_vision.segmentation.card import Architecture
from bsa_vision.segmentation.model import MEAN, STD, SkinNetwork

#: Channels: skin (logit), place (3, in `_UNIT_M`), spread (log of `_SPREAD_M`), left (logit).
CHANNELS = 6
_UNIT_M = 0.3
_SPREAD_M = 0.1
#: Limits of the log of the spread: 0.3 mm to 45 cm.
_LOG_SPREAD = (-5.8, 1.5)
#: Weights of place, side and view beside that of skin.
_PLACE_WEIGHT, _SIDE_WEIGHT, _VIEW_WEIGHT = 0.3, 0.5, 0.1
#: Nearer to the midline than this the side decides nothing.
_MIDLINE_M = 0.01
#: A photo with less skin than this many output pixels counts less.
_FEW_PIXELS = 30


class PlaceNetwork(nn.Module):
    """From normalised images (n, 3, h, w) and stated views (n,) to what `read` takes.

    Gives raw channels (n, `CHANNELS`, h / 4, w / 4), and the logits (n, views + 1) of the view that
    each image shows, 0 for none of them.

    The stated view enters as an offset of the deepest features and of the last ones: from the photo
    alone front and back, left and right of a limb are hard to tell. The view shown is found from
    features that were not told it, so that it can contradict.
    """

    def __init__(self, architecture: Architecture, deepest: int, last: int) -> None:
        super().__init__()
        self.base = SkinNetwork(architecture, CHANNELS)
        self.deep = nn.Embedding(len(VIEW_NAMES) + 1, deepest)
        self.late = nn.Embedding(len(VIEW_NAMES) + 1, last)
        self.shown = nn.Linear(deepest, len(VIEW_NAMES) + 1)
        nn.init.zeros_(self.deep.weight)
        nn.init.zeros_(self.late.weight)

    def forward(self, images: Tensor, view: Tensor) -> tuple[Tensor, Tensor]:
        """Raw channels, see `read`, and logits of the view."""
        features = list(self.base.encoder(images))
        shown: Tensor = self.shown(pooled(features[-1]))
        features[-1] = _offset(features[-1], self.deep(view))
        raw: Tensor = self.base.head(_offset(self.base.decoder(features), self.late(view)))
        return raw, shown


def pooled(deepest: Tensor) -> Tensor:
    """What the view is told by, (n, c), of the deepest features (n, c, h, w)."""
    return deepest.mean(dim=(2, 3))


def _offset(features: Tensor, by: Tensor) -> Tensor:
    return features + by[:, :, None, None].to(features.dtype)


def read(raw: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Skin (n, h, w) logit, place (n, 3, h, w) metres, log of the spread in metres, left logit."""
    raw = raw.float()
    log_spread = raw[:, 4].clamp(*_LOG_SPREAD) + math.log(_SPREAD_M)
    return raw[:, 0], raw[:, 1:4] * _UNIT_M, log_spread, raw[:, 5]


def place_loss(raw: Tensor, places: Tensor, skin: Tensor, inside: Tensor) -> Tensor:
    """Cross-entropy of skin and side, negative log likelihood of a Laplace error of the place.

    Parameters
    ----------
    raw : (n, `CHANNELS`, h, w).
    places : (n, h, w, 3) metres, true; of any value off the skin.
    skin, inside : (n, h, w) bool, where skin is seen and where the photo lies.
    """
    skin_logit, place, log_spread, left = read(raw)
    within = inside.float()
    found = functional.binary_cross_entropy_with_logits(skin_logit, skin.float(), reduction="none")
    by_skin = (found * within).sum((1, 2)) / within.sum((1, 2)).clamp(min=1)
    on = (skin & inside).float()
    count = on.sum((1, 2)).clamp(min=_FEW_PIXELS)
    true = places.permute(0, 3, 1, 2)
    true = torch.cat([true[:, :1].abs(), true[:, 1:]], dim=1)
    off = (place - true).abs().sum(1)
    by_place = ((off * torch.exp(-log_spread) + 3 * log_spread) * on).sum((1, 2)) / count
    sided = on * (places[..., 0].abs() > _MIDLINE_M).float()
    side = functional.binary_cross_entropy_with_logits(
        left, (places[..., 0] > 0).float(), reduction="none"
    )
    by_side = (side * sided).sum((1, 2)) / count
    return (by_skin + _PLACE_WEIGHT * by_place + _SIDE_WEIGHT * by_side).mean()


def view_loss(shown: Tensor, true_view: Tensor) -> Tensor:
    """Weighted cross-entropy of the view's logits (n, views + 1) against its numbers (n,)."""
    return _VIEW_WEIGHT * functional.cross_entropy(shown.float(), true_view)


class DeployedPlaces(nn.Module):
    """From sRGB pixels and the stated view to a place map in one graph.

    Takes uint8 (1, h, w, 3) and int64 (1,), gives float32 (1, h / 4, w / 4, `CHANNELS`): skin,
    place in metres, spread in metres, left; and the probabilities (1, views + 1) of the view shown.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, network: PlaceNetwork) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))

    def forward(self, pixels: Tensor, view: Tensor) -> tuple[Tensor, Tensor]:
        """Run the graph."""
        images = pixels.permute(0, 3, 1, 2).to(torch.float32)
        raw, shown = self.network((images - self.mean) / self.std, view)
        skin, place, log_spread, left = read(raw)
        parts = [
            torch.sigmoid(skin)[:, None],
            place,
            torch.exp(log_spread)[:, None],
            torch.sigmoid(left)[:, None],
        ]
        return torch.cat(parts, dim=1).permute(0, 2, 3, 1), torch.softmax(shown.float(), dim=1)
