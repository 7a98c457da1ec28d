import json

import pytest

from bsa_vision.report.write import day_name, discard_pictures, discard_results, write_report

PNG = b"\x89PNG\r\n\x1a\n"


def test_all_files_of_a_series_are_written(tmp_path, document):
    report = write_report(tmp_path / "PH-0007", document, {0: PNG, 15: PNG}, {})
    written = {str(path.relative_to(report.parent)) for path in report.parent.rglob("*.*")}
    assert written == {
        "report.html",
        "results.json",
        "visits.csv",
        "regions.csv",
        "charts/D00.png",
        "charts/D15.png",
    }
    assert json.loads((report.parent / "results.json").read_text("utf-8")) == document


def test_the_same_document_gives_the_same_bytes(tmp_path, document):
    first = write_report(tmp_path / "a", document, {0: PNG}, {}).parent
    second = write_report(tmp_path / "b", document, {0: PNG}, {}).parent
    for path in first.rglob("*.*"):
        assert path.read_bytes() == (second / path.relative_to(first)).read_bytes()


def test_an_interrupted_run_leaves_no_results(tmp_path, document):
    with pytest.raises(ValueError, match="PNG, JPEG or SVG"):
        write_report(tmp_path, document, {0: b"not a picture"}, {})
    assert not (tmp_path / "results.json").exists()


def test_results_of_an_earlier_run_go_before_anything_is_written(tmp_path, document):
    write_report(tmp_path, document, {0: PNG}, {})
    with pytest.raises(ValueError, match="PNG, JPEG or SVG"):
        write_report(tmp_path, document, {5: b"not a picture"}, {})
    left = {path.name for path in tmp_path.rglob("*.*")}
    assert not left & {"results.json", "report.html", "D00.png"}


def test_all_that_an_earlier_run_made_of_its_masks_is_discarded(tmp_path, document):
    write_report(tmp_path, document, {0: PNG, 5: PNG}, {})
    mask, notes = tmp_path / "masks" / "D00" / "a.png", tmp_path / "charts" / "notes.txt"
    unfinished = (tmp_path / ".report.html.unfinished", tmp_path / "charts" / ".D07.png.unfinished")
    mask.parent.mkdir(parents=True)
    for path in (mask, notes, *unfinished):
        path.write_bytes(PNG)
    discard_results(tmp_path)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {mask, notes}
    discard_results(tmp_path / "new")


def test_charts_of_days_no_longer_listed_are_removed(tmp_path, document):
    write_report(tmp_path, document, {0: PNG, 5: PNG}, {})
    write_report(tmp_path, document, {5: PNG}, {})
    assert [path.name for path in (tmp_path / "charts").iterdir()] == ["D05.png"]


def test_only_pictures_that_are_not_kept_are_discarded(tmp_path):
    kept, stale, unfinished, other = (
        tmp_path / "D00" / name for name in ("a.png", "b.png", "c.12.part", "notes.txt")
    )
    kept.parent.mkdir()
    for path in (kept, stale, unfinished, other):
        path.write_bytes(PNG)
    discard_pictures(tmp_path, {kept})
    assert {path.name for path in kept.parent.iterdir()} == {"a.png", "notes.txt"}


def test_day_names_sort_and_take_days_before_the_infusion():
    assert [day_name(day) for day in (0, 5, 15, -2)] == ["D00", "D05", "D15", "D-02"]
