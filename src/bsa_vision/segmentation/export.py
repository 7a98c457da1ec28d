"""From a checkpoint to a model folder: weights, OpenVINO graph and cards."""

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from bsa_vision.core.errors import InputError
from bsa_vision.segmentation.calibrate import (
    BINS,
    Calibration,
    fit_calibration,
    reliability_document,
    tally,
)
from bsa_vision.segmentation.card import (
    NETWORK_FILES,
    WEIGHTS_FILE,
    Architecture,
    ModelCard,
    file_sha256,
)
from bsa_vision.segmentation.dataset import TrainingFolder, read_training_folder
from bsa_vision.segmentation.evaluate import LogitsOf, count_image, held_out_logits
from bsa_vision.segmentation.metrics import agreement_document, grouped_dice
from bsa_vision.segmentation.model import (
    MEAN,
    MULTIPLE,
    STD,
    Mirrored,
    PixelLogits,
    SkinNetwork,
    deployed,
)
from bsa_vision.segmentation.model_card_text import CARD_TEXT_FILE, model_card_text
from bsa_vision.segmentation.openvino_engine import OpenVinoGraph
from bsa_vision.segmentation.openvino_quiet import openvino
from bsa_vision.segmentation.train import RECORD
from bsa_vision.segmentation.training_run import CHECKPOINT, kept_weights

#: `ModelCard.area_power` of models of the skin states, chosen on validation patients
#: (docs/BENCHMARKS.md).
AREA_POWER = 3.0
#: `ModelCard.mirrored` of new models: a second look gains 0.007 to 0.018 of Dice in each skin state
#: (docs/BENCHMARKS.md).
MIRRORED = True
#: A picture that the graphs are traced with; they take any other.
_EXAMPLE = (torch.zeros((1, 2 * MULTIPLE, 3 * MULTIPLE, 3), dtype=torch.uint8),)


def export_model(run: Path, data: Path, folder: Path, notes: Sequence[str] = ()) -> ModelCard:
    """Make a model folder from a training run.

    The figures of the card are counted on the test patients, without augmentation; a folder
    without test patients has none.

    Parameters
    ----------
    run : output folder of `train.train`.
    data : the training folder the run was made with.
    folder : where the model goes; its name is the model's name.
    notes : sentences for the card's reader, such as what the training photos were.

    Raises
    ------
    InputError
        When the run is missing or was made with other data.
    """
    record = read_record(run)
    source = read_training_folder(data)
    if source.digest() != record["data"]["digest"]:
        msg = f"{run} was trained on other data than {data}."
        raise InputError(msg, "Give the training folder of that run.")
    settings = record["settings"]
    architecture = Architecture.from_document(settings["architecture"])
    folder.mkdir(parents=True, exist_ok=True)
    write_weights(kept_weights(run / CHECKPOINT), folder / WEIGHTS_FILE)
    network = build_network(folder, architecture, len(source.classes), mirrored=MIRRORED)
    long_side = int(settings["long_side"])
    begun = (record["init"] or {}).get("calibration")
    start = Calibration(begun["temperature"], tuple(begun["bias"])) if begun else None
    logits_of = compiled_logits(network)
    calibration = fit_calibration(logits_of, source, source.split["val"], long_side, start)
    held_out = None
    if source.split["test"]:
        held_out = _held_out_figures(logits_of, source, long_side, calibration)
    card = ModelCard(
        name=folder.name,
        classes=source.classes,
        architecture=architecture,
        long_side=long_side,
        multiple=MULTIPLE,
        mean=MEAN,
        std=STD,
        temperature=calibration.temperature,
        bias=calibration.bias,
        mirrored=MIRRORED,
        files={},
        training={
            **record,
            "minutes": round(record["seconds"] / 60, 1),
            "held_out": held_out,
            "notes": list(notes),
        },
    )
    write_graph(network, card, folder)
    files = {name: file_sha256(folder / name) for name in (WEIGHTS_FILE, *NETWORK_FILES)}
    card = replace(card, files=files, area_power=AREA_POWER if card.scores_skin else 1.0)
    card.write(folder)
    (folder / CARD_TEXT_FILE).write_text(model_card_text(card), encoding="utf-8")
    return card


def read_record(run: Path) -> dict[str, Any]:
    """The record of a training run.

    Raises
    ------
    InputError
        When there is none.
    """
    try:
        record: dict[str, Any] = json.loads((run / RECORD).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        msg = f"{run} holds no training run: {RECORD} is missing."
        raise InputError(msg, "Give the output folder of a training run.") from error
    return record


def write_weights(average: Mapping[str, Tensor], path: Path) -> None:
    """Write weights in half precision."""
    half = {
        key: (value.half() if value.is_floating_point() else value).contiguous()
        for key, value in average.items()
    }
    path.write_bytes(save(half))


def read_weights(folder: Path) -> dict[str, Tensor]:
    """A model folder's weights, float32."""
    stored = load_file(folder / WEIGHTS_FILE)
    return {k: v.float() if v.is_floating_point() else v for k, v in stored.items()}


def build_network(
    folder: Path, architecture: Architecture, n_classes: int, *, mirrored: bool
) -> nn.Module:
    """The network with a model folder's weights, float32, in evaluation mode."""
    network = SkinNetwork(architecture, n_classes)
    network.load_state_dict(read_weights(folder))
    return Mirrored(network).eval() if mirrored else network.eval()


def compiled_logits(network: nn.Module) -> LogitsOf:
    """The network with OpenVINO in float32, on one thread: three to four times torch's speed."""
    with TemporaryDirectory() as folder:
        save_graph(PixelLogits(network).eval(), _EXAMPLE, Path(folder))
        graph = OpenVinoGraph(Path(folder), 1, bfloat16=False)
    return lambda pixels: torch.from_numpy(graph.infer(pixels[None])[0][0])


def write_graph(network: nn.Module, card: ModelCard, folder: Path) -> None:
    """Write ``network.xml`` and ``network.bin`` (float16 constants, any height and width)."""
    save_graph(deployed(network, card), _EXAMPLE, folder)


def save_graph(module: nn.Module, example: tuple[Tensor, ...], folder: Path) -> None:
    """Write a module that takes photos (1, h, w, 3) first as a graph for OpenVINO."""
    with warnings.catch_warnings():
        # OpenVINO reads torch modules through torch.jit.trace, which warns that it is deprecated.
        warnings.filterwarnings("ignore", message=".*torch.jit", category=DeprecationWarning)
        graph = openvino.convert_model(module, example_input=example)
    shapes = ([1, -1, -1, 3], *(list(further.shape) for further in example[1:]))
    graph.reshape(dict(enumerate(shapes)))
    openvino.save_model(graph, str(folder / NETWORK_FILES[0]), compress_to_fp16=True)


def _held_out_figures(
    logits_of: LogitsOf, source: TrainingFolder, long_side: int, calibration: Calibration
) -> dict[str, Any]:
    names = source.split["test"]
    counts, table = {}, np.zeros((3, BINS))
    logits = held_out_logits(logits_of, source, names, long_side)
    for name, (found, truth) in zip(names, logits, strict=True):
        probabilities = calibration.probabilities(found)
        counts[name] = count_image(probabilities, truth)
        table += tally(probabilities.numpy(), truth)
    patients = len(source.patients_of("test"))
    pooled = np.sum(list(counts.values()), axis=0)
    return {
        "images": len(names),
        "patients": patients if source.patients_given else None,
        **agreement_document(pooled, source.classes),
        "groups": grouped_dice(counts, source.groups, tuple(source.classes.values())),
        "calibration": reliability_document(table),
    }
