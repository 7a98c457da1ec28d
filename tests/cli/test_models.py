import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.segmentation.drawn_models import CARD, LIGHT, write_files, write_locked, write_model
from typer.testing import CliRunner, Result

from bsa_vision.cli.console import ExitCode
from bsa_vision.cli.main import app
from bsa_vision.core.errors import InputError
from bsa_vision.segmentation import predict
from bsa_vision.segmentation.card import DEFAULT_MODEL


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Wide enough for the tables, whatever the folders' names.
    monkeypatch.setenv("COLUMNS", "300")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "bsa-vision" / "models"


def _models(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["models", *map(str, arguments)])


def _rows(listed: Result) -> dict[str, list[str]]:
    """Cells by name; the first is the mark of the default."""
    assert listed.exit_code == ExitCode.DONE, listed.output
    rows = [line.split() for line in listed.stdout.splitlines()]
    return {row[1] if row[0] == "*" else row[0]: row for row in rows if row}


def test_a_model_is_installed_and_listed(models: Path, tmp_path: Path) -> None:
    card = write_files(tmp_path / "ward-2")
    done = _models("install", tmp_path / "ward-2")
    assert done.exit_code == ExitCode.DONE, done.output
    said = f"ward-2 ({card.digest[:12]}) in {models / 'ward-2'}\n"
    assert done.stdout == f"Installed: {said}"
    assert _models("install", tmp_path / "ward-2").stdout == f"Already installed: {said}"
    rows = _rows(_models("list"))
    assert rows["ward-2"] == ["ward-2", card.digest[:12], "skin", "states", "ok", str(models)]
    assert rows[DEFAULT_MODEL][0] == "*"
    document = json.loads(_models("list", "--json").stdout)
    assert document["models"][-1]["digest"] == card.digest


def test_a_damaged_model_is_listed_with_the_reason_and_not_installed(
    models: Path, tmp_path: Path
) -> None:
    write_files(tmp_path / "ward-2")
    assert _models("install", tmp_path / "ward-2").exit_code == ExitCode.DONE
    (models / "ward-2" / "network.bin").write_bytes(b"other")
    listed = _models("list")
    assert "damaged" in _rows(listed)["ward-2"]
    assert "ward-2: Model 'ward-2': network.bin is not the file" in listed.stderr
    (tmp_path / "ward-2" / "network.bin").unlink()
    refused = _models("install", tmp_path / "ward-2")
    assert isinstance(refused.exception, InputError)
    assert "network.bin is missing" in str(refused.exception)


def test_a_name_in_brackets_is_shown_as_it_is(tmp_path: Path) -> None:
    write_files(tmp_path / "[ward]")
    assert _models("install", tmp_path / "[ward]").exit_code == ExitCode.DONE
    assert "[ward]" in _rows(_models("list"))


def test_another_model_of_the_same_name_is_bad_input(tmp_path: Path) -> None:
    write_files(tmp_path / "ward-2")
    write_files(tmp_path / "other" / "ward-2", b"b")
    assert _models("install", tmp_path / "ward-2").exit_code == ExitCode.DONE
    refused = _models("install", tmp_path / "other" / "ward-2")
    assert isinstance(refused.exception, InputError)
    assert "another model" in str(refused.exception)


def test_a_default_that_cannot_be_used_is_said(models: Path) -> None:
    models.mkdir(parents=True)
    (models / "default.json").write_text("[]")
    listed = _models("list")
    assert _rows(listed)[DEFAULT_MODEL][0] == DEFAULT_MODEL
    assert "no record of the default model" in listed.stderr


def test_promoting_needs_a_locked_set() -> None:
    done = _models("promote", "ward-2")
    assert done.exit_code == ExitCode.BAD_INPUT
    assert "--locked" in done.stderr


def test_promote_through_the_gate(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(predict, "GPU_DEVICE", Path("/dev/none"))
    monkeypatch.setenv("BSA_VISION_MODELS", str(tmp_path / "shipped"))
    write_model(tmp_path / "shipped" / DEFAULT_MODEL)
    good = write_model(tmp_path / "good", card=replace(CARD, temperature=1.5))
    bad = write_model(tmp_path / "bad", palettes=[LIGHT])
    locked = write_locked(tmp_path / "locked", {"light": 5, "dark": 4})
    (locked / "masks" / "p00_0.png").unlink()
    for name in ("good", "bad"):
        assert _models("install", tmp_path / name).exit_code == ExitCode.DONE

    refused = _models("promote", "bad", "--locked", locked)
    assert refused.exit_code == ExitCode.ALL_REFUSED, refused.output
    dark = next(line for line in refused.stdout.splitlines() if "skin_tone: dark" in line)
    assert dark.split()[2:4] == ["4", "8"]
    assert dark.rstrip().endswith("WORSE, few patients")
    last = refused.stdout.splitlines()[-1]
    assert last.startswith(f"Not promoted: bad ({bad.digest[:12]}) may be worse than")
    assert "skin_tone: dark" in last
    assert "Left out: p00_0: there is no mask" in refused.stderr
    assert not (models / "default.json").exists()

    promoted = _models("promote", "good", "--locked", locked, "--json")
    assert promoted.exit_code == ExitCode.DONE, promoted.output
    document = json.loads(promoted.stdout)
    assert (document["passed"], document["candidate"]["digest"]) == (True, good.digest)
    assert _rows(_models("list"))["good"][0] == "*"
    before = (models / "default.json").read_bytes()
    assert _models("promote", "bad", "--locked", locked).exit_code == ExitCode.ALL_REFUSED
    assert (models / "default.json").read_bytes() == before
    assert isinstance(_models("promote", "good", "--locked", locked).exception, InputError)
    assert isinstance(_models("promote", "none", "--locked", locked).exception, InputError)
