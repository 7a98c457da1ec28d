"""The user's models: those installed, and which one is the default. No torch.

``default.json`` in the user's folder of models says which model is used where none is named::

    {"format": "bsa-vision-default-model/1",
     "entries": [{"name": "ward-2", "digest": "…", "since": "2026-11-22T16:00:00+00:00",
                  "replaced": {"name": "skin-states-1", "digest": "…"}, "gate": {…}}]}

Entries are only ever added; the last one counts, and without any the shipped model does. ``gate``
is the verdict by which the model became the default.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bsa_vision.core.errors import InputError
from bsa_vision.core.files import write_whole
from bsa_vision.core.provenance import canonical_json
from bsa_vision.segmentation.card import (
    CARD_FILE,
    DATA_HOME_VARIABLE,
    DEFAULT_MODEL,
    MODEL_FILES,
    ModelCard,
    check_files,
    find_model,
    list_models,
    model_roots,
    read_card,
    user_models,
)
from bsa_vision.segmentation.model_card_text import CARD_TEXT_FILE

DEFAULT_FILE = "default.json"
DEFAULT_FORMAT = "bsa-vision-default-model/1"


@dataclass(frozen=True)
class ModelId:
    """Which model, whatever its name stands for elsewhere or later."""

    name: str
    digest: str

    def __str__(self) -> str:
        return f"{self.name} ({self.digest[:12]})"


@dataclass(frozen=True)
class InstalledModel:
    """What a model's name stands for.

    Attributes
    ----------
    name : of its folder.
    root : the folder it lies in.
    card : None where it cannot be read.
    fault : why the model cannot be used, or None.
    """

    name: str
    root: Path
    card: ModelCard | None
    fault: str | None


@dataclass(frozen=True)
class Installation:
    """Where a model is installed; `new` when it was not there before, or not whole."""

    model: ModelId
    folder: Path
    new: bool


def default_model() -> str:
    """Name of the model that is used where none is named.

    Raises
    ------
    InputError
        When the record of the default cannot be read, or its model is gone or another one now.
    """
    recorded = _recorded_default()
    if recorded is None:
        return DEFAULT_MODEL
    remedy = (
        "Install that model again (`bsa-vision models install FOLDER`), name a model with --model, "
        f"or move {_default_file()} away to go back to {DEFAULT_MODEL!r}."
    )
    try:
        folder = find_model(recorded.name)
        digest = read_card(folder).digest
    except InputError as error:
        msg = f"The default model {recorded.name!r} cannot be used: {error.reason}"
        raise InputError(msg, remedy) from error
    if digest != recorded.digest:
        msg = (
            f"The default model is {recorded}, but {folder} holds another of that name "
            f"({digest[:12]})."
        )
        raise InputError(msg, remedy)
    return recorded.name


def default_identity() -> ModelId:
    """Name and digest of the default model.

    Raises
    ------
    InputError
        When there is no such model, or see `default_model`.
    """
    name = default_model()
    return ModelId(name, read_card(find_model(name)).digest)


def record_default(
    chosen: ModelId, replaced: ModelId, gate: Mapping[str, Any], since: datetime
) -> None:
    """Make a model the default.

    Parameters
    ----------
    chosen : the new default.
    replaced : the default it was compared with.
    gate : the verdict of the comparison.
    since : when, with a time zone.

    Raises
    ------
    InputError
        When another model has become the default since, or the record cannot be written.
    """
    if (now := default_identity()) != replaced:
        msg = f"The default model is {now} by now; {chosen} was compared with {replaced}."
        raise InputError(msg, "Promote it again, against the new default.")
    entry = {
        **asdict(chosen),
        "since": since.isoformat(timespec="seconds"),
        "replaced": asdict(replaced),
        "gate": gate,
    }
    document = {"format": DEFAULT_FORMAT, "entries": [*_entries(), entry]}
    file = _default_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, canonical_json(document).encode())
    except OSError as error:
        msg = f"{file}: cannot be written: {error.strerror}."
        raise InputError(msg, _choose_home()) from None


def checked_card(folder: Path) -> ModelCard:
    """The card of a model of which every file is the one that the card describes.

    Raises
    ------
    InputError
        When there is no card or a file is missing or changed.
    """
    card = read_card(folder)
    check_files(folder, card, MODEL_FILES)
    return card


def installed_folder(name: str) -> Path:
    """The folder of an installed model; a folder elsewhere is none.

    Raises
    ------
    InputError
        When no model of that name is installed; the message names those that are.
    """
    known = list_models()
    if name not in known:
        msg = f"There is no installed model {name!r}; installed: {', '.join(known) or 'none'}."
        raise InputError(msg, "Install it first: `bsa-vision models install FOLDER`.")
    return next(root / name for root in model_roots() if (root / name / CARD_FILE).is_file())


def installed_models() -> tuple[InstalledModel, ...]:
    """What every model's name stands for, and whether it is whole, by name."""
    return tuple(_looked_at(installed_folder(name)) for name in list_models())


def install_model(folder: Path) -> Installation:
    """Copy a model into the user's folder under the name on its card, whole or not at all.

    A copy there that is damaged is replaced. A model that is installed whole, there or elsewhere,
    is left where it is.

    Raises
    ------
    InputError
        When the model is damaged, another model of its name is installed, its name is no name of a
        folder, or the user's folder cannot be written.
    """
    card = checked_card(folder)
    if not card.name or Path(card.name).name != card.name or card.name.startswith("."):
        msg = f"{folder}: needed a model's name that can name a folder, got {card.name!r}."
        raise InputError(msg, "Export the model again, into a folder with a name.")
    identity = ModelId(card.name, card.digest)
    present = [
        root / card.name for root in model_roots() if (root / card.name / CARD_FILE).is_file()
    ]
    for other in present:
        _refuse_another(other, card)
    # A copy of the shipped model would stand in the way of the next version's of that name.
    if whole := [one for one in present if _looked_at(one).fault is None]:
        return Installation(identity, whole[0], new=False)
    target = user_models() / card.name
    try:
        _copy_whole(folder, target)
    except OSError as error:
        msg = f"{target}: cannot be written: {error.strerror or error}."
        raise InputError(msg, _choose_home()) from None
    return Installation(identity, target, new=True)


def _refuse_another(present: Path, card: ModelCard) -> None:
    """Refuse to install where the name stands for another model."""
    try:
        digest = read_card(present).digest
    except InputError as error:
        raise InputError(error.reason, f"Remove {present}, then install again.") from error
    if digest != card.digest:
        msg = (
            f"{present} holds another model named {card.name!r}: digest {digest[:12]}, "
            f"and this one has {card.digest[:12]}."
        )
        raise InputError(msg, "Export this one again into a folder of another name.")


def _copy_whole(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    # On the same disk as the target, so that what is checked gets its place in one step; two levels
    # down, so that it is not found as a model before.
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".") as scratch:
        fresh = Path(scratch) / "new"
        fresh.mkdir()
        for name in (*MODEL_FILES, CARD_TEXT_FILE, CARD_FILE):
            # The card for people is the only file that a model can do without.
            if name != CARD_TEXT_FILE or (source / name).is_file():
                shutil.copyfile(source / name, fresh / name)
        checked_card(fresh)
        if target.exists():
            target.rename(Path(scratch) / "replaced")
        fresh.rename(target)


def _looked_at(folder: Path) -> InstalledModel:
    card = None
    try:
        card = read_card(folder)
        check_files(folder, card, MODEL_FILES)
    except InputError as error:
        return InstalledModel(folder.name, folder.parent, card, error.reason)
    except OSError as error:
        reason = f"{folder} cannot be read: {error.strerror}."
        return InstalledModel(folder.name, folder.parent, card, reason)
    return InstalledModel(folder.name, folder.parent, card, None)


def _default_file() -> Path:
    return user_models() / DEFAULT_FILE


def _recorded_default() -> ModelId | None:
    entries = _entries()
    return ModelId(entries[-1]["name"], entries[-1]["digest"]) if entries else None


def _entries() -> list[dict[str, Any]]:
    """Which models have been the default, the last one being it."""
    file = _default_file()
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        entries: list[dict[str, Any]] = document["entries"]
        sound = document["format"] == DEFAULT_FORMAT and all(
            isinstance(entry[key], str) for entry in entries for key in ("name", "digest")
        )
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        msg = f"{file}: cannot be read: {error.strerror}."
        raise InputError(msg, f"Name a model with --model. {_choose_home()}") from None
    except (ValueError, KeyError, TypeError):
        sound = False
    if not sound:
        msg = f"{file} is no record of the default model (format {DEFAULT_FORMAT!r})."
        raise InputError(msg, f"Name a model with --model, or move {file} away.")
    return entries


def _choose_home() -> str:
    return f"Make it accessible, or set {DATA_HOME_VARIABLE} to a folder that is."
