from pathlib import Path

import pytest
from tests.segmentation.drawn_models import write_files

from bsa_vision.app.models import install, models_document
from bsa_vision.segmentation.card import DEFAULT_MODEL


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "bsa-vision" / "models"


def test_every_model_is_listed_with_its_state(models: Path, tmp_path: Path) -> None:
    card = write_files(tmp_path / "ward-2")
    assert install(tmp_path / "ward-2").new
    document = models_document()
    assert document["format"] == "bsa-vision-models/1"
    assert document["default"] == {"name": DEFAULT_MODEL, "reason": None}
    *_, shipped, ward = document["models"]
    assert (shipped["name"], shipped["default"], shipped["state"]) == (DEFAULT_MODEL, True, "ok")
    assert ward == {
        "name": "ward-2",
        "digest": card.digest,
        "default": False,
        "scores_skin": True,
        "classes": {str(code): name for code, name in card.classes.items()},
        "state": "ok",
        "reason": None,
        "root": str(models),
    }
    (models / "ward-2" / "card.json").write_text("{")
    damaged = models_document()["models"][-1]
    assert damaged["name"] == "ward-2"
    assert (damaged["state"], damaged["digest"], damaged["classes"]) == ("damaged", None, None)
    assert "card.json is not a model card" in damaged["reason"]


def test_a_default_that_cannot_be_used_does_not_stop_the_list(models: Path) -> None:
    models.mkdir(parents=True)
    (models / "default.json").write_text("{")
    document = models_document()
    assert document["default"]["name"] is None
    assert "default.json" in document["default"]["reason"]
    assert {model["default"] for model in document["models"]} == {False}
