"""The network and its deployed form.

The last decoder stage of a U-Net works at full resolution and costs about as much as all the
others together, while the masks are needed at the size of a body cell (1 cm2, four network pixels
across in the widest photos). So a U-Net stops one stage early, a DeepLabV3+ at a quarter of the
input's resolution as it does by design, and the logits are interpolated.
"""

from collections.abc import Mapping
from typing import Any

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn
from torch.nn import functional

from bsa_vision.core.errors import InputError
from bsa_vision.segmentation.card import Architecture, ModelCard

#: Input sides must be multiples of this: the encoder halves five times.
MULTIPLE = 32
#: How the names of the last layer's weights begin in a `SkinNetwork`.
HEAD = "head."
#: Mean and spread of sRGB 0-255 photos of skin on hospital linen; any fixed values of this size do.
MEAN = (128.0, 112.0, 104.0)
STD = (60.0, 58.0, 58.0)


def normalise(images: Tensor) -> Tensor:
    """Normalise sRGB 0-255 images (n, 3, h, w) for the network."""
    mean = torch.tensor(MEAN, device=images.device).view(1, 3, 1, 1)
    std = torch.tensor(STD, device=images.device).view(1, 3, 1, 1)
    return (images.to(torch.float32) - mean) / std


def take_over(
    network: nn.Module, weights: Mapping[str, Tensor], model: str, at_random: tuple[str, ...] = ()
) -> None:
    """Copy a model's weights into a network.

    Parameters
    ----------
    weights : named as in the network, of any precision.
    model : its name, for the message.
    at_random : how the names of layers begin that may be missing, and stay as they are.

    Raises
    ------
    InputError
        When another layer is missing, of another shape, or unknown to the network.
    """
    layers = network.state_dict()
    missing = [key for key in layers if key not in weights and not key.startswith(at_random)]
    other = [
        key
        for key, value in weights.items()
        if key not in layers or layers[key].shape != value.shape
    ]
    if missing or other:
        unfit = [*missing, *other]
        msg = f"Model {model!r}: {len(unfit)} layers do not fit, the first is {unfit[0]}."
        raise InputError(msg, "Start from a model written by this version, or from none.")
    network.load_state_dict({k: v.to(layers[k].dtype) for k, v in weights.items()}, strict=False)


class SkinNetwork(nn.Module):
    """Logits (n, n_classes, h, w) of normalised images (n, 3, h, w); h and w multiples of 32.

    A U-Net stops at half of the input's resolution; other decoders stop where they do by design.
    """

    def __init__(self, architecture: Architecture, n_classes: int) -> None:
        super().__init__()
        channels = architecture.decoder_channels
        unet = architecture.decoder == "unet"
        whole = smp.create_model(
            architecture.decoder,
            encoder_name=architecture.encoder,
            encoder_weights=None,
            classes=n_classes,
            **({"decoder_channels": (*channels, channels[-1])} if unet else {}),
            **architecture.encoder_options,
            **architecture.decoder_options,
        )
        self.encoder = whole.encoder
        self.decoder = whole.decoder
        if unet:
            self.decoder.blocks = whole.decoder.blocks[:-1]
            self.head = nn.Conv2d(channels[-1], n_classes, kernel_size=1)
        else:
            self.head = whole.segmentation_head[0]

    def forward(self, images: Tensor, spacing: int = 1) -> Tensor:
        """Logits of the images; with `spacing` k, of blocks of k x k pixels: (h / k, w / k)."""
        return _at_size(self.coarse(images), [side // spacing for side in images.shape[-2:]])

    def coarse(self, images: Tensor) -> Tensor:
        """Logits at the decoder's own resolution."""
        logits: Tensor = self.head(self.decoder(self.encoder(images)))
        return logits


def _at_size(logits: Tensor, size: list[int]) -> Tensor:
    return functional.interpolate(logits, size=size, mode="bilinear", align_corners=False)


class Mirrored(nn.Module):
    """A network that looks at each image and its mirror image: the mean of both logits.

    Skin states have no left and right, and the two looks err differently (docs/BENCHMARKS.md).
    The mean is taken before the logits are brought to full size, where one of them is 22 MB.
    """

    def __init__(self, network: SkinNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, n_classes, h, w) of images (n, 3, h, w)."""
        plain, mirrored = self.network.coarse(torch.cat([images, images.flip(3)])).chunk(2)
        return _at_size((plain + mirrored.flip(3)) / 2, list(images.shape[-2:]))


class PixelLogits(nn.Module):
    """From uint8 sRGB pixels (1, h, w, 3) to logits (1, n_classes, h, w).

    The normalisation is part of the trace, as constants.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        network: nn.Module,
        mean: tuple[float, ...] = MEAN,
        std: tuple[float, ...] = STD,
    ) -> None:
        super().__init__()
        self.network = network
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values).view(1, -1, 1, 1))

    def logits(self, pixels: Tensor) -> Tensor:
        """Run the network."""
        images = pixels.permute(0, 3, 1, 2).to(torch.float32)
        return self.network((images - self.mean) / self.std)  # type: ignore[no-any-return]  # modules are untyped

    def forward(self, pixels: Tensor) -> Any:
        """Run the graph."""
        return self.logits(pixels)


class DeployedNetwork(PixelLogits):
    """From sRGB pixels to probabilities in one graph, the same for every engine.

    Takes uint8 (1, h, w, 3), gives two uint8 tensors: the class index (1, h, w) and the
    probabilities x 255 (1, h, w, n_classes).
    """

    bias: Tensor

    def __init__(self, network: nn.Module, card: ModelCard) -> None:
        super().__init__(network, card.mean, card.std)
        self.inverse_temperature = 1.0 / card.temperature
        bias = card.bias or (0.0,) * len(card.classes)
        self.register_buffer("bias", torch.tensor(bias).view(1, -1, 1, 1))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Run the graph."""
        logits = self.logits(pixels) * self.inverse_temperature
        logits = logits + self.bias
        probabilities = functional.softmax(logits, dim=1)
        index = probabilities.argmax(dim=1).to(torch.uint8)
        rounded = torch.floor(probabilities * 255.0 + 0.5).to(torch.uint8)
        return index, rounded.permute(0, 2, 3, 1)


def placed(module: nn.Module, device: torch.device) -> None:
    """Move a module to a device, channels last (the layout convolutions are fastest in)."""
    module.to(device)
    # torch's stubs know no call of `to` with the layout alone.
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's types lack it


def deployed(network: nn.Module, card: ModelCard) -> DeployedNetwork:
    """The deployed form of a trained network, in evaluation mode."""
    return DeployedNetwork(network, card).eval()
