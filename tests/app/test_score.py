"""The chain end to end on a small rendered patient, with the true masks and landmarks."""

import base64
import json
import re
import shutil
from pathlib import Path

import jsonschema
import pytest

from bsa_vision.app.score import score_many
from bsa_vision.core.errors import InputError
from bsa_vision.phantom.series import render_series
from bsa_vision.report.results import results_schema

VIEWS = ("whole_front", "whole_back", "trunk_front")


@pytest.fixture(scope="module")
def rendered(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("phantom") / "patient"
    render_series(folder, 41, (0, 7), VIEWS, (600, 800), max_fraction=0.3)
    return folder


@pytest.fixture
def series(rendered, tmp_path) -> Path:
    folder = tmp_path / "patient"
    shutil.copytree(rendered, folder)
    return folder


def listed(folder: Path) -> dict:
    return json.loads((folder / "series.json").read_text())


def write(folder: Path, document: dict) -> None:
    (folder / "series.json").write_text(json.dumps(document))


def scored(series: Path, out: Path, **options):
    return score_many([series], out, masks="given", **options)[0]


@pytest.fixture(scope="module")
def reference(rendered, tmp_path_factory):
    out = tmp_path_factory.mktemp("reference")
    return scored(rendered, out)


def test_counted_bsa_is_near_the_truth(reference, rendered):
    truth = json.loads((rendered / "truth" / "truth.json").read_text())
    assert reference.status == "done"
    for visit, true in zip(reference.document["visits"], truth["visits"], strict=True):
        counted, wanted = visit["counted_bsa"], true["percent_if_no_dressing"]
        # Three views leave a fifth of the skin unseen; the interval must say so and hold the truth.
        assert (
            counted["low"] - 1 <= wanted["detached"] + wanted["detachable"] <= counted["high"] + 1
        )
        assert visit["not_assessed_percent"] > 5


def test_the_document_follows_its_schema_and_every_output_is_there(reference):
    jsonschema.validate(reference.document, results_schema())
    written = json.loads((reference.out / "results.json").read_text())
    assert written == reference.document
    names = {str(p.relative_to(reference.out)) for p in reference.out.rglob("*") if p.is_file()}
    assert {"visits.csv", "regions.csv", "report.html", "charts/D00.png", "charts/D07.png"} <= names
    assert "masks/D00/trunk_front.png" in names
    assert not any("unfinished" in name or name.endswith(".part") for name in names)


def test_workers_and_listing_order_do_not_change_a_byte(reference, series, tmp_path):
    document = listed(series)
    document["visits"].reverse()
    for visit in document["visits"]:
        visit["photos"].reverse()
    write(series, document)
    outcome = scored(series, tmp_path / "out", workers=2)
    assert (outcome.out / "results.json").read_bytes() == (
        reference.out / "results.json"
    ).read_bytes()


def test_a_photo_listed_under_two_names_counts_once(reference, series, tmp_path):
    document = listed(series)
    photo = dict(document["visits"][0]["photos"][0])
    copy = photo["file"].replace(".jpg", "_again.jpg")
    shutil.copy(series / photo["file"], series / copy)
    document["visits"][0]["photos"].append({**photo, "file": copy})
    write(series, document)
    outcome = scored(series, tmp_path / "out")
    for again, once in zip(outcome.document["visits"], reference.document["visits"], strict=True):
        assert again["counted_bsa"] == once["counted_bsa"]
        assert again["not_assessed_percent"] == once["not_assessed_percent"]


def test_what_is_done_is_skipped_until_something_changes(series, tmp_path):
    first = scored(series, tmp_path / "out")
    assert scored(series, tmp_path / "out").status == "skipped"
    assert scored(series, tmp_path / "out", overwrite=True).status == "done"
    assert scored(series, tmp_path / "out", weighting="personal").status == "done"
    document = listed(series)
    document["patient"]["weight_kg"] += 1
    write(series, document)
    assert scored(series, tmp_path / "out").status == "done"
    assert first.document["provenance"]["settings"]["input_digest"]


def test_bad_photos_are_named_and_the_others_scored(series, tmp_path):
    document = listed(series)
    photos = document["visits"][0]["photos"]
    by_view = {photo["view"]: photo for photo in photos}
    (series / by_view["trunk_front"]["file"]).write_bytes(b"\xff\xd8\xff not a photo")
    del by_view["whole_back"]["landmarks"]
    write(series, document)
    outcome = scored(series, tmp_path / "out")
    assert outcome.status == "partial"
    assert outcome.reason == "2 of 6 photos were not used."
    found = {photo["view"]: photo for photo in outcome.document["visits"][0]["photos"]}
    assert found["trunk_front"]["status"] == "refused"
    assert found["trunk_front"]["code"].startswith("photo_")
    assert found["whole_back"]["code"] == "landmarks_missing"
    assert "landmarks" in found["whole_back"]["remedy"]
    assert found["whole_front"]["status"] == "scored"
    # The photo without landmarks is not placed, but its mask is kept.
    assert (outcome.out / "masks" / "D00" / "whole_back.png").exists()
    assert outcome.document["visits"][0]["counted_bsa"]["percent"] is not None


def test_a_visit_without_any_usable_photo_has_null_and_a_reason(series, tmp_path):
    document = listed(series)
    for photo in document["visits"][1]["photos"]:
        (series / photo["file"]).unlink()
    write(series, document)
    visit = scored(series, tmp_path / "out").document["visits"][1]
    assert visit["counted_bsa"]["percent"] is None
    assert visit["counted_bsa"]["reason"]
    assert visit["not_assessed_percent"] == 100


def test_a_bad_series_does_not_stop_the_others(series, tmp_path):
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "series.json").write_text("{")
    outcomes = score_many([bad, series], tmp_path / "out", masks="given")
    assert [outcome.status for outcome in outcomes] == ["refused", "done"]
    assert "JSON" in outcomes[0].reason


def test_series_of_the_same_name_are_refused(series, tmp_path):
    other = tmp_path / "elsewhere" / "patient"
    shutil.copytree(series, other)
    with pytest.raises(InputError, match="different names"):
        score_many([series, other], tmp_path / "out", masks="given")


def test_no_exif_reaches_the_outputs(reference, rendered):
    assert b"Exif" in (rendered / "D00" / "trunk_front.jpg").read_bytes()
    report = (reference.out / "report.html").read_text()
    thumbnails = re.findall(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", report)
    assert len(thumbnails) == 2 * len(VIEWS)
    assert not any(b"Exif" in base64.b64decode(picture) for picture in thumbnails)
    masks = list((reference.out / "masks").rglob("*.png"))
    assert not any(b"eXIf" in path.read_bytes() for path in masks)
