from pathlib import Path
from typing import Any

import pytest

from bsa_vision.app import phantom
from bsa_vision.app.phantom import make_phantom, render_phantom
from bsa_vision.app.progress import ProgressEvent, silent
from bsa_vision.core.errors import InputError
from bsa_vision.phantom.folder import RECORD


def test_refuses_to_render_into_a_folder_that_holds_something(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="new or empty"):
        make_phantom(tmp_path, seed=1, small=True, workers=1, progress=silent)
    with pytest.raises(InputError, match="new or empty"):
        make_phantom(tmp_path / "notes.txt", seed=1, small=True, workers=1, progress=silent)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(("small", "views"), [(True, 5), (False, 14)])
def test_what_is_rendered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: bool, views: int
) -> None:
    seen: list[Any] = []

    def render_series(out: Path, *plan: Any, workers: int, progress: Any) -> Path:
        seen.extend((*plan, workers))
        progress(1, 2)
        return out / "series.json"

    monkeypatch.setattr(phantom, "render_series", render_series)
    events: list[ProgressEvent] = []
    out = tmp_path / "new"
    assert make_phantom(out, seed=7, small=small, workers=2, progress=events.append) == (
        out / "series.json"
    )
    seed, days, names, _, workers = seen
    assert (seed, days, len(names), workers) == (7, (0, 5, 7, 10, 15), views, 2)
    assert [(event.done, event.total) for event in events] == [(1, 2)]


def test_an_earlier_rendering_is_removed_before_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def render_series(out: Path, *_: Any, **__: Any) -> Path:
        seen.append(out.exists())
        return out / "series.json"

    seen: list[bool] = []
    monkeypatch.setattr(phantom, "render_series", render_series)
    earlier, other = tmp_path / "earlier", tmp_path / "other"
    for folder in (earlier, other):
        folder.mkdir()
        (folder / "series.json").touch()
    (earlier / RECORD).touch()
    for folder in (earlier, other):
        render_phantom(folder, seed=1, small=True, workers=1, progress=silent)
    # What was not rendered by the program is left to `render_series` to refuse.
    assert seen == [False, True]


def test_a_place_that_cannot_be_written_is_an_input_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def render_series(*_: Any, **__: Any) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(phantom, "render_series", render_series)
    with pytest.raises(InputError, match="No space left"):
        make_phantom(tmp_path / "new", seed=1, small=True, workers=1, progress=silent)
