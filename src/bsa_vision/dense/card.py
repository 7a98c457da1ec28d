"""The card of a model of dense placement. No torch.

A model is a folder: ``place_card.json`` (this record), ``weights.safetensors`` and the graph for
OpenVINO, ``network.xml`` and ``network.bin``. It lies where the models of segmentation do.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bsa_vision.core.errors import InputError
from bsa_vision.core.provenance import canonical_json, document_digest
from bsa_vision.segmentation.card import Architecture, model_roots

FORMAT = "bsa-vision-place-model/2"
CARD_FILE = "place_card.json"
#: The model that ships.
DEFAULT_PLACES = "places-3"


@dataclass(frozen=True)
class PlaceCard:
    """What a model of dense placement is and where it came from.

    Attributes
    ----------
    name : the folder's name.
    architecture : of the network below the views.
    long_side, multiple : see `segmentation.card.ModelCard`.
    files : file name -> SHA-256.
    training : settings, data and held-out figures; decides nothing at run time.
    """

    name: str
    architecture: Architecture
    long_side: int
    multiple: int
    files: Mapping[str, str]
    training: Mapping[str, Any] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 over everything that decides the output."""
        document = self._document()
        return document_digest({k: v for k, v in document.items() if k not in {"name", "training"}})

    def _document(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "name": self.name,
            "architecture": self.architecture.document(),
            "input": {"long_side": self.long_side, "multiple": self.multiple},
            "files": dict(self.files),
            "training": dict(self.training),
        }

    def write(self, folder: Path) -> None:
        """Write the card; the same card gives the same bytes."""
        (folder / CARD_FILE).write_text(canonical_json(self._document()), encoding="utf-8")


def read_place_card(folder: Path) -> PlaceCard:
    """Read a model folder's card.

    Raises
    ------
    InputError
        When it is missing, not readable or of another format.
    """
    path = folder / CARD_FILE
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw["format"] != FORMAT:
            msg = f"{path}: need format {FORMAT!r}, got {raw['format']!r}."
            raise InputError(msg, "Use a model written by this version of the program.")
        return PlaceCard(
            name=str(raw["name"]),
            architecture=Architecture.from_document(raw["architecture"]),
            long_side=int(raw["input"]["long_side"]),
            multiple=int(raw["input"]["multiple"]),
            files=dict(raw["files"]),
            training=raw["training"],
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{path} is not the card of a model of placement ({error!r})."
        raise InputError(msg, "Install the program again, or export the model again.") from error


def place_model_id(name_or_path: str | Path) -> str:
    """Name and digest of a model, as results name it.

    Raises
    ------
    InputError
        When there is no such model.
    """
    card = read_place_card(find_place_model(name_or_path))
    return f"{card.name} {card.digest}"


def find_place_model(name_or_path: str | Path) -> Path:
    """Resolve a model's name, or a path to its folder, to the folder.

    Raises
    ------
    InputError
        When there is no such model.
    """
    given = Path(name_or_path)
    for folder in (given, *(root / given for root in model_roots())):
        if (folder / CARD_FILE).is_file():
            return folder
    msg = f"There is no model of placement {str(name_or_path)!r}."
    raise InputError(msg, "Install the program again, or give the model's folder.")
