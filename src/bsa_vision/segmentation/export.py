"""From a checkpoint to a model folder: weights, OpenVINO graph and cards."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bsa_vision.core.errors import InputError
from bsa_vision.segmentation.card import (
    NETWORK_FILES,
    WEIGHTS_FILE,
    Architecture,
    ModelCard,
    file_sha256,
)
from bsa_vision.segmentation.dataset import read_training_folder
from bsa_vision.segmentation.evaluate import calibrate_temperature, evaluate_network
from bsa_vision.segmentation.metrics import agreement_document
from bsa_vision.segmentation.model import MEAN, MULTIPLE, STD, HalfResolutionUnet, deployed
from bsa_vision.segmentation.model_card_text import model_card_text
from bsa_vision.segmentation.openvino_quiet import openvino
from bsa_vision.segmentation.train import CHECKPOINT, RECORD

#: Shipped models must stay below this, per format.
MAX_BYTES = 16 * 2**20
