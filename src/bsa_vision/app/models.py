"""The installed models: listed, and added to."""

from pathlib import Path
from typing import Any

from bsa_vision.core.errors import InputError
from bsa_vision.segmentation.registry import (
    Installation,
    InstalledModel,
    default_model,
    install_model,
    installed_models,
)

MODELS_FORMAT = "bsa-vision-models/1"


def models_document() -> dict[str, Any]:
    """The installed models and the default as a JSON-able document.

    A default that cannot be used has no name but a reason; a damaged model has a reason too.
    """
    default, reason = None, None
    try:
        default = default_model()
    except InputError as error:
        reason = str(error)
    return {
        "format": MODELS_FORMAT,
        "default": {"name": default, "reason": reason},
        "models": [_model(model, model.name == default) for model in installed_models()],
    }


def install(folder: Path) -> Installation:
    """Copy a model into the user's folder, whole or not at all; see `registry.install_model`.

    Raises
    ------
    InputError
        When the model is damaged, another of its name is installed, or it cannot be written.
    """
    return install_model(folder)


def _model(model: InstalledModel, default: bool) -> dict[str, Any]:
    card = model.card
    return {
        "name": model.name,
        "digest": None if card is None else card.digest,
        "default": default,
        "scores_skin": None if card is None else card.scores_skin,
        "classes": None if card is None else {str(c): name for c, name in card.classes.items()},
        "state": "ok" if model.fault is None else "damaged",
        "reason": model.fault,
        "root": str(model.root),
    }
