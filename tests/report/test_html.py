import copy
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from bsa_vision.measures.history import with_history
from bsa_vision.measures.settings import HistorySettings
from bsa_vision.report.html import describe_flags, describe_not_assessed, report_html
from bsa_vision.report.results import PhotoFacts, results_schema

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8\xff"
NO_MODEL = {"name": None, "digest": None, "notes": []}
UNREAD = (PhotoFacts(0, "D00/a.jpg", "trunk_front", "refused", "photo_truncated", "It is cut."),)
VOID = {"meta", "img", "br", "path", "circle", "rect"}


class Checker(HTMLParser):
    """Keeps open tags and everything that could load from elsewhere."""

    def __init__(self):
        super().__init__()
        self.open, self.sources, self.tags = [], [], set()

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.sources += [value for name, value in attrs if name in {"src", "href", "xlink:href"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def check(html):
    checker = Checker()
    checker.feed(html)
    assert checker.open == []
    return checker


def text_of(html):
    return " ".join(re.sub(r"<[^>]+>", " ", html.split("</style>")[1]).split())


def test_one_file_without_scripts_or_outside_resources(document):
    html = report_html(document, {0: PNG, 5: b"<svg/>"}, {"D00/trunk_front.jpg": JPEG})
    checker = check(html)
    assert "script" not in checker.tags
    assert "link" not in checker.tags
    assert all(source.startswith("data:image/") for source in checker.sources)
    assert len(checker.sources) == 3
    assert "url(" not in html
    assert "@import" not in html


def test_the_numbers_and_reasons_of_the_document_are_in_it(document):
    text = text_of(report_html(document, {}, {}))
    ends = document["endpoints"]
    assert f"{ends['max_counted_bsa']['percent']:.1f} %" in text
    assert f"{ends['reepithelialisation_rate']['15']['percent']:.0f} %" in text
    for visit in document["visits"]:
        low, high = visit["counted_bsa"]["low"], visit["counted_bsa"]["high"]
        assert f"{low:.1f}\N{EN DASH}{high:.1f}" in text
    assert "The photo ends before its last line. Copy it again from the camera." in text
    assert "No colour card was found." in text
    assert "Hold the camera still." in text
    assert "no visit on day 10 could be measured" in text
    assert document["provenance"]["model"]["digest"] in text


def test_remarks_on_a_photo_name_its_flags_and_every_reason_once(document):
    text = text_of(report_html(document, {}, {}))
    assert "Colour: uneven light." in text
    assert "Scale: partly hidden, focal assumed." in text
    refused = document["visits"][1]["photos"][0]
    assert refused["reason"] == refused["colour_reason"] == refused["quality_reason"]
    assert text.count(refused["reason"]) == 1


def test_it_says_what_it_is_not(document):
    text = text_of(report_html(document, {}, {}))
    assert "Research use only" in text
    assert "No detachable skin in this report is marked as confirmed" in text


def test_it_says_of_the_network_what_its_card_says(document):
    text = text_of(report_html(document, {}, {}))
    assert "The network small drew masks." in text
    assert "Learned from 12 photos of wax. Never saw skin." in text
    silent = with_model(document, {**document["provenance"]["model"], "notes": []})
    assert "Its model card does not say" in text_of(report_html(silent, {}, {}))


def with_model(document, model):
    return {**document, "provenance": {**document["provenance"], "model": model}}


def test_a_report_on_drawn_masks_does_not_speak_of_a_network(document):
    drawn = copy.deepcopy(with_model(document, NO_MODEL))
    for photo in (photo for visit in drawn["visits"] for photo in visit["photos"]):
        photo["mask_source"] = photo["mask_source"] and "given"
    text = text_of(report_html(drawn, {}, {}))
    assert "network" not in text
    assert "none: all masks were given" in text


def test_a_report_without_any_mask_does_not_speak_of_given_ones(build_document, make_visit):
    unread = build_document([make_visit(0, 0, 0, seen=0)], UNREAD)
    text = text_of(report_html(with_model(unread, NO_MODEL), {}, {}))
    assert "It is cut." in text
    assert "none: no photo came as far as a mask" in text
    assert "masks were given" not in text


def test_every_photo_is_named_by_its_file(document):
    html = report_html(document, {}, {"D00/trunk_front.jpg": JPEG})
    for visit in document["visits"]:
        for photo in visit["photos"]:
            captions = re.findall(r"<figcaption>(.*?)</figcaption>", html, flags=re.DOTALL)
            assert any(photo["file"] in caption for caption in captions)
            rows = re.findall(r"<tr>.*?</tr>", html, flags=re.DOTALL)
            assert any(photo["file"] in row for row in rows)


def test_every_flag_has_words(document):
    """Those of the schema, wherever they stand, and no others come out."""
    flags = {"nothing_assessed", "sparsely_seen", "mostly_filled", "capped", "provisional"}
    definitions = results_schema()["$defs"]
    visit = set(definitions["visit"]["properties"]["flags"]["items"]["enum"])
    rate = set(definitions["rate"]["properties"]["flags"]["items"]["enum"])
    assert visit | rate == flags
    flagged = copy.deepcopy(document)
    flagged["visits"][1]["flags"] = sorted(visit)
    flagged["endpoints"]["max_counted_bsa"]["flags"] = ["mostly_filled"]
    flagged["endpoints"]["reepithelialisation_rate"]["15"]["flags"] = sorted(rate)
    html = report_html(flagged, {}, {})
    check(html)
    text = text_of(html)
    for flag in ("sparsely_seen", "mostly_filled", "nothing_assessed"):
        assert flag not in text
    for words in ("no skin assessed", "too little skin seen", "mostly estimated", "capped from"):
        assert words in text


def test_little_skin_is_told_with_what_to_do(build_document, make_visit):
    # 30 of 200 cells, then 80, then all but ten.
    visits = [make_visit(0, 40, 0, seen=30), make_visit(5, 60, 4, seen=80), make_visit(15, 4, 58)]
    document = build_document(visits)
    assert [visit["flags"] for visit in document["visits"]] == [
        ["sparsely_seen"],
        ["mostly_filled"],
        [],
    ]
    sparse, filled, maximum, rate = describe_flags(document)
    assert sparse.startswith("D0: too little of the skin was seen")
    assert filled.startswith("D5: more than half of the skin was not assessed.")
    assert all("Photograph the views that are missing" in note for note in (sparse, filled))
    assert maximum.startswith("The maximal counted BSA is that of D5,")
    assert rate.startswith("Re-epithelialisation rate of D5, D15:")
    text = text_of(report_html(document, {}, {}))
    assert all(note in text for note in (sparse, filled, maximum, rate))
    assert describe_flags(build_document([make_visit(0, 40, 0)])) == []


def test_a_series_without_numbers_is_still_a_report(empty_document):
    html = report_html(empty_document, {}, {})
    check(html)
    assert "no skin was assessed on this visit" in html


def test_words_from_outside_are_escaped(build_document, make_visit):
    hostile = '<script>alert("x")</script>'
    html = report_html(build_document([make_visit(0, 4, 0)], study=hostile), {}, {})
    assert "<script" not in html
    assert "&lt;script&gt;" in html


def test_a_provisional_maximum_is_called_so(build_document, make_visit):
    html = report_html(build_document([make_visit(0, 40, 0), make_visit(5, 60, 4)]), {}, {})
    assert "provisional" in text_of(html)


def test_not_assessed_skin_in_words(document, empty_document):
    words = describe_not_assessed(document["visits"][1]).replace("\N{NO-BREAK SPACE}", " ")
    assert words == (
        "5.0 % of BSA was not assessed: 2.5 % in no usable photo; 2.5 % seen only beneath a "
        "dressing, a device or glare. Most of it: left thigh 5.0 %. Were all of it healthy, "
        "counted BSA would be 30.0 %; were all of it affected, 35.0 %."
    )
    nothing = describe_not_assessed(empty_document["visits"][0])
    assert nothing.startswith("100.0")


def test_photos_that_would_show_more_are_asked_for(document, build_document, make_visit):
    text = text_of(report_html(document, {}, {}))
    assert "Photos that would show more" in text
    assert "trunk left left flank, left arm raised 2.1" in text
    full = build_document([make_visit(5, 4, 0, seen=200)])
    assert "would show more" not in text_of(report_html(full, {}, {}))


def test_fully_assessed_skin_in_words(build_document, make_visit):
    document = build_document([make_visit(0, 4, 0, seen=200)])
    assert describe_not_assessed(document["visits"][0]) == "All skin was assessed."


def test_pictures_of_unknown_kind_are_refused(document):
    with pytest.raises(ValueError, match="PNG, JPEG or SVG"):
        report_html(document, {0: b"GIF89a"}, {})


def test_what_earlier_visits_decided_stands_beneath_the_healed_skin(build_document, make_visit):
    """Twenty cells of two hundred lost and faded; another ten only look new."""
    first, second = make_visit(0, 20, 0), make_visit(5, 0, 30)
    second.evidence.probabilities[:20] = np.eye(5)[0]
    document = build_document(with_history([first, second], HistorySettings()))
    assert document["visits"][1]["reepithelialised_inferred_percent"] == pytest.approx(10)
    assert document["visits"][1]["reepithelialised_ruled_out_percent"] == pytest.approx(5)
    text = text_of(report_html(document, {}, {}))
    assert text.count("inferred 10.0, ruled out 5.0") == 1
    assert "inferred 0" not in text
