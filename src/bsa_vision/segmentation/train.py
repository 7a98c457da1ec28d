"""Training: from a training folder to a checkpoint and a run record.

A run is taken up again from its folder when it was interrupted (see `training_run`).
"""

import json
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import DataLoader

from bsa_vision.core.errors import InputError
from bsa_vision.core.files import write_whole
from bsa_vision.core.provenance import canonical_json, document_digest
from bsa_vision.segmentation.card import (
    WEIGHTS_FILE,
    Architecture,
    ModelCard,
    check_files,
    find_model,
    read_card,
)
from bsa_vision.segmentation.crops import Crops
from bsa_vision.segmentation.dataset import (
    TrainingFolder,
    read_training_folder,
)
from bsa_vision.segmentation.evaluate import count_images
from bsa_vision.segmentation.losses import CrossEntropyAndDice, class_weights, count_pixels
from bsa_vision.segmentation.metrics import agreement_document
from bsa_vision.segmentation.mixed_precision import InMixedPrecision
from bsa_vision.segmentation.model import HEAD, MULTIPLE, SkinNetwork, placed, take_over
from bsa_vision.segmentation.training_run import CHECKPOINT, TrainingRun

RECORD = "run.json"
#: Settings that say how long and how watched a run is, not what it learns from.
BUDGET = frozenset(
    {"steps", "minutes", "workers", "val_every", "val_images", "patience", "save_minutes"}
)

#: DeepLabV3+ over a ResNet-10 at half its usual width: the best kind of network at equal computing
#: time (docs/BENCHMARKS.md). It underfits, so there is no dropout. The usual atrous rates (12, 24,
#: 36) reach beyond the feature map of a small crop: outer weights would never be trained, and yet
#: be used on whole photos.
NETWORK = Architecture(
    "tu-resnet10t",
    (),
    {"channels": [32, 64, 128, 256], "stem_width": 16},
    "deeplabv3plus",
    {"decoder_channels": 64, "decoder_atrous_rates": [2, 4, 8], "decoder_aspp_dropout": 0.0},
)
#: Limits of the long side that is chosen for photos of a folder, network pixels.
LONG_SIDES = (256, 768)
#: Side of the crops where none is given, network pixels; no more than a photo's long side. A model
#: of the same classes is shown half of that side at least: it has learnt to look around.
USUAL_CROP = 256
#: Held-out patients that it takes to say which weights of a run are the best.
CHOOSING_PATIENTS = 5
#: With fewer training images a model of the same classes is moved but half of the way.
FEW_IMAGES = 100

Progress = Callable[[dict[str, Any]], None]
#: What training starts from: random weights, a model of other classes, whose head is new, or a
#: model of the same classes, taken over whole.
Start = Literal["random", "other classes", "same classes"]
#: Peak learning rates from each. The more is right already, the less may be undone.
LEARNING_RATES: Mapping[Start, float] = {
    "random": 2.5e-3,
    "other classes": 1e-3,
    "same classes": 2e-4,
}


@dataclass(frozen=True)
class TrainSettings:
    """How to train. `default_settings` chooses those that fit a folder.

    Attributes
    ----------
    architecture : the network; where training starts from a model, that model's is used instead.
    long_side : network pixels of a photo's long side; None takes that of the model started from,
        or the usual one of the folder's images.
    crop, batch : side of the square crops, network pixels, a multiple of 32, and crops per step;
        None for what suits the start (`USUAL_CROP`).
    steps : most steps of the optimiser; the learning rate follows their spent share.
    minutes : training time (evaluation apart) that `steps` is cut down to; None for no limit. What
        a step costs is measured once, so such a run is not the same on another machine.
    learning_rate, weight_decay : of AdamW, at the peak of the schedule.
    average : decay of the exponential moving average of the weights, which is what is kept.
    start_share : share of the starting weights in those that are kept. The mean of a model and what
        a few photos make of it is better on others' photos than either (M. Wortsman and others,
        "Robust fine-tuning of zero-shot models", 2022).
    class_power : how far rare classes are favoured (`losses.class_weights`), 0 for not at all.
    dice_share : weight of the soft Dice loss beside cross-entropy.
    keep_statistics : normalise by the means and variances of the model started from instead of
        each batch's own: crops of a few photos are a poor sample of the photos to come.
    loss_spacing : the loss looks at one pixel of each block of this side. Networks decide on every
        fourth pixel, and at full resolution it would cost a fifth to a third of a step.
    seed : of the weights and of the crops.
    workers : processes that load crops (0: in this one).
    val_every : steps between evaluations on the held-out part.
    val_images : how many held-out images an evaluation uses at most.
    patience : evaluations without a gain after which the run ends, keeping the best; None for
        never, keeping the last.
    save_minutes : time between checkpoints; another is written with each evaluation.
    """

    architecture: Architecture = NETWORK
    long_side: int | None = None
    crop: int | None = None
    batch: int = 4
    steps: int = 3000
    minutes: float | None = None
    learning_rate: float = 2.5e-3
    weight_decay: float = 0.02
    average: float = 0.998
    start_share: float = 0.0
    class_power: float = 0.35
    dice_share: float = 0.5
    keep_statistics: bool = False
    loss_spacing: int = 2
    seed: int = 0
    workers: int = 1
    val_every: int = 250
    val_images: int = 48
    patience: int | None = None
    save_minutes: float = 2.0

    def __post_init__(self) -> None:
        if self.crop is not None and self.crop % MULTIPLE:
            msg = f"crop: need a multiple of {MULTIPLE}, got {self.crop}"
            raise ValueError(msg)


def default_settings(
    n_train: int, held_out: int, steps: int | None = None, *, start: Start, seed: int = 0
) -> TrainSettings:
    """Settings that suit tens to thousands of training images and a number of held-out patients.

    Where `steps` is None they grow with the root of the number of images: few images are seen more
    often each, but not so often that they are learnt by heart. From random weights it takes twice
    as many as from a trained model, whose weights a high learning rate would undo. Fewer than
    `CHOOSING_PATIENTS` held-out patients choose nothing: the last weights are kept.
    """
    if steps is None:
        steps = int(np.clip(100 * np.sqrt(n_train), 300, 12_000)) * (2 if start == "random" else 1)
    return TrainSettings(
        steps=steps,
        learning_rate=LEARNING_RATES[start],
        keep_statistics=start == "same classes",
        start_share=0.5 if start == "same classes" and n_train < FEW_IMAGES else 0.0,
        average=float(np.clip(1 - 10 / steps, 0.9, 0.998)),
        val_every=min(max(25, steps // 20), steps),
        patience=8 if held_out >= CHOOSING_PATIENTS else None,
        seed=seed,
    )


def kind_of_start(card: ModelCard | None, classes: Mapping[int, str]) -> Start:
    """What a model, or none, is to a training folder of these classes; their order counts."""
    if card is None:
        return "random"
    same = tuple(card.classes.items()) == tuple(classes.items())
    return "same classes" if same else "other classes"


def train(
    data: Path,
    out: Path,
    init: str | None = None,
    settings: TrainSettings | None = None,
    progress: Progress | None = None,
) -> Path:
    """Train a network on a training folder.

    Parameters
    ----------
    data : the training folder (see `dataset`).
    out : where ``checkpoint.pt`` and ``run.json`` are written; a run begun there is taken up again.
    init : name or folder of a model to start from, with its architecture. Its head is taken over
        when its classes are those of `data`; otherwise the head starts at random.
    settings : how to train; `default_settings` when None.
    progress : called with each line of the run's history as it is made.

    Returns
    -------
    The path of the checkpoint.

    Raises
    ------
    InputError
        When the data or the model to start from cannot be used, or `out` holds a run with other
        data or settings.
    """
    folder = read_training_folder(data)
    start = None if init is None else find_model(init)
    card = None if start is None else read_card(start)
    kind = kind_of_start(card, folder.classes)
    if settings is None:
        n_train, patients = len(folder.split["train"]), folder.patients_of("val")
        settings = default_settings(n_train, len(patients), start=kind)
    settings = _completed(settings, card, folder)
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings.seed)
    network = SkinNetwork(settings.architecture, len(folder.classes))
    if start is not None and card is not None:
        load_model_weights(network, start, card, folder.classes)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    placed(network, device)
    record = {
        "data": {
            "digest": folder.digest(),
            "images": {part: len(names) for part, names in folder.split.items()},
            "patients": len(set(folder.patients.values())) if folder.patients_given else None,
        },
        "left_out": dict(folder.left_out),
        "photos": sorted({*folder.photo_digests(), *_photos_of(card)}),
        "classes": {str(code): name for code, name in folder.classes.items()},
        "settings": json.loads(json.dumps(asdict(settings))),
        "init": None if card is None else _of_start(card, kind),
        "versions": _versions(),
        "device": str(device),
    }
    _Trainer(network, folder, settings, out, record).train(progress)
    return out / CHECKPOINT


def _photos_of(card: ModelCard | None) -> tuple[str, ...]:
    """Digests of the photos that a model knows, its ancestors' among them."""
    return () if card is None else tuple(card.training.get("photos", ()))


def _of_start(card: ModelCard, kind: Start) -> dict[str, Any]:
    """What the record says of the model started from, with its calibration where that fits."""
    named: dict[str, Any] = {"name": card.name, "digest": card.digest}
    if kind == "same classes" and card.bias:
        named["calibration"] = {"temperature": card.temperature, "bias": card.bias}
    return named


def _completed(
    settings: TrainSettings, card: ModelCard | None, folder: TrainingFolder
) -> TrainSettings:
    """The settings with what the model to start from, or the images, decide."""
    if card is not None:
        settings = replace(settings, architecture=card.architecture)
    long_side = settings.long_side or usual_long_side(folder, card)
    crop = min(USUAL_CROP, long_side)
    if kind_of_start(card, folder.classes) == "same classes":
        crop = max(crop, long_side // 2)
    crop = settings.crop or MULTIPLE * max(1, crop // MULTIPLE)
    return replace(settings, long_side=long_side, crop=crop)


def usual_long_side(folder: TrainingFolder, card: ModelCard | None) -> int:
    """Network pixels of the long side that suit a folder and the model started from, if any.

    That of a model of the same classes. Else the median long side of the training images within
    `LONG_SIDES`, a multiple of 32, or that of a model of other classes within their upper limit.
    """
    if card is None:
        sides = [max(folder.size(name)) for name in folder.split["train"]]
        return 32 * round(float(np.clip(np.median(sides), *LONG_SIDES)) / 32)
    if kind_of_start(card, folder.classes) == "same classes":
        return card.long_side
    return min(card.long_side, LONG_SIDES[1])


class _Trainer:
    """Runs a training run to its end."""

    def __init__(
        self,
        network: SkinNetwork,
        folder: TrainingFolder,
        settings: TrainSettings,
        out: Path,
        record: dict[str, Any],
    ) -> None:
        self._settings, self._record, self._out = settings, record, out
        self._long_side, self._crop = int(settings.long_side or 0), int(settings.crop or 0)
        self._folder = folder
        self._network, self._device = network, next(network.parameters()).device
        # Several GPUs share each batch evenly, two crops or more on each, which normalisation
        # needs; one GPU, or the processor, works on it whole.
        gpus = min(torch.cuda.device_count(), settings.batch // 2)
        while gpus > 1 and settings.batch % gpus:
            gpus -= 1
        mixed = InMixedPrecision(network, self._device)
        self._parallel = nn.DataParallel(mixed, list(range(gpus))) if gpus > 1 else mixed
        self._run = TrainingRun(
            network,
            out,
            steps=settings.steps,
            minutes=settings.minutes,
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            average=settings.average,
            start_share=settings.start_share,
            patience=settings.patience,
        )

    def train(self, progress: Progress | None) -> None:
        """Take up or begin the run, and end it."""
        run, settings, key = self._run, self._settings, _run_key(self._record)
        run.resume(key)
        counts = count_pixels(self._folder, self._folder.split["train"])
        weights = class_weights(counts, settings.class_power)
        loss = CrossEntropyAndDice(weights, settings.dice_share)
        loss.to(self._device)
        batches, saved = self._batches(), time.monotonic()
        while not run.done:
            started = time.perf_counter()
            run.set_learning_rate()
            value = self._step(loss, *next(batches))
            run.count_step(value, time.perf_counter() - started)
            evaluated = run.step % settings.val_every == 0 or run.step == run.steps
            if evaluated:
                line = run.note(self._held_out())
            if evaluated or time.monotonic() - saved >= 60 * settings.save_minutes:
                run.save(key)
                saved = time.monotonic()
            if evaluated:
                self._write_record()
                if progress is not None:
                    progress(line)
        # A kill between checkpoint and record left the record behind.
        self._write_record()

    def _write_record(self) -> None:
        run = self._run
        document = {
            **self._record,
            "history": run.history,
            "kept_step": run.kept_step,
            "stopped_early": run.stopped_early,
            "seconds": round(run.seconds, 1),
        }
        write_whole(self._out / RECORD, canonical_json(document).encode())

    def _step(self, loss: nn.Module, images: Tensor, target: Tensor) -> float:
        self._network.train()
        if self._settings.keep_statistics:
            for module in self._network.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        # Dropout must not depend on what was drawn before an interruption.
        torch.manual_seed(self._settings.seed * 1_000_003 + self._run.step)
        images = images.to(self._device).contiguous(memory_format=torch.channels_last)
        spacing = self._settings.loss_spacing
        logits = self._parallel(images, spacing)
        # A pixel of each block, always another one, or the network would learn to be off by half.
        row, column = torch.randint(spacing, (2,)).tolist()
        judged = target[:, row::spacing, column::spacing].to(self._device)
        value: Tensor = loss(logits, judged)
        self._run.optimiser.zero_grad(set_to_none=True)
        value.backward()  # type: ignore[no-untyped-call]  # torch has no types here
        norm = nn.utils.clip_grad_norm_(self._network.parameters(), 5.0)
        if not torch.isfinite(norm):
            msg = f"Training broke off at step {self._run.step + 1}: the gradient is no number."
            raise InputError(msg, "Give the command again: it goes on from the last checkpoint.")
        self._run.optimiser.step()
        return float(value.detach())

    def _batches(self) -> Iterator[tuple[Tensor, Tensor]]:
        settings, done = self._settings, self._run.step
        crops = Crops(
            self._folder,
            self._folder.split["train"],
            side=self._crop,
            long_side=self._long_side,
            count=max(0, self._run.steps - done) * settings.batch,
            seed=settings.seed,
            first=done * settings.batch,
        )
        # Workers are forked. A child that inherits OpenCV's pool of threads, which reading photos
        # makes, waits for ever for threads it does not have; one thread is no pool.
        cv2.setNumThreads(1)
        loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
            crops,  # type: ignore[arg-type]  # a dataset by its methods
            batch_size=settings.batch,
            num_workers=settings.workers,
            prefetch_factor=4 if settings.workers else None,
        )
        yield from loader

    def _held_out(self) -> dict[str, Any]:
        names = self._folder.split["val"]
        if not names:
            return {}
        # Evenly picked: neighbours in the list are photos of one patient.
        count = min(self._settings.val_images, len(names))
        names = tuple(names[i] for i in np.linspace(0, len(names) - 1, count).astype(int))
        network = SkinNetwork(self._settings.architecture, len(self._folder.classes))
        network.load_state_dict(self._run.kept())
        placed(network, self._device)
        counts = count_images(network, self._folder, names, self._long_side, self._device)
        pooled = np.sum(list(counts.values()), axis=0)
        document = agreement_document(pooled, self._folder.classes)
        return {"val": {"mean_dice": document["mean_dice"], "classes": document["classes"]}}


def _run_key(record: dict[str, Any]) -> str:
    """Digest of what a run must share with the one it continues; its budget may be another."""
    settings = {k: v for k, v in record["settings"].items() if k not in BUDGET}
    return document_digest({"data": record["data"], "init": record["init"], "settings": settings})


def load_model_weights(
    network: nn.Module, model: Path, card: ModelCard, classes: Mapping[int, str]
) -> None:
    """Copy a model's weights into a network of its architecture.

    The head is copied when the model's classes are `classes`, in their order; any other layer must
    be there and fit (`take_over`).

    Raises
    ------
    InputError
        When the weights are not those of the card, or a layer is missing or of another shape.
    """
    check_files(model, card, (WEIGHTS_FILE,))
    weights = load_file(model / WEIGHTS_FILE)
    if kind_of_start(card, classes) == "same classes":
        take_over(network, weights, card.name)
        return
    body = {key: value for key, value in weights.items() if not key.startswith(HEAD)}
    take_over(network, body, card.name, at_random=(HEAD,))


def _versions() -> dict[str, str]:
    packages = (
        "bsa-vision",
        "opencv-python-headless",
        "torch",
        "timm",
        "segmentation-models-pytorch",
        "albumentations",
        "numpy",
    )
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
