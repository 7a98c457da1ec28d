"""Training of dense placement: a folder of renderings with their places -> a model folder."""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from bsa_vision.core.errors import InputError
from bsa_vision.core.provenance import document_digest
from bsa_vision.dense.card import PlaceCard, find_place_model, read_place_card
from bsa_vision.dense.model import DeployedPlaces, PlaceNetwork, place_loss, pooled, read, view_loss
from bsa_vision.dense.samples import Batch, PlacePhotos
from bsa_vision.segmentation.card import (
    NETWORK_FILES,
    WEIGHTS_FILE,
    Architecture,
    check_files,
    file_sha256,
    find_model,
    read_card,
)
from bsa_vision.segmentation.dataset import read_training_folder
from bsa_vision.segmentation.export import read_weights, save_graph, write_weights
from bsa_vision.segmentation.mixed_precision import bfloat16_pays, keep_dilated_in_float32
from bsa_vision.segmentation.model import HEAD, MULTIPLE, normalise, placed, take_over
from bsa_vision.segmentation.train import NETWORK
from bsa_vision.segmentation.training_run import CHECKPOINT, TrainingRun, kept_weights

#: How the layer that names the view is fitted at last: learning rate, steps, photos of a step.
_VIEW_RATE, _VIEW_STEPS, _VIEW_BATCH = 3e-3, 3000, 512

#: What a network of placement has beside one of segmentation.
_OWN_LAYERS = (f"base.{HEAD}", "deep.", "late.", "shown.")

Progress = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class PlaceSettings:
    """How to train.

    Attributes
    ----------
    architecture : of the network below the views; that of the model started from, where there is.
    long_side : network pixels of a photo's long side. 256, at twice as many photos in an hour, is
        better to begin with, 384 in the end (docs/BENCHMARKS.md).
    steps, batch, learning_rate, weight_decay, average, seed : see `segmentation.TrainSettings`.
    val_every, val_images : steps between looks at the held-out photos, and how many of them.
    view_batches : batches of changed photos that the layer naming the view is settled on at last.
    """

    architecture: Architecture = NETWORK
    long_side: int = 384
    steps: int = 12_000
    batch: int = 8
    learning_rate: float = 1.2e-3
    weight_decay: float = 0.02
    average: float = 0.999
    seed: int = 0
    val_every: int = 1000
    val_images: int = 120
    view_batches: int = 1400


class _Batches(Dataset[Batch]):
    def __init__(self, photos: PlacePhotos, settings: PlaceSettings, first: int) -> None:
        self._photos, self._settings, self._first = photos, settings, first

    def __len__(self) -> int:
        return max(0, self._settings.steps - self._first)

    def __getitem__(self, item: int) -> Batch:
        settings = self._settings
        return self._photos.batch(self._first + item, settings.batch, settings.seed)


def train_places(
    data: Path,
    out: Path,
    init: str | None = None,
    settings: PlaceSettings | None = None,
    progress: Progress | None = None,
) -> Path:
    """Train a network of dense placement.

    Parameters
    ----------
    data : a folder of `phantom.training.write_training_set`.
    out : where ``checkpoint.pt`` is written; a run begun there is taken up again.
    init : model to start from: one of placement, or one of segmentation, whose encoder and decoder
        are taken; None for random.
    settings : how to train.
    progress : called with each line of the run's history.

    Returns
    -------
    The path of the checkpoint.

    Raises
    ------
    InputError
        When data or model cannot be used or are not whole, or `out` holds a run with others.
    """
    settings = settings or PlaceSettings()
    start = None if init is None else _start(init)
    if start is not None:
        settings = replace(settings, architecture=start.architecture)
    folder = read_training_folder(data)
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(settings.seed)
    network = _network(settings.architecture)
    if start is not None:
        take_over(network, start.weights, start.name, at_random=_OWN_LAYERS)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    placed(network, device)
    keep_dilated_in_float32(network, device)
    run = TrainingRun(
        network,
        out,
        steps=settings.steps,
        minutes=None,
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        average=settings.average,
        start_share=0.0,
        patience=None,
    )
    key = document_digest(
        {
            "data": folder.digest(),
            "init": None if start is None else start.digest,
            "settings": json.loads(json.dumps(asdict(settings))),
        }
    )
    run.resume(key)
    photos = PlacePhotos(folder, "train", settings.long_side)
    held_out = PlacePhotos(folder, "val", settings.long_side)
    for batch in _loader(photos, settings, run.step):
        run.set_learning_rate()
        run.count_step(_step(network, run.optimiser, batch, device), 0.0)
        if run.step % settings.val_every == 0 or run.step == run.steps:
            judged = _network(settings.architecture)
            judged.load_state_dict(run.kept())
            line = run.note({"places": held_out_errors(judged, held_out, settings.val_images)})
            run.save(key)
            if progress is not None:
                progress(line)
    return out / CHECKPOINT


class _Start(NamedTuple):
    """What a training begins from; the weights are named as in `PlaceNetwork`."""

    architecture: Architecture
    name: str
    digest: str
    weights: dict[str, Tensor]


def _start(init: str) -> _Start:
    try:
        folder = find_place_model(init)
    except InputError:
        folder = find_model(init)
        card = read_card(folder)
        check_files(folder, card, (WEIGHTS_FILE,))
        body = {k: v for k, v in read_weights(folder).items() if not k.startswith(HEAD)}
        weights = {f"base.{k}": v for k, v in body.items()}
        return _Start(card.architecture, card.name, card.digest, weights)
    placing = read_place_card(folder)
    check_files(folder, placing, (WEIGHTS_FILE,))
    return _Start(placing.architecture, placing.name, placing.digest, read_weights(folder))


def _network(architecture: Architecture) -> PlaceNetwork:
    deepest = architecture.encoder_options["channels"][-1]
    return PlaceNetwork(architecture, deepest, architecture.decoder_options["decoder_channels"])


def _loader(photos: PlacePhotos, settings: PlaceSettings, first: int) -> Iterator[Batch]:
    cv2.setNumThreads(1)  # see `segmentation.train`
    batches = _Batches(photos, settings, first)
    yield from DataLoader(batches, batch_size=None, num_workers=1, prefetch_factor=4)


def _step(
    network: PlaceNetwork, optimiser: torch.optim.Optimizer, batch: Batch, device: torch.device
) -> float:
    network.train()
    images, view, true_view, *target = (values.to(device) for values in batch)
    images = images.contiguous(memory_format=torch.channels_last)
    with torch.autocast(device.type, torch.bfloat16, enabled=bfloat16_pays(device)):
        raw, shown = network(normalise(images), view)
    value: Tensor = place_loss(raw, *target) + view_loss(shown, true_view)
    optimiser.zero_grad(set_to_none=True)
    value.backward()  # type: ignore[no-untyped-call]  # torch has no types here
    norm = nn.utils.clip_grad_norm_(network.parameters(), 5.0)
    if not torch.isfinite(norm):
        msg = "Training broke off: the gradient is no number."
        raise InputError(msg, "Give the command again: it goes on from the last checkpoint.")
    optimiser.step()
    return float(value.detach())


def held_out_errors(network: PlaceNetwork, photos: PlacePhotos, count: int) -> dict[str, float]:
    """Errors of places in photos as they are, whose view is stated: medians in millimetres.

    Returns
    -------
    ``median_mm``, ``p90_mm`` over pixels, the share of pixels with the right ``side``, ``iou`` of
    the skin, and the share of photos whose ``view`` is recognised.
    """
    network.eval()
    errors, right, both, either, recognised = [], [], 0, 0, []
    for index in np.linspace(0, len(photos.names) - 1, min(count, len(photos.names))).astype(int):
        photo = photos.plain(int(index))
        with torch.inference_mode():
            raw, shown = network(normalise(photo.images), photo.view)
        skin, place, _, left = read(raw)
        recognised.append(bool(shown.argmax() == photo.true_view))
        on = photo.skin
        both += int(((skin > 0) & on).sum())
        either += int(((skin > 0) | on).sum())
        true = photo.places[on]
        right.append(((left[on] > 0) == (true[:, 0] > 0)).numpy())
        true[:, 0] = true[:, 0].abs()
        errors.append((place.permute(0, 2, 3, 1)[on] - true).norm(dim=1).numpy() * 1000)
    pooled = np.concatenate(errors)
    return {
        "median_mm": round(float(np.median(pooled)), 1),
        "p90_mm": round(float(np.quantile(pooled, 0.9)), 1),
        "side": round(float(np.concatenate(right).mean()), 4),
        "iou": round(both / max(either, 1), 4),
        "view": round(float(np.mean(recognised)), 4),
    }


def settle_views(network: PlaceNetwork, photos: PlacePhotos, settings: PlaceSettings) -> None:
    """Fit the layer that names the view to the features that the network ends up giving.

    Beside the places it learns too slowly: after 11,000 steps it named 85 % of the held-out views,
    settled 90 %, and noticed eleven times as many exchanges of front and back (docs/BENCHMARKS.md).
    """
    network.eval()
    features, views = [], []
    for item in range(settings.steps, settings.steps + settings.view_batches):
        batch = photos.batch(item, settings.batch, settings.seed)
        with torch.inference_mode():
            features.append(pooled(network.base.encoder(normalise(batch.images))[-1]))
        views.append(batch.true_view)
    seen, true = torch.cat(features).clone(), torch.cat(views)
    mean, spread = seen.mean(0), seen.std(0) + 1e-6
    layer = nn.Linear(seen.shape[1], network.shown.out_features)
    optimiser = torch.optim.AdamW(layer.parameters(), lr=_VIEW_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, _VIEW_STEPS)
    generator = torch.Generator().manual_seed(settings.seed)
    for _ in range(_VIEW_STEPS):
        chosen = torch.randint(len(seen), (_VIEW_BATCH,), generator=generator)
        value = functional.cross_entropy(layer((seen[chosen] - mean) / spread), true[chosen])
        optimiser.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]  # torch has no types here
        optimiser.step()
        schedule.step()
    with torch.no_grad():
        network.shown.weight.copy_(layer.weight / spread)
        network.shown.bias.copy_(layer.bias - network.shown.weight @ mean)


def export_places(
    run: Path, data: Path, folder: Path, settings: PlaceSettings, notes: dict[str, Any]
) -> PlaceCard:
    """Make a model folder from a training run; the figures of the card are of the test patients.

    The layer that names the view is settled first (`settle_views`).

    Parameters
    ----------
    run : output folder of `train_places`; data, settings : it was made with.
    folder : where the model goes; its name is the model's name.
    notes : what else the card says of the making.
    """
    torch.manual_seed(settings.seed)
    network = _network(settings.architecture)
    network.load_state_dict(kept_weights(run / CHECKPOINT))
    source = read_training_folder(data)
    settle_views(network, PlacePhotos(source, "train", settings.long_side), settings)
    folder.mkdir(parents=True, exist_ok=True)
    write_weights(network.state_dict(), folder / WEIGHTS_FILE)
    # The figures and the graph are of the weights as written, in half precision.
    network.load_state_dict(read_weights(folder))
    photos = PlacePhotos(source, "test", settings.long_side)
    held_out = held_out_errors(network, photos, len(photos.names))
    example = (
        torch.zeros((1, 2 * MULTIPLE, 3 * MULTIPLE, 3), dtype=torch.uint8),
        torch.zeros(1, dtype=torch.int64),
    )
    save_graph(DeployedPlaces(network).eval(), example, folder)
    card = PlaceCard(
        name=folder.name,
        architecture=settings.architecture,
        long_side=settings.long_side,
        multiple=MULTIPLE,
        files={name: file_sha256(folder / name) for name in (WEIGHTS_FILE, *NETWORK_FILES)},
        training={**notes, "data": source.digest(), "held_out": held_out},
    )
    card.write(folder)
    return card
