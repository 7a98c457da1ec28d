"""The card of a trained model, and where models are found. No torch.

A model is a folder:

- ``card.json``: this record, machine-readable;
- ``MODEL_CARD.md``: the same for people;
- ``weights.safetensors``: float16 weights, for torch and for further training;
- ``network.xml``, ``network.bin``: the whole graph (normalisation, network, calibration, softmax,
  arg max) for OpenVINO.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bsa_vision.core.errors import InputError
from bsa_vision.core.labels import LABEL_NAMES, Label
from bsa_vision.core.provenance import canonical_json, document_digest

FORMAT = "bsa-vision-model/1"
CARD_FILE = "card.json"
WEIGHTS_FILE = "weights.safetensors"
NETWORK_FILES = ("network.xml", "network.bin")
#: All files that a card describes.
MODEL_FILES = (WEIGHTS_FILE, *NETWORK_FILES)
MODELS_VARIABLE = "BSA_VISION_MODELS"
DATA_HOME_VARIABLE = "XDG_DATA_HOME"
#: The model that ships; what is used where none is named is `registry.default_model`.
DEFAULT_MODEL = "skin-states-9"

#: The classes a model must have to score a series: the labels of the measuring chain.
SKIN_CLASSES: dict[int, str] = {int(label): LABEL_NAMES[label] for label in Label}


@dataclass(frozen=True)
class Architecture:
    """What is needed to build the network again.

    Attributes
    ----------
    encoder : its name in segmentation-models-pytorch (``tu-`` and a name of timm).
    decoder_channels : channels of the decoder's stages, coarsest first; of a decoder other than
        the U-Net's, empty: its options say them.
    encoder_options : further arguments of the encoder, such as the channels of its stages.
    decoder : its name in segmentation-models-pytorch.
    decoder_options : further arguments of the decoder.
    """

    encoder: str
    decoder_channels: tuple[int, ...]
    encoder_options: Mapping[str, Any] = field(default_factory=dict)
    decoder: str = "unet"
    decoder_options: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def from_document(raw: Mapping[str, Any]) -> "Architecture":
        """Of its JSON form."""
        return Architecture(
            str(raw["encoder"]),
            tuple(raw["decoder_channels"]),
            dict(raw["encoder_options"]),
            str(raw.get("decoder", "unet")),
            dict(raw.get("decoder_options", {})),
        )

    def document(self) -> dict[str, Any]:
        """Its JSON form. A plain U-Net says no more than it did in older cards: same digest."""
        document: dict[str, Any] = {
            "encoder": self.encoder,
            "decoder_channels": list(self.decoder_channels),
            "encoder_options": dict(self.encoder_options),
        }
        if self.decoder != "unet" or self.decoder_options:
            document["decoder"] = self.decoder
            document["decoder_options"] = dict(self.decoder_options)
        return document


@dataclass(frozen=True)
class ModelCard:
    """What a model is, what it needs and where it came from.

    Attributes
    ----------
    name : the folder's name.
    classes : mask code -> class name, in the order of the probability channels.
    architecture : how to build the network.
    long_side : photos are resized so that their long side has this many pixels.
    multiple : each side is padded to a multiple of this.
    mean, std : per sRGB channel, in 0-255.
    temperature : logits are divided by this before the softmax.
    bias : added to each class's logit after that; () for none.
    mirrored : whether the network looks at each photo and its mirror image (`model.Mirrored`).
    area_power : what probabilities are raised to before areas are summed (`api.sharpened`).
    files : file name -> SHA-256, of the weights and of the OpenVINO graph.
    training : data digest, settings, versions and held-out figures; decides nothing at run time.
    """

    name: str
    classes: Mapping[int, str]
    architecture: Architecture
    long_side: int
    multiple: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    temperature: float
    files: Mapping[str, str]
    bias: tuple[float, ...] = ()
    mirrored: bool = False
    area_power: float = 1.0
    training: Mapping[str, Any] = field(default_factory=dict)

    @property
    def scores_skin(self) -> bool:
        """Whether the classes are the skin states that the measuring chain counts."""
        return dict(self.classes) == SKIN_CLASSES

    @property
    def digest(self) -> str:
        """SHA-256 over everything that decides the output."""
        document = self._document()
        return document_digest({k: v for k, v in document.items() if k not in {"name", "training"}})

    def _document(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "name": self.name,
            "classes": [{"code": code, "name": name} for code, name in self.classes.items()],
            "architecture": self.architecture.document(),
            "input": {
                "long_side": self.long_side,
                "multiple": self.multiple,
                "mean": list(self.mean),
                "std": list(self.std),
            },
            "temperature": self.temperature,
            # Absent where they do nothing: cards from before keep their digest.
            **({"bias": list(self.bias)} if self.bias else {}),
            **({"mirrored": True} if self.mirrored else {}),
            **({"area_power": self.area_power} if self.area_power != 1 else {}),
            "files": dict(self.files),
            "training": dict(self.training),
        }

    def write(self, folder: Path) -> None:
        """Write ``card.json``; the same card gives the same bytes."""
        (folder / CARD_FILE).write_text(canonical_json(self._document()), encoding="utf-8")


def read_card(folder: Path) -> ModelCard:
    """Read a model folder's card.

    Raises
    ------
    InputError
        When the card is missing, not readable or of another format.
    """
    path = folder / CARD_FILE
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw["format"] != FORMAT:
            msg = f"{path}: need format {FORMAT!r}, got {raw['format']!r}."
            raise InputError(msg, "Use a model written by this version of the program.")
        mean, std = raw["input"]["mean"], raw["input"]["std"]
        return ModelCard(
            name=str(raw["name"]),
            classes={int(c["code"]): str(c["name"]) for c in raw["classes"]},
            architecture=Architecture.from_document(raw["architecture"]),
            long_side=int(raw["input"]["long_side"]),
            multiple=int(raw["input"]["multiple"]),
            mean=(float(mean[0]), float(mean[1]), float(mean[2])),
            std=(float(std[0]), float(std[1]), float(std[2])),
            temperature=float(raw["temperature"]),
            files=dict(raw["files"]),
            bias=tuple(float(value) for value in raw.get("bias", ())),
            mirrored=bool(raw.get("mirrored", False)),
            area_power=float(raw.get("area_power", 1)),
            training=raw["training"],
        )
    except FileNotFoundError as error:
        msg = f"No model in {folder}: {CARD_FILE} is missing."
        raise InputError(msg, "Give a model's name or its folder.") from error
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        msg = f"{path} is not a model card ({error!r})."
        raise InputError(msg, "Export the model again.") from error


def file_sha256(path: Path) -> str:
    """Hex SHA-256 of a file, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


class DescribesFiles(Protocol):
    """The card of a model of any kind."""

    @property
    def name(self) -> str:
        """The model's."""
        ...

    @property
    def files(self) -> Mapping[str, str]:
        """File name -> SHA-256."""
        ...


def check_files(folder: Path, card: DescribesFiles, names: tuple[str, ...]) -> None:
    """Refuse a model whose files are not those of its card.

    Raises
    ------
    InputError
        When a file is missing or its digest differs.
    """
    for name in names:
        path = folder / name
        if not path.is_file():
            msg = f"Model {card.name!r}: {name} is missing from {folder}."
            raise InputError(msg, "Install or export the model again.")
        if file_sha256(path) != card.files.get(name):
            msg = f"Model {card.name!r}: {name} is not the file its card describes."
            raise InputError(msg, "Install or export the model again.")


def user_models() -> Path:
    """The user's own folder of models, which need not be there yet.

    ``$XDG_DATA_HOME/bsa-vision/models``, with ``~/.local/share`` where the variable is not set.
    """
    named = Path(os.environ.get(DATA_HOME_VARIABLE, ""))
    # The XDG base directory specification has relative paths ignored.
    home = named if named.is_absolute() else Path.home() / ".local" / "share"
    return home / "bsa-vision" / "models"


def model_roots() -> tuple[Path, ...]:
    """Folders that hold models, the first to be looked in first.

    ``$BSA_VISION_MODELS``, the user's, the package's own, the repository's.
    """
    package = Path(__file__).resolve().parents[1]
    roots = [user_models(), package / "models", package.parents[1] / "models"]
    named = os.environ.get(MODELS_VARIABLE)
    if named:
        roots.insert(0, Path(named))
    return tuple(root for root in roots if _is_folder(root))


def _is_folder(path: Path) -> bool:
    """Whether it is a folder; one below a folder that must not be entered is none."""
    try:
        return path.is_dir()
    except OSError:
        return False


def list_models() -> tuple[str, ...]:
    """Names of the installed models, sorted."""
    return tuple(
        sorted({card.parent.name for root in model_roots() for card in root.glob(f"*/{CARD_FILE}")})
    )


def find_model(name_or_path: str | Path) -> Path:
    """Resolve a model's name, or a path to its folder, to the folder.

    Raises
    ------
    InputError
        When there is no such model; the message names those that are there.
    """
    given = Path(name_or_path)
    candidates = [given, *(root / given for root in model_roots())]
    for folder in candidates:
        if (folder / CARD_FILE).is_file():
            return folder
    known = ", ".join(list_models()) or "none"
    msg = f"There is no model {str(name_or_path)!r}; installed: {known}."
    raise InputError(msg, f"Give one of these, a model's folder, or set {MODELS_VARIABLE}.")
