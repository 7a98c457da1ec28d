import json

import pytest

from bsa_vision.report.write import day_name, write_report

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


def test_day_names_sort_and_take_days_before_the_infusion():
    assert [day_name(day) for day in (0, 5, 15, -2)] == ["D00", "D05", "D15", "D-02"]
