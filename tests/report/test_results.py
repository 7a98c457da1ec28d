import copy

import jsonschema
import pytest

from bsa_vision.core.provenance import canonical_json
from bsa_vision.report.results import ESTIMATE_KEYS, PhotoFacts, results_schema


@pytest.fixture(scope="module")
def validator():
    schema = results_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_a_series_follows_the_schema(validator, document):
    validator.validate(document)
    assert document["format"] == "bsa-vision-results/1"


def test_a_series_without_any_number_follows_it_too(validator, empty_document):
    validator.validate(empty_document)
    first = empty_document["visits"][0]
    assert first["counted_bsa"]["percent"] is None
    assert first["counted_bsa"]["reason"]
    assert empty_document["endpoints"]["max_counted_bsa"]["reason"]
    assert empty_document["endpoints"]["reepithelialisation_rate"]["5"]["reason"]


def test_a_series_without_visits_follows_it_too(validator, build_document):
    validator.validate(build_document([]))


def test_later_additions_are_allowed(validator, document):
    validator.validate({**document, "confirmed_detachable": None})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda d: d["visits"][0]["counted_bsa"].update(percent=None),
        lambda d: d["visits"][0]["counted_bsa"].update(percent=None, low=None, high=None),
        lambda d: d["visits"][0]["counted_bsa"].update(low=None),
        lambda d: d["visits"][0].pop("not_assessed_percent"),
        lambda d: d["visits"][0].update(filled_percent=101),
        lambda d: d["visits"][1]["photos"][0].update(reason=None),
        lambda d: d["visits"][0]["photos"][1].update(colour_reason=None),
        lambda d: d["visits"][1]["photos"][0].update(quality_reason=None),
        lambda d: d["visits"][1]["photos"][0].update(scale_reason=None),
        lambda d: d["visits"][1]["photos"][0].pop("colour_flags"),
        lambda d: d["visits"][0].update(max_counted_bsa_to_day=None),
        lambda d: d["visits"][0].update(new_detachment_reason=None),
        lambda d: d["visits"][0].update(detachable_confirmed_reason=None),
        lambda d: d["visits"][0].pop("detachable_confirmed"),
        lambda d: d["provenance"]["model"].pop("notes"),
        lambda d: d["visits"][1]["reepithelialisation_rate"].update(percent_at_visit=None),
        lambda d: d["endpoints"].update(new_detachment_after_d0=None),
        lambda d: d["endpoints"]["responder_d7"].update(responder=None, reason=""),
        lambda d: d["endpoints"]["severity"].update({"class": "mild"}),
        lambda d: d["endpoints"]["max_counted_bsa"].update(status="final"),
        lambda d: d.update(format="bsa-vision-results/2"),
    ],
)
def test_the_schema_refuses_what_breaks_the_contract(validator, document, spoil):
    spoilt = copy.deepcopy(document)
    spoil(spoilt)
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(spoilt)


def test_the_numbers_of_a_known_course(document):
    days = [visit["day"] for visit in document["visits"]]
    assert days == [0, 5, 15]
    # 190 of 200 cells were seen, the others filled from unaffected neighbours or the mean.
    for visit in document["visits"]:
        assert visit["not_assessed_percent"] == pytest.approx(5)
        assert visit["never_seen_percent"] == visit["hidden_percent"] == pytest.approx(2.5)
        assert visit["filled_percent"] == pytest.approx(5)
        states = sum(visit[key]["percent"] for key in ESTIMATE_KEYS if key != "counted_bsa")
        # Five numbers rounded to 0.001 each.
        assert states == pytest.approx(100, abs=0.0025)
    assert document["visits"][1]["seen_percent"]["detached"] == pytest.approx(30)
    assert document["visits"][1]["counted_bsa_bounds"] == {"all_healthy": 30, "all_affected": 35}
    ends = document["endpoints"]
    assert ends["max_counted_bsa"]["day"] == 5
    assert ends["max_counted_bsa"]["status"] == "locked"
    rate = ends["reepithelialisation_rate"]["15"]
    last, most = document["visits"][2], document["visits"][1]
    expected = 100 * last["reepithelialised"]["percent"] / most["counted_bsa"]["percent"]
    # Both parts were rounded to 0.001 of about 30.
    assert rate["percent"] == pytest.approx(expected, abs=0.01)
    assert ends["reepithelialisation_rate"]["10"]["percent"] is None
    assert ends["responder_d7"]["responder"] is None


def test_new_detachment_is_that_of_the_last_visit_that_could_be_measured(
    validator, build_document, make_visit
):
    visits = [make_visit(0, 40, 0), make_visit(5, 60, 4)]
    known = build_document(visits)["endpoints"]["new_detachment_after_d0"]
    # 20 of 200 cells.
    assert (known["day"], known["cumulative_percent"]) == (5, 10)
    later = build_document([*visits, make_visit(15, 0, 0, seen=0)])
    validator.validate(later)
    assert later["visits"][2]["new_detachment"]["percent"] is None
    assert later["endpoints"]["new_detachment_after_d0"] == known


def test_without_a_visit_after_day_0_new_detachment_has_a_reason(build_document, make_visit):
    ends = build_document([make_visit(0, 40, 0)])["endpoints"]
    assert ends["new_detachment_after_d0"] is None
    assert "no visit after day 0" in ends["new_detachment_after_d0_reason"]


def test_no_detachable_skin_counts_as_confirmed_at_the_bedside(document, empty_document):
    for visit in (*document["visits"], *empty_document["visits"]):
        assert visit["detachable_confirmed"] is None
        assert "bedside" in visit["detachable_confirmed_reason"]


def test_photos_stand_with_their_visit(document):
    files = [[photo["file"] for photo in visit["photos"]] for visit in document["visits"]]
    assert files == [
        ["D00/trunk_front.jpg", "D00/trunk_back.jpg"],
        ["D05/trunk_front.jpg", "D05/trunk_back.jpg"],
        [],
    ]
    refused = document["visits"][1]["photos"][0]
    assert (refused["status"], refused["code"]) == ("refused", "photo_truncated")


def test_death_is_carried(build_document, make_visit):
    document = build_document([make_visit(0, 40, 0)], death_day=3)
    assert document["endpoints"]["death_day"] == 3
    assert document["endpoints"]["responder_d7"]["responder"] is False


def test_equal_inputs_give_equal_bytes(build_document, make_visit):
    visits = [make_visit(0, 40, 0), make_visit(5, 60, 4)]
    first = canonical_json(build_document(visits))
    assert first == canonical_json(build_document(visits[::-1]))


def test_numbers_are_rounded_and_never_minus_zero(build_document, make_visit):
    photo = PhotoFacts(0, "a.jpg", "trunk_front", "scored", mm_per_px=0.123456789, tilt_deg=-0.0001)
    found = build_document([make_visit(0, 40, 0)], photos=[photo])["visits"][0]["photos"][0]
    assert found["mm_per_px"] == 0.12346
    assert str(found["tilt_deg"]) == "0.0"
