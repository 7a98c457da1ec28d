import csv
import io

import pytest

from bsa_vision.report.tables import regions_csv, visits_csv


def read(data, encoding="utf-8"):
    return list(csv.DictReader(io.StringIO(data.decode(encoding), newline="")))


def test_visits_have_a_row_each_with_the_documents_numbers(document):
    rows = read(visits_csv(document))
    assert [row["day"] for row in rows] == ["0", "5", "15"]
    for row, visit in zip(rows, document["visits"], strict=True):
        assert float(row["counted_bsa_percent"]) == visit["counted_bsa"]["percent"]
        assert float(row["erythema_high_percent"]) == visit["erythema"]["high"]
        assert float(row["not_assessed_percent"]) == visit["not_assessed_percent"]
        rate = visit["reepithelialisation_rate"]["percent"]
        assert float(row["reepithelialisation_rate_percent_of_max"]) == rate
    assert (rows[1]["photos_scored"], rows[1]["photos_refused"]) == ("1", "1")


def test_regions_have_a_row_per_visit_and_chart_row(document):
    rows = read(regions_csv(document))
    assert len(rows) == 9
    assert [(row["region"], row["side"]) for row in rows[:3]] == [
        ("anterior_trunk", ""),
        ("thigh", "right"),
        ("thigh", "left"),
    ]
    total = sum(float(row["counted_bsa_percent"]) for row in rows if row["day"] == "5")
    # Three numbers rounded to 0.001 and their sum, too.
    assert total == pytest.approx(document["visits"][1]["counted_bsa"]["percent"], abs=0.002)


def test_what_is_missing_is_an_empty_cell_with_a_reason(empty_document):
    row = read(visits_csv(empty_document))[0]
    assert row["counted_bsa_percent"] == ""
    assert "no skin was assessed" in row["reasons"]
    assert read(regions_csv(empty_document))[0]["reason"]


def test_plain_text_has_no_byte_order_mark_and_windows_line_ends(document):
    data = visits_csv(document)
    assert data.startswith(b"patient,day,")
    assert data.count(b"\r\n") == data.count(b"\n") == 4


def test_text_beyond_ascii_gets_the_mark_that_spreadsheets_need(document):
    other = {**document, "patient": {**document["patient"], "id": "PH-é"}}
    data = visits_csv(other)
    assert data.startswith(b"\xef\xbb\xbf")
    assert read(data, "utf-8-sig")[0]["patient"] == "PH-é"


def test_no_cell_is_taken_for_a_formula(document):
    other = {**document, "patient": {**document["patient"], "id": "=1+1"}}
    assert read(visits_csv(other))[0]["patient"] == "'=1+1"


@pytest.mark.parametrize(
    "patient",
    ["01-03", "0012", "12", "1.50", "3E5", "1.2.26", "MAR-12", "12dec", "3-mars-26", "SEPT2"],
)
def test_no_pseudonym_is_taken_for_a_number_or_a_date(document, patient):
    other = {**document, "patient": {**document["patient"], "id": patient}}
    assert read(visits_csv(other))[0]["patient"] == f"'{patient}"
    assert read(regions_csv(other))[0]["patient"] == f"'{patient}"


@pytest.mark.parametrize(
    "patient", ["PH-0007", "TEN-012", "01-PH-3", "3E5F", "MARIE-12", "S-01-03", "may", "1.2.3.4"]
)
def test_other_pseudonyms_stay_as_they_are(document, patient):
    other = {**document, "patient": {**document["patient"], "id": patient}}
    assert read(visits_csv(other))[0]["patient"] == patient
