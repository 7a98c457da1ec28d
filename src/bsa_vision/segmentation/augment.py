"""Random changes of training crops. The only module that knows albumentations.

The ranges stand for what is left after a photo was corrected against a colour card, and for photos
without a card: moderate casts and exposures, gradients of light, sensor noise, blur of focus and
motion, JPEG, and the loss of detail of a photo taken from too far.
"""

import os

import numpy as np
from numpy.typing import NDArray

# Its import asks the network for a newer version unless told not to.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

import albumentations

Pixels = NDArray[np.uint8]


def _pipeline() -> albumentations.Compose:
    a = albumentations
    return a.Compose(
        [
            a.D4(p=1.0),
            a.Affine(rotate=(-30, 30), shear=(-8, 8), border_mode=4, p=0.2),
            a.OneOf(
                [
                    a.RandomBrightnessContrast(brightness_limit=0.2, contrast_limit=0.2, p=1.0),
                    a.RandomGamma(gamma_limit=(70, 140), p=1.0),
                    a.Illumination(intensity_range=(0.05, 0.2), p=1.0),
                ],
                p=0.3,
            ),
            a.HueSaturationValue(hue_shift_limit=5, sat_shift_limit=25, val_shift_limit=15, p=0.3),
            a.OneOf(
                [
                    a.PlanckianJitter(mode="blackbody", temperature_limit=(4500, 9000), p=1.0),
                    a.RGBShift(r_shift_limit=12, g_shift_limit=12, b_shift_limit=12, p=1.0),
                ],
                p=0.2,
            ),
            a.OneOf(
                [
                    a.GaussianBlur(blur_limit=(3, 5), p=1.0),
                    a.MotionBlur(blur_limit=(3, 7), p=1.0),
                    a.Downscale(scale_range=(0.4, 0.8), p=1.0),
                    a.Sharpen(alpha=(0.1, 0.3), p=1.0),
                ],
                p=0.15,
            ),
            a.OneOf(
                [
                    a.GaussNoise(std_range=(0.01, 0.05), p=1.0),
                    a.ISONoise(color_shift=(0.01, 0.04), intensity=(0.1, 0.4), p=1.0),
                ],
                p=0.15,
            ),
            a.ImageCompression(quality_range=(45, 95), p=0.1),
        ]
    )


class Augmenter:
    """Apply one random change to a crop and its classes; the seed decides it entirely."""

    def __init__(self) -> None:
        self._compose = _pipeline()

    def __call__(self, image: Pixels, classes: Pixels, seed: int) -> tuple[Pixels, Pixels]:
        """Change an image (s, s, 3) and its class indices (s, s), both uint8."""
        self._compose.set_random_seed(seed)
        changed = self._compose(image=image, mask=classes)
        return np.asarray(changed["image"], np.uint8), np.asarray(changed["mask"], np.uint8)
