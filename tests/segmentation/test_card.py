from dataclasses import replace
from pathlib import Path

import pytest

from bsa_vision.core.errors import InputError
from bsa_vision.segmentation.card import (
    MODELS_VARIABLE,
    SKIN_CLASSES,
    Architecture,
    ModelCard,
    check_files,
    file_sha256,
    find_model,
    list_models,
    read_card,
)

CARD = ModelCard(
    name="m",
    classes=SKIN_CLASSES,
    architecture=Architecture("tu-test_efficientnet", (8, 8, 8, 8)),
    long_side=128,
    multiple=32,
    mean=(1.0, 2.0, 3.0),
    std=(4.0, 5.0, 6.0),
    temperature=1.25,
    files={"network.bin": "00"},
    training={"minutes": 3},
)


def test_card_survives_writing_and_reading(tmp_path: Path) -> None:
    for card in (CARD, replace(CARD, mirrored=True, bias=(0.5,) * 7, area_power=2.0)):
        card.write(tmp_path)
        assert read_card(tmp_path) == card


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"name": "other"}, True),
        ({"training": {}}, True),
        ({"temperature": 1.26}, False),
        ({"bias": (0.0, 0.5)}, False),
        ({"mirrored": False}, True),
        ({"mirrored": True}, False),
        ({"area_power": 1.0}, True),
        ({"area_power": 3.0}, False),
        ({"long_side": 256}, False),
        ({"files": {"network.bin": "01"}}, False),
        ({"classes": {0: "background", 1: "wound"}}, False),
    ],
)
def test_digest_covers_exactly_what_decides_the_output(
    change: dict[str, object], same: bool
) -> None:
    assert (replace(CARD, **change).digest == CARD.digest) is same


def test_only_the_skin_states_score_a_series() -> None:
    assert CARD.scores_skin
    assert not replace(CARD, classes={0: "background", 1: "wound"}).scores_skin


def test_models_are_found_by_name_and_by_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "m").mkdir()
    CARD.write(tmp_path / "m")
    assert find_model(tmp_path / "m") == tmp_path / "m"
    monkeypatch.setenv(MODELS_VARIABLE, str(tmp_path))
    assert find_model("m") == tmp_path / "m"
    assert "m" in list_models()
    with pytest.raises(InputError, match=r"no model 'n'; installed: .*m"):
        find_model("n")


@pytest.mark.parametrize("text", ["{", "[]", '{"format": "other/1"}', '{"format": 3}'])
def test_broken_cards_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "card.json").write_text(text)
    with pytest.raises(InputError):
        read_card(tmp_path)


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "network.bin").write_bytes(b"abc")
    card = replace(CARD, files={"network.bin": file_sha256(tmp_path / "network.bin")})
    check_files(tmp_path, card, ("network.bin",))
    (tmp_path / "network.bin").write_bytes(b"abd")
    with pytest.raises(InputError, match="not the file its card describes"):
        check_files(tmp_path, card, ("network.bin",))
    with pytest.raises(InputError, match="missing"):
        check_files(tmp_path, card, ("network.xml",))
