import re
import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from bsa_vision.report.figures import Line, area_plot, draw_plot, rate_plot

SVG = "{http://www.w3.org/2000/svg}"


def circles(svg):
    return [
        (float(node.get("cx")), float(node.get("cy")))
        for node in ET.fromstring(svg).iter(f"{SVG}circle")  # noqa: S314 - our own output
    ]


def texts(svg):
    return [node.text for node in ET.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314 - our own


def test_the_same_document_gives_the_same_bytes(document):
    assert area_plot(document) == area_plot(document)
    assert rate_plot(document) == rate_plot(document)


def test_every_visit_is_a_point_and_a_tick(document):
    assert len(circles(area_plot(document))) == 3
    assert {"D0", "D5", "D15"} <= set(texts(area_plot(document)))
    assert "cut-off 90 %" in texts(rate_plot(document))


def test_points_lie_where_their_numbers_say():
    line = Line("x", "#000", "circle", ((0, 0, 0, 0), (5, 20, 18, 22), (10, 10, 9, 11)))
    (x0, y0), (x1, y1), (x2, y2) = circles(draw_plot([line], "%"))
    # Pixels are written to one decimal.
    assert x1 - x0 == pytest.approx(x2 - x1, abs=0.11)
    assert y0 - y1 == pytest.approx(2 * (y0 - y2), abs=0.21)


def test_missing_visits_leave_no_point(empty_document):
    assert circles(area_plot(empty_document)) == []


def test_labels_do_not_overlap():
    lines = [
        Line(f"line {k}", "#000", "circle", ((0, 5, 5, 5), (5, 5 + 0.1 * k, 5, 6)))
        for k in range(3)
    ]
    root = ET.fromstring(draw_plot(lines, "%"))  # noqa: S314 - our own output
    heights = sorted(
        float(node.get("y")) for node in root.iter(f"{SVG}text") if "line" in (node.text or "")
    )
    # A line of text is 11 units high.
    assert all(b - a >= 11 for a, b in pairwise(heights))


def test_words_are_escaped():
    svg = draw_plot([Line("a<b", "#000", "circle", ((0, 1, 1, 1),))], "x & y")
    assert "a<b" in texts(svg)
    assert "x & y" in texts(svg)


def test_the_name_of_the_cut_off_keeps_clear_of_the_line_that_ends_there():
    line = Line("Rate", "#000", "circle", ((0, 0, 0, 0), (15, 92, 30, 100)))
    picture = draw_plot([line], "%", top=100.0, reference=90.0)
    heights = {
        text: float(re.search(rf'y="([\d.]+)"[^>]*>{text}', picture)[1])
        for text in ("Rate", "cut-off 90 %")
    }
    assert abs(heights["Rate"] - heights["cut-off 90 %"]) > 10
