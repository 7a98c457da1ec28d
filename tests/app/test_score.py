"""The chain end to end on a small rendered patient, with the true masks and landmarks."""

import base64
import json
import math
import os
import re
import shutil
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import cv2
import jsonschema
import numpy as np
import pytest

from bsa_vision.app import photo_job, score
from bsa_vision.app.resume import RunSettings, input_digest, measure_settings
from bsa_vision.app.score import run_settings, score_many
from bsa_vision.app.series import read_series
from bsa_vision.core.errors import InputError
from bsa_vision.core.labels import Label
from bsa_vision.phantom.series import render_series
from bsa_vision.report.results import results_schema
from bsa_vision.segmentation.card import (
    DEFAULT_MODEL,
    Architecture,
    ModelCard,
    find_model,
    read_card,
)

VIEWS = ("whole_front", "whole_back", "trunk_front")
EXAMPLE = Path(__file__).parents[2] / "annotations" / "example"


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


@pytest.fixture
def brief(series) -> Path:
    """The series with one photo of one day."""
    document = listed(series)
    del document["visits"][1:], document["visits"][0]["photos"][1:]
    write(series, document)
    return series


@pytest.fixture
def example(tmp_path) -> Path:
    """The shipped series of one small photo, with landmarks and a drawn mask."""
    folder = tmp_path / "siteA" / "P01"
    shutil.copytree(EXAMPLE, folder)
    return folder


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
        counted = visit["counted_bsa"]
        by_state = true["percent_if_no_dressing"]
        wanted = by_state["detached"] + by_state["detachable"]
        width, unseen = counted["high"] - counted["low"], visit["not_assessed_percent"]
        # Three views leave a quarter of the skin unseen, in some ten patches (hands, feet, sides of
        # trunk and limbs). Filled blindly with the mean share, ten independent patches would err
        # with this standard deviation; neighbours must do better.
        share = wanted / 100
        blind = unseen * math.sqrt(share * (1 - share) / 10)
        assert unseen > 5
        assert abs(counted["percent"] - wanted) < blind
        # A 90 % interval spans 2 x 1.645 standard deviations: one error in a thousand is larger
        # than all of it, and it may not be as wide as that of a blind fill.
        assert abs(counted["percent"] - wanted) < width < 2 * 1.645 * blind
        bounds = visit["counted_bsa_bounds"]
        assert bounds["all_healthy"] < wanted < bounds["all_affected"]


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


def test_the_models_masks_do_not_depend_on_workers_or_listing_order(tmp_path):
    """Small enough for the shipped model to run twice in seconds."""
    series = tmp_path / "tiny"
    render_series(series, 41, (0, 10), VIEWS, (360, 480), max_fraction=0.3)
    (first,) = score_many([series], tmp_path / "first", masks="model")
    document = listed(series)
    document["visits"].reverse()
    for visit in document["visits"]:
        visit["photos"].reverse()
    write(series, document)
    (second,) = score_many([series], tmp_path / "second", masks="model", workers=2)
    # The masks of the second visit are written again in the light of the first.
    assert first.document["visits"][1]["reepithelialised_inferred_percent"] > 0
    masks = [p.relative_to(first.out) for p in sorted((first.out / "masks").rglob("*.png"))]
    assert len(masks) == 2 * len(VIEWS)
    for name in (Path("results.json"), *masks):
        assert (first.out / name).read_bytes() == (second.out / name).read_bytes()
    photos = first.document["visits"][0]["photos"]
    assert {photo["mask_source"] for photo in photos} == {"model"}
    assert "scored" in {photo["status"] for photo in photos}
    card = read_card(find_model(DEFAULT_MODEL))
    model = first.document["provenance"]["model"]
    # The name also says which engine ran it.
    assert model["name"].startswith(card.name)
    assert model["digest"] == card.digest
    assert model["notes"] == list(card.training["notes"])


def test_the_photos_that_would_show_the_rest_are_asked_for(reference):
    for visit in reference.document["visits"]:
        asked = visit["photos_to_take"]
        taken = {photo["view"] for photo in visit["photos"]}
        assert len(asked) >= 2
        assert all(photo["again"] == (photo["view"] in taken) for photo in asked)
        assert sum(photo["shows_percent"] for photo in asked) < visit["never_seen_percent"]
        assert min(photo["shows_percent"] for photo in asked) >= 1


@pytest.mark.parametrize("copy", ["D07/again.jpg", "D07/zz.jpg"])
def test_a_photo_listed_twice_counts_once_and_is_named(example, tmp_path, copy):
    once = scored(example, tmp_path / "once").document["visits"][0]
    document = listed(example)
    photo = document["visits"][0]["photos"][0]
    shutil.copy(example / photo["file"], example / copy)
    results = []
    for photos in ([photo, {**photo, "file": copy}], [{**photo, "file": copy}, photo]):
        document["visits"][0]["photos"] = photos
        write(example, document)
        outcome = scored(example, tmp_path / "out", overwrite=True)
        assert outcome.status == "partial"
        results.append((outcome.out / "results.json").read_bytes())
    assert results[0] == results[1]
    jsonschema.validate(outcome.document, results_schema())
    visit = outcome.document["visits"][0]
    assert visit["seen_percent"] == once["seen_percent"]
    assert visit["not_assessed_percent"] == once["not_assessed_percent"]
    used, dropped = visit["photos"]
    assert used["file"] == min(copy, photo["file"])
    assert (used["status"], dropped["status"]) == ("scored", "refused")
    assert dropped["code"] == "photo_duplicate"
    assert used["file"] in dropped["reason"]
    assert dropped["remedy"]


def test_the_results_of_another_patient_are_never_written_over(example, tmp_path):
    first = scored(example, tmp_path / "out")
    before = {path: path.read_bytes() for path in first.out.rglob("*") if path.is_file()}
    other = tmp_path / "siteB" / "P01"
    shutil.copytree(example, other)
    document = listed(other)
    document["patient"]["id"] = "OTHER-7"
    write(other, document)
    for overwrite in (False, True):
        refused = scored(other, tmp_path / "out", overwrite=overwrite)
        assert refused.status == "refused"
        assert refused.document is None
        assert "OTHER-7" in refused.reason
        assert listed(example)["patient"]["id"] in refused.reason
        assert "another --out" in refused.reason
    assert before == {path: path.read_bytes() for path in first.out.rglob("*") if path.is_file()}


def test_rule_and_cut_off_are_carried_and_a_change_is_scored_anew(example, tmp_path):
    chosen = {"severity_rule": "pnds-2018", "responder_cut_off": 95.0}
    assert scored(example, tmp_path / "out").status == "done"
    outcome = scored(example, tmp_path / "out", **chosen)
    assert outcome.status == "done"
    assert scored(example, tmp_path / "out", **chosen).status == "skipped"
    provenance = outcome.document["provenance"]
    assert provenance["severity_rule"] == "pnds-2018/1"
    endpoints = provenance["settings"]["measures"]["endpoints"]
    assert (endpoints["severity_rule"], endpoints["responder_cut_off"]) == ("pnds-2018", 95)
    responder = outcome.document["endpoints"]["responder_d7"]
    # A cut-off is told once.
    assert [responder["cut_off"], *(one["cut_off"] for one in responder["beside"])] == [95, 100]


@pytest.mark.parametrize(
    ("rule", "cut_off", "words"),
    [
        ("french", 90.0, "international, pnds-2018"),
        ("international", 0.0, "above 0"),
        ("international", 100.5, "at most 100"),
        ("international", math.nan, "got nan"),
    ],
)
def test_a_rule_or_cut_off_that_makes_no_sense_is_refused(rule, cut_off, words):
    with pytest.raises(InputError, match=words):
        measure_settings(rule, cut_off)


def test_what_is_done_is_skipped_until_something_changes(series, tmp_path):
    first = scored(series, tmp_path / "out")
    assert scored(series, tmp_path / "out").status == "skipped"
    assert scored(series, tmp_path / "out", overwrite=True).status == "done"
    assert scored(series, tmp_path / "out", weighting="personal").status == "done"
    document = listed(series)
    document["patient"]["weight_kg"] += 1
    write(series, document)
    assert scored(series, tmp_path / "out").status == "done"
    document["visits"].pop()
    document["patient"]["death_day"] = 3
    write(series, document)
    died = scored(series, tmp_path / "out")
    assert died.status == "done"
    assert "died on day 3" in died.document["endpoints"]["responder_d7"]["reason"]
    assert first.document["provenance"]["settings"]["input_digest"]


def test_bad_photos_are_named_and_the_others_scored(series, tmp_path):
    document = listed(series)
    photos = document["visits"][0]["photos"]
    by_view = {photo["view"]: photo for photo in photos}
    (series / by_view["trunk_front"]["file"]).write_bytes(b"\xff\xd8\xff not a photo")
    unreadable = series / by_view["whole_back"]["landmarks"]
    unreadable.unlink()
    unreadable.write_text("{}")
    write(series, document)
    outcome = scored(series, tmp_path / "out")
    assert outcome.status == "partial"
    assert outcome.reason == "2 of 6 photos were not used."
    found = {photo["view"]: photo for photo in outcome.document["visits"][0]["photos"]}
    assert found["trunk_front"]["status"] == "refused"
    assert found["trunk_front"]["code"].startswith("photo_")
    # What a person marked is not silently replaced by what a network finds.
    assert found["whole_back"]["code"] == "landmarks_unreadable"
    assert "landmarks" in found["whole_back"]["remedy"]
    assert found["whole_front"]["status"] == "scored"
    # The photo is not placed, but its mask is kept.
    assert (outcome.out / "masks" / "D00" / "whole_back.png").exists()
    assert outcome.document["visits"][0]["counted_bsa"]["percent"] is not None


def test_a_photo_without_landmarks_places_itself(series, tmp_path):
    document = listed(series)
    photo = next(p for p in document["visits"][0]["photos"] if p["view"] == "whole_front")
    del photo["landmarks"]
    write(series, document)
    outcome = scored(series, tmp_path / "out")
    assert outcome.status == "done"
    found = {photo["view"]: photo for photo in outcome.document["visits"][0]["photos"]}
    by_itself, by_hand = found["whole_front"], found["trunk_front"]
    assert by_itself["placed_by"] == "photo"
    assert by_hand["placed_by"] == "landmarks"
    assert by_itself["placement_error_mm"] > by_hand["placement_error_mm"] > 0
    assert by_itself["placement_verdict"] == "use"
    assert by_itself["registration_error_mm"] is None
    assert "no landmarks" in by_itself["registration_reason"]
    assert outcome.document["provenance"]["settings"]["place_model"].startswith("places-")


def test_a_photo_that_places_itself_beside_the_body_in_its_mask_is_refused(series, tmp_path):
    document = listed(series)
    photo = next(p for p in document["visits"][0]["photos"] if p["view"] == "whole_front")
    del photo["landmarks"]
    cv2.imwrite(str(series / photo["mask"]), np.zeros((800, 600), np.uint8))
    write(series, document)
    outcome = scored(series, tmp_path / "out")
    found = {photo["view"]: photo for photo in outcome.document["visits"][0]["photos"]}
    refused = found["whole_front"]
    assert (refused["status"], refused["code"]) == ("refused", "placement_contradicts")
    assert "only 0% lies on the body in the mask" in refused["reason"]
    assert refused["placement_verdict"] == "ask_for_landmarks"
    assert found["trunk_front"]["status"] == "scored"


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
    with pytest.raises(InputError, match=r"different names.* another --out"):
        score_many([series, other], tmp_path / "out", masks="given")


def test_no_exif_reaches_the_outputs(reference, rendered):
    assert b"Exif" in (rendered / "D00" / "trunk_front.jpg").read_bytes()
    report = (reference.out / "report.html").read_text()
    thumbnails = re.findall(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", report)
    assert len(thumbnails) == 2 * len(VIEWS)
    assert not any(b"Exif" in base64.b64decode(picture) for picture in thumbnails)
    masks = list((reference.out / "masks").rglob("*.png"))
    assert not any(b"eXIf" in path.read_bytes() for path in masks)


def test_a_fault_in_one_series_does_not_stop_the_others(brief, tmp_path, monkeypatch, caplog):
    other = tmp_path / "other"
    shutil.copytree(brief, other)
    results = tmp_path / "out" / "other" / "results.json"
    results.parent.mkdir(parents=True)
    results.write_text("{}")
    report = results.with_name("report.html")
    report.write_text("of the earlier run")
    document = score.results_document

    def failing(facts, *args):
        if facts.patient.id == "FAILS":
            raise OSError(28, "No space left on device", str(tmp_path))
        return document(facts, *args)

    listing = listed(other)
    listing["patient"]["id"] = "FAILS"
    write(other, listing)
    monkeypatch.setattr(score, "results_document", failing)
    outcomes = score_many([other, brief], tmp_path / "out", masks="given")
    assert [outcome.status for outcome in outcomes] == ["failed", "done"]
    assert "OSError (No space left on device)" in outcomes[0].reason
    assert str(tmp_path) not in outcomes[0].reason
    assert str(tmp_path) in caplog.text
    # What an earlier run had written is gone: it no longer belongs to the masks beside it.
    assert not results.exists()
    assert not report.exists()


class _EndedPool:
    """A pool whose only process is ended by the system, as when memory runs out."""

    def __init__(self, *_args: object) -> None:
        self.submitted = 0
        self.shut: list[bool] = []
        pools.append(self)

    def submit(self, run, job) -> Future:
        future: Future = Future()
        self.submitted += 1
        if self.submitted == 1:
            future.set_result(run(job))
        else:
            future.set_exception(BrokenProcessPool("ended"))
        return future

    def shutdown(self, *, cancel_futures: bool) -> None:
        self.shut.append(cancel_futures)


pools: list[_EndedPool] = []


def test_an_ended_process_fails_only_what_was_not_finished(brief, tmp_path, monkeypatch):
    other = tmp_path / "other"
    shutil.copytree(brief, other)
    monkeypatch.setattr(score, "ProcessPoolExecutor", _EndedPool)
    outcomes = score_many([brief, other], tmp_path / "out", masks="given", workers=2)
    assert [outcome.status for outcome in outcomes] == ["done", "failed"]
    assert "BrokenProcessPool" in outcomes[1].reason
    assert pools[-1].shut == [True]


def test_results_are_never_written_into_the_series(brief):
    with pytest.raises(InputError, match="over the input"):
        score_many([brief], brief.parent, masks="given")
    assert not (brief / "masks").exists()


def test_an_output_that_cannot_be_written_is_told_at_once(brief, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(InputError, match="cannot be written"):
        score_many([brief], tmp_path / "taken", masks="given")


def test_a_series_given_by_its_list_takes_the_folders_name(brief, tmp_path):
    (outcome,) = score_many([brief / "series.json"], tmp_path / "out", masks="given")
    assert outcome.status == "done"
    assert outcome.out == tmp_path / "out" / "patient"


def test_a_repeated_run_leaves_nothing_of_what_is_no_longer_listed(series, tmp_path):
    out = tmp_path / "out" / "patient"
    scored(series, tmp_path / "out")
    document = listed(series)
    gone = document["visits"].pop()
    document["visits"][0]["photos"].pop()
    write(series, document)
    outcome = scored(series, tmp_path / "out")
    assert outcome.status == "done"
    assert gone["day"] == 7
    assert [path.name for path in (out / "charts").iterdir()] == ["D00.png"]
    masks = {str(path.relative_to(out / "masks")) for path in (out / "masks").rglob("*.png")}
    kept = {photo["file"] for photo in document["visits"][0]["photos"]}
    assert masks == {file.replace(".jpg", ".png") for file in kept}


def test_a_run_in_which_the_software_failed_is_repeated(brief, tmp_path, monkeypatch):
    def broken(*_args):
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(photo_job, "assess_photo", broken)
        assert scored(brief, tmp_path / "out").status == "refused"
    assert scored(brief, tmp_path / "out").status == "done"


def test_a_model_of_other_classes_is_refused(tmp_path):
    classes = {0: "background", 1: "wound"}
    ModelCard(
        name="wounds",
        classes=classes,
        architecture=Architecture("none", ()),
        long_side=768,
        multiple=32,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        temperature=1.0,
        files={},
    ).write(tmp_path)
    with pytest.raises(InputError, match="skin labels"):
        run_settings("lund-browder", "auto", str(tmp_path))


def test_the_model_is_named_only_where_it_drew_a_mask(brief, tmp_path):
    outcome = score_many([brief], tmp_path / "out", masks="auto")[0]
    assert {p["mask_source"] for v in outcome.document["visits"] for p in v["photos"]} == {"given"}
    assert outcome.document["provenance"]["model"] == {"name": None, "digest": None, "notes": []}


def test_a_pipe_among_the_files_is_not_waited_for(brief):
    settings = RunSettings("lund-browder", "given", None, None, None)
    whole = input_digest(read_series(brief), settings)
    photo = brief / listed(brief)["visits"][0]["photos"][0]["file"]
    photo.unlink()
    os.mkfifo(photo)
    assert input_digest(read_series(brief), settings) != whole


@pytest.fixture
def scored_by_model(series, tmp_path):
    """Score the series, or some days of it, with the shipped model: the document and its masks."""

    def score_days(*days: int):
        document = listed(series)
        chosen = [visit for visit in document["visits"] if visit["day"] in days]
        write(series, {**document, "visits": chosen})
        out = tmp_path / "-".join(map(str, days))
        found = score_many([series], out, masks="model")[0]
        write(series, document)
        masks = {
            path.relative_to(found.out / "masks"): cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            for path in sorted((found.out / "masks").rglob("*.png"))
        }
        return found.document, masks

    return score_days


def test_a_later_visit_is_read_in_the_light_of_an_earlier_one(scored_by_model):
    both, masks = scored_by_model(0, 7)
    first, first_masks = scored_by_model(0)
    alone, alone_masks = scored_by_model(7)
    # The first visit keeps its numbers and its masks.
    assert both["visits"][0]["counted_bsa"] == first["visits"][0]["counted_bsa"]
    assert both["visits"][0]["reepithelialised_inferred_percent"] == 0
    for name, mask in first_masks.items():
        np.testing.assert_array_equal(masks[name], mask)
    seen, seen_alone = (found["visits"][-1]["seen_percent"] for found in (both, alone))
    inferred = both["visits"][1]["reepithelialised_inferred_percent"]
    ruled_out = both["visits"][1]["reepithelialised_ruled_out_percent"]
    assert inferred > 0
    gained = seen["reepithelialised"] - seen_alone["reepithelialised"]
    assert gained == pytest.approx(inferred - ruled_out, abs=0.01)
    changed = [(alone_masks[name], masks[name]) for name in alone_masks]
    moved = np.concatenate([np.stack([a[a != b], b[a != b]]) for a, b in changed], axis=1)
    assert moved.size
    assert {(a, b) for a, b in moved.T.tolist()} <= {
        (Label.UNAFFECTED, Label.REEPITHELIALISED),
        (Label.ERYTHEMA, Label.REEPITHELIALISED),
        (Label.REEPITHELIALISED, Label.UNAFFECTED),
    }
    assert (moved[1] == Label.REEPITHELIALISED).any()
