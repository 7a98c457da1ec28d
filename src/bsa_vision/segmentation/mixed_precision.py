"""Training in bfloat16 where the device computes in it."""

from functools import partial

import torch
from torch import Tensor, nn

from bsa_vision.segmentation.model import normalise


class InMixedPrecision(nn.Module):
    """A network that normalises its images and runs in bfloat16 where the device computes in it.

    A module of its own, so that each GPU of several does so.
    """

    def __init__(self, network: nn.Module, device: torch.device) -> None:
        super().__init__()
        self.network, self._device = network, device.type
        self._half = bfloat16_pays(device)
        keep_dilated_in_float32(network, device)

    def forward(self, images: Tensor, spacing: int) -> Tensor:
        """Logits of sRGB images, see `SkinNetwork.forward`."""
        with torch.autocast(self._device, torch.bfloat16, enabled=self._half):
            logits: Tensor = self.network(normalise(images), spacing)
        return logits


def keep_dilated_in_float32(network: nn.Module, device: torch.device) -> None:
    """Take a network's depthwise dilated convolutions out of mixed precision on a processor."""
    if device.type != "cpu" or not bfloat16_pays(device):
        return
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1 and max(module.dilation) > 1:
            # On the instance, which mypy minds: a wrapper would rename the weights.
            module.forward = partial(_in_float32, module)  # type: ignore[method-assign]  # on purpose


def _in_float32(convolution: nn.Conv2d, images: Tensor) -> Tensor:
    """A convolution outside mixed precision.

    On processors torch 2.12 gives wrong gradients in bfloat16, silently, for the weights of a
    depthwise dilated convolution whose input is 30 pixels wide or more (crops of 480).
    """
    with torch.autocast("cpu", enabled=False):
        return nn.Conv2d.forward(convolution, images.float())


def bfloat16_pays(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 natively; emulated it is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
