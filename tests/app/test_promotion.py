import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from tests.segmentation.conftest import (  # noqa: F401  (fixtures)
    model_folder,
    trained_run,
    training_folder,
)
from tests.segmentation.drawn_models import CARD, LIGHT, write_locked, write_model

from bsa_vision.app import promotion
from bsa_vision.app.masks import predict_masks
from bsa_vision.app.progress import ProgressEvent, silent
from bsa_vision.app.promotion import promote_model
from bsa_vision.app.score import run_settings
from bsa_vision.core.errors import InputError
from bsa_vision.segmentation import predict
from bsa_vision.segmentation.card import (
    DEFAULT_MODEL,
    MODEL_FILES,
    SKIN_CLASSES,
    WEIGHTS_FILE,
    file_sha256,
    read_card,
)
from bsa_vision.segmentation.dataset import read_training_folder
from bsa_vision.segmentation.export import build_network, write_graph
from bsa_vision.segmentation.gate import pooled_dice
from bsa_vision.segmentation.mask_file import read_mask
from bsa_vision.segmentation.metrics import confusion
from bsa_vision.segmentation.predict import load_segmenter
from bsa_vision.segmentation.registry import default_model, install_model


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models: the present default, one as good, one that knows light skin alone; and photos."""
    root = tmp_path_factory.mktemp("made")
    write_model(root / DEFAULT_MODEL)
    write_model(root / "as-good", card=replace(CARD, temperature=1.5))
    write_model(root / "light-only", palettes=[LIGHT])
    write_locked(root / "locked")
    return root


@pytest.fixture
def models(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder with the models installed; the drawn default stands for the shipped one."""
    monkeypatch.setattr(predict, "GPU_DEVICE", Path("/dev/none"))  # their weights are not for torch
    (tmp_path / "shipped").mkdir()
    (tmp_path / "shipped" / DEFAULT_MODEL).symlink_to(made / DEFAULT_MODEL)
    monkeypatch.setenv("BSA_VISION_MODELS", str(tmp_path / "shipped"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    install_model(made / "as-good")
    install_model(made / "light-only")
    return tmp_path / "data" / "bsa-vision" / "models"


def _strata(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {stratum["name"]: stratum for stratum in document["strata"]}


def test_a_model_that_is_as_good_becomes_the_default(made: Path, models: Path) -> None:
    events: list[ProgressEvent] = []
    document = promote_model("as-good", made / "locked", events.append)
    assert document["passed"]
    assert document["format"] == "bsa-vision-gate/1"
    assert [(event.done, event.total) for event in events] == [(i, 26) for i in range(1, 27)]
    strata = _strata(document)
    assert list(strata) == [
        "all", "skin_tone: dark", "skin_tone: light", "skin_tone: tanned", "view: back",
        "view: front",
    ]  # fmt: skip
    assert [(s["patients"], s["images"]) for s in strata.values()] == [
        (13, 26), (5, 10), (6, 12), (2, 4), (13, 13), (13, 13),
    ]  # fmt: skip
    assert [name for name, s in strata.items() if s["few"]] == ["skin_tone: tanned"]
    # The models know every colour; only noise and the network's grid are left.
    assert all(stratum["current"] > 0.9 for stratum in strata.values())
    (entry,) = json.loads((models / "default.json").read_text())["entries"]
    assert entry["name"] == "as-good"
    assert entry["digest"] == read_card(made / "as-good").digest
    assert entry["replaced"]["digest"] == read_card(made / DEFAULT_MODEL).digest
    assert entry["gate"] == document
    assert default_model() == "as-good"
    assert load_segmenter().digest == entry["digest"]
    # The next scoring runs it, names it and does not take old results for its own.
    settings = run_settings("lund-browder", "auto", None)
    assert (settings.model, settings.model_digest) == ("as-good", entry["digest"])


@pytest.mark.usefixtures("models")
def test_the_figures_are_those_of_the_masks_that_predict_writes(made: Path, tmp_path: Path) -> None:
    document = promote_model("light-only", made / "locked", silent)
    folder = read_training_folder(made / "locked")
    for role in ("current", "candidate"):
        out = tmp_path / role
        predict_masks([made / "locked" / "images"], document[role]["name"], out, silent)
        tables = [
            confusion(folder.read_codes(name), read_mask(out / f"{name}.png"), tuple(SKIN_CLASSES))
            for name in folder.images
        ]
        expected = float(pooled_dice(np.sum(tables, axis=0)))
        assert document["strata"][0][role] == expected


def test_a_model_that_does_not_know_dark_skin_is_refused(made: Path, models: Path) -> None:
    document = promote_model("light-only", made / "locked", silent)
    assert not document["passed"]
    assert "skin_tone: dark" in document["failing"]
    strata = _strata(document)
    assert strata["skin_tone: dark"]["difference"] < -0.2
    assert strata["skin_tone: light"]["not_worse"]
    assert not (models / "default.json").exists()
    assert default_model() == DEFAULT_MODEL


def test_a_refusal_leaves_an_earlier_record_as_it_was(made: Path, models: Path) -> None:
    assert promote_model("as-good", made / "locked", silent)["passed"]
    before = (models / "default.json").read_bytes()
    document = promote_model("light-only", made / "locked", silent)
    assert document["current"]["name"] == "as-good"
    assert not document["passed"]
    assert (models / "default.json").read_bytes() == before


@pytest.mark.usefixtures("models")
def test_photos_that_cannot_be_compared_are_left_out_for_both_and_named(
    made: Path, tmp_path: Path
) -> None:
    locked = tmp_path / "locked"
    shutil.copytree(made / "locked", locked)
    whole = (locked / "images" / "p00_0.png").read_bytes()
    (locked / "images" / "p00_0.png").write_bytes(whole[: len(whole) // 2])
    (locked / "masks" / "p01_0.png").unlink()
    Image.new("RGB", (160, 120)).save(locked / "masks" / "p02_0.png")
    turned = Image.open(locked / "images" / "p03_0.png")
    exif = turned.getexif()
    exif[274] = 6
    turned.save(locked / "images" / "p03_0.png", exif=exif)
    document = promote_model("as-good", locked, silent)
    left_out = {photo["name"]: photo["reason"] for photo in document["locked"]["left_out"]}
    assert list(left_out) == ["p00_0", "p01_0", "p02_0", "p03_0"]
    assert "no mask" in left_out["p01_0"]
    assert "RGB" in left_out["p02_0"]
    assert "is 120x160 but its mask is 160x120" in left_out["p03_0"]
    assert document["locked"]["images"] == document["strata"][0]["images"] == 22


def _trained_on_it(made: Path, tmp_path: Path) -> tuple[str, Path]:
    digest = read_training_folder(made / "locked").digest()
    card = replace(CARD, temperature=1.7, training={"data": {"digest": digest}})
    write_model(tmp_path / "crammed", card=card)
    return install_model(tmp_path / "crammed").model.name, made / "locked"


def _trained_on_one_photo_of_it(made: Path, tmp_path: Path) -> tuple[str, Path]:
    photo = read_training_folder(made / "locked").photo_digests()[3]
    training = {"data": {"digest": "of another folder"}, "photos": [photo, "0" * 16]}
    card = replace(CARD, temperature=1.6, training=training)
    write_model(tmp_path / "peeked", card=card)
    return install_model(tmp_path / "peeked").model.name, made / "locked"


def _trained_on_who_knows_what(made: Path, tmp_path: Path) -> tuple[str, Path]:
    write_model(tmp_path / "unknown", card=replace(CARD, temperature=1.7, training={}))
    return install_model(tmp_path / "unknown").model.name, made / "locked"


def _other_classes(made: Path, tmp_path: Path) -> tuple[str, Path]:
    classes = {code: name.upper() for code, name in SKIN_CLASSES.items()}
    write_model(tmp_path / "loud", card=replace(CARD, classes=classes))
    return install_model(tmp_path / "loud").model.name, made / "locked"


def _locked_of_other_classes(made: Path, tmp_path: Path) -> tuple[str, Path]:
    shutil.copytree(made / "locked", tmp_path / "locked")
    listing = {"classes": {"0": "background", "1": "wound"}}
    (tmp_path / "locked" / "dataset.json").write_text(json.dumps(listing))
    return "as-good", tmp_path / "locked"


def _no_lesion(made: Path, tmp_path: Path) -> tuple[str, Path]:
    shutil.copytree(made / "locked", tmp_path / "locked")
    for mask in (tmp_path / "locked" / "masks").iterdir():
        Image.new("L", (160, 120)).save(mask)
    return "as-good", tmp_path / "locked"


def _damaged(made: Path, tmp_path: Path) -> tuple[str, Path]:
    installed = tmp_path / "data" / "bsa-vision" / "models" / "as-good"
    (installed / WEIGHTS_FILE).write_bytes(b"other")
    return "as-good", made / "locked"


def _unknown(made: Path, _: Path) -> tuple[str, Path]:
    return str(made / "as-good"), made / "locked"


def _default_itself(made: Path, _: Path) -> tuple[str, Path]:
    return DEFAULT_MODEL, made / "locked"


def _no_training_folder(_: Path, tmp_path: Path) -> tuple[str, Path]:
    return "as-good", tmp_path


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (_trained_on_it, "was trained on"),
        (_trained_on_one_photo_of_it, "was trained on 1 photos"),
        (_trained_on_who_knows_what, "does not say which data"),
        (_other_classes, "the default model have other classes"),
        (_locked_of_other_classes, "other classes: .*0 background, 1 wound"),
        (_no_lesion, "nothing to compare"),
        (_damaged, "weights.safetensors is not the file"),
        (_unknown, "no installed model"),
        (_default_itself, "is the default already"),
        (_no_training_folder, "dataset.json is missing"),
    ],
)
def test_what_makes_the_comparison_void_is_refused(
    made: Path,
    models: Path,
    tmp_path: Path,
    given: Callable[[Path, Path], tuple[str, Path]],
    message: str,
) -> None:
    name, locked = given(made, tmp_path)
    with pytest.raises(InputError, match=message):
        promote_model(name, locked, silent)
    assert not (models / "default.json").exists()


def test_where_no_photo_can_be_read_there_is_no_verdict(
    made: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refusal = promotion.Refused("photo_damaged", "Damaged.", "Take it again.")
    monkeypatch.setattr(promotion, "prepared_photo", lambda *_: refusal)
    with pytest.raises(InputError, match="no photo could be compared"):
        promote_model("as-good", made / "locked", silent)
    assert not (models / "default.json").exists()


def test_a_trained_model_is_not_replaced_by_one_with_damaged_weights(
    model_folder: Path,  # noqa: F811 - a fixture by its name
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    shipped = tmp_path / "shipped" / DEFAULT_MODEL
    shutil.copytree(model_folder, shipped)
    monkeypatch.setenv("BSA_VISION_MODELS", str(shipped.parent))
    locked = write_locked(tmp_path / "locked", {"light": 6})
    for name, loss, passed in (("barely", 1e-3, True), ("badly", 0.4, False)):
        _damage(model_folder, tmp_path / name, loss)
        install_model(tmp_path / name)
        document = promote_model(name, locked, silent)
        assert document["passed"] is passed
        assert default_model() == "barely"


def _damage(source: Path, folder: Path, loss: float) -> None:
    """The model exported again with noise on its weights, of this share of their spread."""
    shutil.copytree(source, folder)
    generator = torch.Generator().manual_seed(0)
    weights = {
        key: value
        if value.ndim < 2
        else (
            value + loss * value.float().std() * torch.randn(value.shape, generator=generator)
        ).to(value.dtype)
        for key, value in load_file(folder / WEIGHTS_FILE).items()
    }
    save_file(weights, folder / WEIGHTS_FILE)
    card = replace(read_card(source), name=folder.name)
    network = build_network(folder, card.architecture, len(card.classes), mirrored=card.mirrored)
    write_graph(network, card, folder)
    files = {name: file_sha256(folder / name) for name in MODEL_FILES}
    replace(card, files=files).write(folder)
