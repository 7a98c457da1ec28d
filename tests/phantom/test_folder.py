import json

import numpy as np
import pytest

from bsa_vision.core.errors import InputError
from bsa_vision.core.files import write_whole
from bsa_vision.phantom import folder
from bsa_vision.phantom.folder import claim_folder, textures_digest, write_picture


def test_the_same_settings_go_on_and_others_are_named(tmp_path):
    out = tmp_path / "new"
    for _ in range(2):
        claim_folder(out, {"seed": 1, "size": (3, 4)}, "*.jpg")
        (out / "photo.jpg").touch()
    record = json.loads((out / "rendering.json").read_text("utf-8"))
    assert record["size"] == [3, 4]
    assert record["software"]
    with pytest.raises(InputError, match=r"\(size, views\).*remove this one"):
        claim_folder(out, {"seed": 1, "size": (4, 3), "views": []}, "*.jpg")


def test_another_version_of_the_software_is_another_setting(tmp_path, monkeypatch):
    claim_folder(tmp_path, {"seed": 1}, "*.jpg")
    monkeypatch.setattr(folder, "__version__", "999")
    with pytest.raises(InputError, match="software"):
        claim_folder(tmp_path, {"seed": 1}, "*.jpg")


@pytest.mark.parametrize("text", [b"", b"[1]", b"\xff"])
def test_a_record_that_cannot_be_read_is_refused(tmp_path, text):
    (tmp_path / "rendering.json").write_bytes(text)
    with pytest.raises(InputError, match="cannot be read"):
        claim_folder(tmp_path, {"seed": 1}, "*.jpg")


def test_photos_without_a_record_are_refused_and_other_files_are_not(tmp_path):
    (tmp_path / "notes.txt").touch()
    claim_folder(tmp_path, {}, "*.jpg")
    (tmp_path / "rendering.json").unlink()
    (tmp_path / "photo.jpg").touch()
    with pytest.raises(InputError, match="holds photos"):
        claim_folder(tmp_path, {}, "*.jpg")
    assert not (tmp_path / "rendering.json").exists()


def test_textures_are_told_apart_by_name_and_content(tmp_path):
    digests = {textures_digest(None), textures_digest(tmp_path)}
    (tmp_path / "a.png").write_bytes(b"1")
    digests.add(textures_digest(tmp_path))
    (tmp_path / "a.png").write_bytes(b"2")
    digests.add(textures_digest(tmp_path))
    (tmp_path / "a.png").rename(tmp_path / "b.png")
    digests.add(textures_digest(tmp_path))
    assert len(digests) == 5


def test_what_cannot_be_written_leaves_nothing_behind(tmp_path):
    (tmp_path / "f.json").mkdir()  # in the way
    with pytest.raises(OSError, match="directory"):
        write_whole(tmp_path / "f.json", b"{}")
    assert [path.name for path in tmp_path.iterdir()] == ["f.json"]


def test_a_picture_that_cannot_be_encoded_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(folder.cv2, "imencode", lambda *_: (False, None))
    with pytest.raises(OSError, match="could not be encoded"):
        write_picture(tmp_path / "a.png", np.zeros((2, 2), np.uint8))
    assert not list(tmp_path.iterdir())
