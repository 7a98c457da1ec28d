import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.segmentation.drawn_models import write_files

from bsa_vision.core.errors import InputError
from bsa_vision.segmentation import registry
from bsa_vision.segmentation.card import (
    DEFAULT_MODEL,
    find_model,
    list_models,
    model_roots,
    read_card,
    user_models,
)
from bsa_vision.segmentation.registry import (
    ModelId,
    default_identity,
    default_model,
    install_model,
    installed_folder,
    installed_models,
    record_default,
)

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's folder of models, not there yet."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "bsa-vision" / "models"


def _installed(tmp_path: Path, name: str, content: bytes = b"a") -> ModelId:
    write_files(tmp_path / name, content)
    return install_model(tmp_path / name).model


def _files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_users_folder_follows_the_xdg_specification(
    models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert user_models() == models
    for ignored in ("", "relative/folder"):
        monkeypatch.setenv("XDG_DATA_HOME", ignored)
        assert user_models() == Path.home() / ".local/share/bsa-vision/models"


def test_the_users_models_come_after_the_variables_and_before_the_shipped(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models.mkdir(parents=True)
    monkeypatch.setenv("BSA_VISION_MODELS", str(tmp_path))
    roots = model_roots()
    assert roots[:2] == (tmp_path, models)
    assert (roots[-1] / DEFAULT_MODEL).is_dir()


class TestInstall:
    def test_copies_the_models_files_and_no_others(self, models: Path, tmp_path: Path) -> None:
        source = tmp_path / "ward-2"
        card = write_files(source)
        (source / "run").mkdir()
        (source / "run" / "checkpoint.pt").write_bytes(b"large")
        done = install_model(source)
        assert done.new
        assert done.folder == models / "ward-2" == find_model("ward-2")
        assert done.model == ModelId("ward-2", card.digest)
        shutil.rmtree(source / "run")
        assert _files(done.folder) == _files(source)
        assert [path.name for path in models.iterdir()] == ["ward-2"]

    def test_the_name_is_the_cards(self, models: Path, tmp_path: Path) -> None:
        write_files(tmp_path / "copy of ward-2", name="ward-2")
        assert install_model(tmp_path / "copy of ward-2").folder == models / "ward-2"

    def test_again_changes_nothing(self, models: Path, tmp_path: Path) -> None:
        _installed(tmp_path, "ward-2")
        before = (models / "ward-2").stat()
        again = install_model(tmp_path / "ward-2")
        assert not again.new
        assert (models / "ward-2").stat() == before

    def test_the_shipped_model_is_not_copied(self, models: Path) -> None:
        shipped = find_model(DEFAULT_MODEL)
        done = install_model(shipped)
        assert (done.folder, done.new) == (shipped, False)
        assert not models.exists()

    def test_another_model_of_the_name_is_refused(self, models: Path, tmp_path: Path) -> None:
        _installed(tmp_path, "ward-2")
        before = _files(models / "ward-2")
        write_files(tmp_path / "other" / "ward-2", b"b")
        with pytest.raises(InputError, match="another model named 'ward-2'"):
            install_model(tmp_path / "other" / "ward-2")
        assert _files(models / "ward-2") == before

    def test_the_shipped_models_name_is_taken(self, models: Path, tmp_path: Path) -> None:
        write_files(tmp_path / DEFAULT_MODEL)
        with pytest.raises(InputError, match="another model"):
            install_model(tmp_path / DEFAULT_MODEL)
        assert not models.exists()

    @pytest.mark.parametrize("damage", ["changed", "missing", "no card"])
    def test_a_damaged_model_is_refused_whole(
        self, models: Path, tmp_path: Path, damage: str
    ) -> None:
        source = tmp_path / "ward-2"
        write_files(source)
        if damage == "changed":
            (source / "weights.safetensors").write_bytes(b"A")
        else:
            (source / ("network.bin" if damage == "missing" else "card.json")).unlink()
        with pytest.raises(InputError):
            install_model(source)
        assert not models.exists()

    def test_a_damaged_copy_is_replaced(self, models: Path, tmp_path: Path) -> None:
        _installed(tmp_path, "ward-2")
        (models / "ward-2" / "network.bin").write_bytes(b"A")
        assert install_model(tmp_path / "ward-2").new
        assert _files(models / "ward-2") == _files(tmp_path / "ward-2")
        assert [path.name for path in models.iterdir()] == ["ward-2"]

    def test_a_copy_whose_card_cannot_be_read_is_for_the_user_to_remove(
        self, models: Path, tmp_path: Path
    ) -> None:
        _installed(tmp_path, "ward-2")
        (models / "ward-2" / "card.json").write_text("{")
        with pytest.raises(InputError, match=r"Remove .*ward-2"):
            install_model(tmp_path / "ward-2")

    @pytest.mark.parametrize("name", ["", "..", "../up", "/up", ".hidden", "a/b"])
    def test_a_name_that_leads_elsewhere_is_refused(
        self, models: Path, tmp_path: Path, name: str
    ) -> None:
        write_files(tmp_path / "ward-2", name=name)
        with pytest.raises(InputError, match="can name a folder"):
            install_model(tmp_path / "ward-2")
        assert not models.exists()

    def test_a_full_disk_leaves_nothing(
        self, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def copy(source: Path, target: Path) -> None:
            if source.name == "network.xml":
                raise OSError(28, "No space left on device")
            target.write_bytes(source.read_bytes())

        write_files(tmp_path / "ward-2")
        monkeypatch.setattr(registry.shutil, "copyfile", copy)
        with pytest.raises(InputError, match="No space left"):
            install_model(tmp_path / "ward-2")
        assert list(models.iterdir()) == []

    def test_what_changes_while_it_is_copied_is_not_installed(
        self, models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_files(tmp_path / "ward-2")
        monkeypatch.setattr(
            registry.shutil, "copyfile", lambda _, target: target.write_bytes(b"half")
        )
        with pytest.raises(InputError):
            install_model(tmp_path / "ward-2")
        assert list(models.iterdir()) == []


def test_each_name_is_looked_at_where_it_is_found_first(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _installed(tmp_path, "a")
    _installed(tmp_path, "b")
    (models / "b" / "network.xml").write_bytes(b"A")
    write_files(tmp_path / "first" / "c")
    write_files(tmp_path / "first" / "a", b"z")
    (tmp_path / "first" / "c" / "card.json").write_text("{")
    monkeypatch.setenv("BSA_VISION_MODELS", str(tmp_path / "first"))
    a, b, c, *shipped = installed_models()
    assert [model.name for model in (a, b, c)] == ["a", "b", "c"]
    assert DEFAULT_MODEL in {model.name for model in shipped}
    assert not [model.fault for model in shipped if model.fault]
    assert (a.root, a.fault) == (tmp_path / "first", None)
    assert b.card is not None
    assert "network.xml is not the file" in (b.fault or "")
    assert c.card is None
    assert "not a model card" in (c.fault or "")
    assert shipped[0].root not in (models, tmp_path / "first")


@pytest.mark.parametrize("name", ["ward-2", "../data/bsa-vision/models/a", "."])
def test_only_a_name_is_an_installed_model(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    _installed(tmp_path, "a")
    write_files(tmp_path / "here" / "ward-2")
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(InputError, match=r"no installed model .*installed: a, "):
        installed_folder(name)
    assert installed_folder("a") == models / "a"


class TestDefault:
    def test_without_a_record_it_is_the_shipped_model(self, models: Path) -> None:
        assert default_model() == DEFAULT_MODEL
        assert default_identity() == ModelId(
            DEFAULT_MODEL, read_card(find_model(DEFAULT_MODEL)).digest
        )
        assert not models.exists()

    def test_the_last_entry_counts_and_none_is_lost(self, models: Path, tmp_path: Path) -> None:
        a, b = _installed(tmp_path, "a"), _installed(tmp_path, "b", b"b")
        shipped = default_identity()
        record_default(a, shipped, {"passed": True}, NOON)
        assert default_identity() == a
        first = json.loads((models / "default.json").read_text())["entries"]
        record_default(b, a, {"passed": True, "number": 2}, NOON)
        assert default_model() == "b"
        document = json.loads((models / "default.json").read_text())
        assert document["format"] == "bsa-vision-default-model/1"
        assert document["entries"][:1] == first
        assert document["entries"][1] == {
            "name": "b",
            "digest": b.digest,
            "since": "2026-11-22T12:00:00+00:00",
            "replaced": {"name": "a", "digest": a.digest},
            "gate": {"passed": True, "number": 2},
        }
        assert {"a", "b", DEFAULT_MODEL} <= set(list_models())

    def test_a_default_that_changed_meanwhile_is_not_replaced(
        self, models: Path, tmp_path: Path
    ) -> None:
        a, b = _installed(tmp_path, "a"), _installed(tmp_path, "b", b"b")
        shipped = default_identity()
        record_default(a, shipped, {}, NOON)
        before = (models / "default.json").read_bytes()
        with pytest.raises(InputError, match=r"The default model is a .* by now"):
            record_default(b, shipped, {}, NOON)
        assert (models / "default.json").read_bytes() == before

    def test_a_default_that_is_gone_is_said(self, models: Path, tmp_path: Path) -> None:
        record_default(_installed(tmp_path, "a"), default_identity(), {}, NOON)
        shutil.rmtree(models / "a")
        with pytest.raises(
            InputError, match=r"default model 'a' cannot be used: .*no model 'a'"
        ) as e:
            default_model()
        assert "models install" in e.value.remedy
        assert str(models / "default.json") in e.value.remedy
        # What the message says helps.
        install_model(tmp_path / "a")
        assert default_model() == "a"

    @pytest.mark.usefixtures("models")
    def test_another_model_of_its_name_is_not_used(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        record_default(_installed(tmp_path, "a"), default_identity(), {}, NOON)
        write_files(tmp_path / "other" / "a", b"b")
        monkeypatch.setenv("BSA_VISION_MODELS", str(tmp_path / "other"))
        with pytest.raises(InputError, match="holds another of that name"):
            default_model()

    @pytest.mark.parametrize(
        "text",
        [
            "{",
            "[]",
            '{"format": "other/1", "entries": []}',
            '{"format": "bsa-vision-default-model/1"}',
            '{"format": "bsa-vision-default-model/1", "entries": 3}',
            '{"format": "bsa-vision-default-model/1", "entries": [{"name": "a"}]}',
            '{"format": "bsa-vision-default-model/1", "entries": [{"name": "a", "digest": 3}]}',
        ],
    )
    def test_a_record_that_cannot_be_read_is_never_taken_for_none(
        self, models: Path, text: str
    ) -> None:
        models.mkdir(parents=True)
        (models / "default.json").write_text(text)
        with pytest.raises(InputError, match="no record of the default model"):
            default_model()

    def test_a_record_that_cannot_be_written_is_an_input_error(
        self, models: Path, tmp_path: Path
    ) -> None:
        a = _installed(tmp_path, "a")
        (models / f".default.json.{os.getpid()}.part").mkdir()
        with pytest.raises(InputError, match="cannot be written"):
            record_default(a, default_identity(), {}, NOON)
        assert default_model() == DEFAULT_MODEL
