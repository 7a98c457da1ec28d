"""Training: from a training folder to a checkpoint and a run record.

A run is taken up again from its folder when it was interrupted: the weights, the optimiser, the
averaged weights and the place in the sequence of crops are in ``checkpoint.pt``.
"""

import json
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import cv2
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from bsa_vision.core.errors import InputError
from bsa_vision.core.provenance import canonical_json, document_digest
from bsa_vision.segmentation.card import (
    WEIGHTS_FILE,
    Architecture,
    ModelCard,
    check_files,
    find_model,
    read_card,
)
from bsa_vision.segmentation.dataset import Crops, TrainingFolder, read_training_folder
from bsa_vision.segmentation.evaluate import evaluate_network
from bsa_vision.segmentation.losses import CrossEntropyAndDice, class_weights, count_pixels
from bsa_vision.segmentation.metrics import agreement_document
from bsa_vision.segmentation.model import HalfResolutionUnet, normalise, placed

CHECKPOINT = "checkpoint.pt"
RECORD = "run.json"
#: Settings that say how long and how watched a run is, not what it learns from.
BUDGET = frozenset({"steps", "minutes", "workers", "val_minutes", "val_images"})

#: A ResNet-10 at half its usual width. From random weights it learns several times faster than
#: MobileNetV4 at the same cost of a step (docs/BENCHMARKS.md).
SLIM_RESNET = Architecture(
    "tu-resnet10t", (128, 64, 32, 16), {"channels": [32, 64, 128, 256], "stem_width": 16}
)
#: Network pixels of a photo's long side where neither the caller nor a model says.
LONG_SIDE = 768

Progress = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class TrainSettings:
    """How to train. A run ends after `steps`, or after `minutes` of training when that is sooner.

    Attributes
    ----------
    architecture : the network; where training starts from a model, that model's is used instead.
    long_side : network pixels of a photo's long side; None takes that of the model started from,
        or `LONG_SIDE`.
    crop, batch : side of the square crops and crops per step.
    steps, minutes : the budget; the learning rate follows the share of it that is spent.
    learning_rate, weight_decay : of AdamW, at the peak of the schedule.
    average : decay of the exponential moving average of the weights, which is what is kept.
    seed : of the weights and of the crops.
    workers : processes that load crops (0: in this one).
    val_minutes : time between evaluations on the held-out part, each followed by a checkpoint.
    val_images : how many held-out images an evaluation uses at most.
    """

    architecture: Architecture = SLIM_RESNET
    long_side: int | None = None
    crop: int = 192
    batch: int = 6
    steps: int = 3000
    minutes: float | None = None
    learning_rate: float = 1.2e-3
    weight_decay: float = 0.02
    average: float = 0.998
    seed: int = 0
    workers: int = 1
    val_minutes: float = 10.0
    val_images: int = 24


class _Run:
    """The changing state of a run."""

    def __init__(
        self,
        network: nn.Module,
        folder: TrainingFolder,
        settings: TrainSettings,
        long_side: int,
        out: Path,
    ) -> None:
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network, self.folder, self.settings, self.out = network, folder, settings, out
        self.long_side = long_side
        placed(network, self.device)
        self.average = {k: v.detach().clone() for k, v in network.state_dict().items()}
        self.optimiser = torch.optim.AdamW(
            network.parameters(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.step, self.seconds = 0, 0.0
        self.history: list[dict[str, Any]] = []

    @property
    def progress(self) -> float:
        """Share of the budget that is spent, 0 to 1."""
        share = self.step / self.settings.steps
        if self.settings.minutes is not None:
            share = max(share, self.seconds / (60 * self.settings.minutes))
        return min(share, 1.0)

    def set_learning_rate(self) -> None:
        """Linear warm-up over 3 % of the budget, then half a cosine down to 1 % of the peak."""
        p, warm = self.progress, 0.03
        if p < warm:
            factor = max(p, 1e-4) / warm
        else:
            turn = torch.tensor((p - warm) / (1 - warm) * torch.pi)
            factor = 0.01 + 0.99 * 0.5 * (1 + float(torch.cos(turn)))
        for group in self.optimiser.param_groups:
            group["lr"] = self.settings.learning_rate * factor

    def update_average(self) -> None:
        """Move the averaged weights; young averages move faster so they forget the random start."""
        decay = min(self.settings.average, (1 + self.step) / (10 + self.step))
        state = self.network.state_dict()
        floats = [key for key, value in state.items() if value.is_floating_point()]
        with torch.no_grad():
            get_ema_multi_avg_fn(decay)(  # type: ignore[no-untyped-call]
                [self.average[key] for key in floats], [state[key] for key in floats], self.step
            )
            for key in state.keys() - set(floats):
                self.average[key].copy_(state[key])

    def save(self, key: str) -> None:
        """Write the checkpoint whole or not at all."""
        state = {
            "key": key,
            "network": self.network.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
            "history": self.history,
        }
        fresh = self.out / f"{CHECKPOINT}.new"
        torch.save(state, fresh)
        fresh.replace(self.out / CHECKPOINT)

    def resume(self, key: str) -> None:
        """Take up the run in the output folder, if there is one with the same data and settings."""
        path = self.out / CHECKPOINT
        if not path.is_file():
            return
        state = torch.load(path, map_location=self.device, weights_only=True)
        if state["key"] != key:
            msg = f"{self.out} holds a run with other data or settings."
            raise InputError(msg, "Choose another output folder, or remove this one.")
        self.network.load_state_dict(state["network"])
        self.average = state["average"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds = state["step"], state["seconds"]
        self.history = state["history"]


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
    settings : how to train.
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
    settings, long_side = _started_from(card, settings or TrainSettings())
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings.seed)
    network = HalfResolutionUnet(settings.architecture, len(folder.classes))
    if start is not None and card is not None:
        load_model_weights(network, start, card, folder.classes)
    run = _Run(network, folder, settings, long_side, out)
    record = {
        "data": {
            "digest": folder.digest(),
            "images": {part: len(names) for part, names in folder.split.items()},
            "patients": len(set(folder.patients.values())),
        },
        "classes": {str(code): name for code, name in folder.classes.items()},
        "settings": json.loads(json.dumps(asdict(settings))),
        "init": None if card is None else {"name": card.name, "digest": card.digest},
        "versions": _versions(),
        "device": str(run.device),
    }
    _loop(run, record, progress)
    return out / CHECKPOINT


def _started_from(card: ModelCard | None, settings: TrainSettings) -> tuple[TrainSettings, int]:
    """The settings with what the model to start from decides, and the long side."""
    long_side = settings.long_side or (LONG_SIDE if card is None else card.long_side)
    architecture = settings.architecture if card is None else card.architecture
    return replace(settings, architecture=architecture, long_side=long_side), long_side


def _loop(run: _Run, record: dict[str, Any], progress: Progress | None) -> None:
    run.resume(key := _run_key(record))
    train_names = run.folder.split["train"]
    loss = CrossEntropyAndDice(class_weights(count_pixels(run.folder, train_names)))
    loss.to(run.device)
    total, count, since_val = 0.0, 0, run.seconds
    batches = _batches(run)
    while run.progress < 1.0:
        started = time.perf_counter()
        run.set_learning_rate()
        total += _step(run, loss, *next(batches))
        count += 1
        run.step += 1
        run.update_average()
        run.seconds += time.perf_counter() - started
        if run.progress >= 1.0 or run.seconds - since_val >= 60 * run.settings.val_minutes:
            line = {
                "step": run.step,
                "minutes": round(run.seconds / 60, 2),
                "loss": round(total / count, 4),
                **_held_out(run),
            }
            run.history.append(line)
            total, count, since_val = 0.0, 0, run.seconds
            run.save(key)
            text = canonical_json({**record, "history": run.history})
            (run.out / RECORD).write_text(text, encoding="utf-8")
            if progress is not None:
                progress(line)


def _run_key(record: dict[str, Any]) -> str:
    """Digest of what a run must share with the one it continues; its budget may be another."""
    settings = {k: v for k, v in record["settings"].items() if k not in BUDGET}
    return document_digest({"data": record["data"], "init": record["init"], "settings": settings})


def _step(run: _Run, loss: nn.Module, images: Tensor, target: Tensor) -> float:
    run.network.train()
    images = images.to(run.device).contiguous(memory_format=torch.channels_last)
    with torch.autocast(run.device.type, torch.bfloat16, enabled=bfloat16_pays(run.device)):
        logits = run.network(normalise(images))
    value: Tensor = loss(logits, target.to(run.device))
    run.optimiser.zero_grad(set_to_none=True)
    value.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(run.network.parameters(), 5.0)
    run.optimiser.step()
    return float(value.detach())


def _batches(run: _Run) -> Iterator[tuple[Tensor, Tensor]]:
    settings = run.settings
    crops = Crops(
        run.folder,
        run.folder.split["train"],
        side=settings.crop,
        long_side=run.long_side,
        count=(settings.steps - run.step) * settings.batch,
        seed=settings.seed,
        first=run.step * settings.batch,
    )
    loader: DataLoader[tuple[Tensor, Tensor]] = DataLoader(
        crops,  # type: ignore[arg-type]
        batch_size=settings.batch,
        num_workers=settings.workers,
        prefetch_factor=4 if settings.workers else None,
        worker_init_fn=_use_one_thread,
    )
    yield from loader


def _use_one_thread(worker: int) -> None:  # noqa: ARG001 (torch passes the worker's number)
    cv2.setNumThreads(1)


def _held_out(run: _Run) -> dict[str, Any]:
    folder, settings = run.folder, run.settings
    names = folder.split["val"][: settings.val_images]
    if not names:
        return {}
    network = HalfResolutionUnet(settings.architecture, len(folder.classes))
    network.load_state_dict(run.average)
    placed(network, run.device)
    counts = evaluate_network(network, folder, names, run.long_side, run.device)
    document = agreement_document(counts, folder.classes)
    return {"val": {"mean_dice": document["mean_dice"], "classes": document["classes"]}}


def load_model_weights(
    network: nn.Module, model: Path, card: ModelCard, classes: Mapping[int, str]
) -> None:
    """Copy a model's weights into a network of its architecture.

    The head is copied when the model's classes are `classes`, in their order; any other layer must
    be there and fit.

    Raises
    ------
    InputError
        When the weights are not those of the card, or a layer is missing or of another shape.
    """
    check_files(model, card, (WEIGHTS_FILE,))
    weights = load_file(model / WEIGHTS_FILE)
    same_classes = tuple(card.classes.items()) == tuple(classes.items())
    wanted = {
        key: value
        for key, value in network.state_dict().items()
        if same_classes or not key.startswith("head.")
    }
    unfit = [k for k, v in wanted.items() if k not in weights or weights[k].shape != v.shape]
    if unfit:
        msg = f"Model {card.name!r}: {len(unfit)} layers do not fit, the first is {unfit[0]}."
        raise InputError(msg, "Start from a model written by this version, or from none.")
    network.load_state_dict({k: weights[k].to(v.dtype) for k, v in wanted.items()}, strict=False)


def bfloat16_pays(device: torch.device) -> bool:
    """Whether the device computes in bfloat16 natively; emulated it is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def _versions() -> dict[str, str]:
    packages = ("torch", "timm", "segmentation-models-pytorch", "albumentations", "numpy")
    return {"python": platform.python_version(), **{name: version(name) for name in packages}}
