import base64
import json
import re
import xml.etree.ElementTree as ET

import cv2
import numpy as np
import pytest
from tests.report.test_html import check, text_of

from bsa_vision.report.training import WorstCase, training_report
from bsa_vision.report.training_curves import draw_curves
from bsa_vision.segmentation.held_out import (
    HeldOutImage,
    dice_intervals,
    foreground_dice,
    mean_dice_interval,
    worst_cases_order,
)
from bsa_vision.segmentation.metrics import class_agreement, confusion

SVG = "{http://www.w3.org/2000/svg}"
CLASSES = {0: "background", 1: "skin", 4: "wound_bed"}
COLOURS = {0: (255, 255, 255), 1: (40, 160, 60), 4: (170, 30, 45)}


def table(*rows):
    return np.array(rows, dtype=np.int64)


def two_classes(hit, missed, added=0, rest=100):
    """A table of background and one class."""
    return table((rest, added), (missed, hit))


def image(name, patient, counts):
    return HeldOutImage(name, patient, counts)


def held_out(patients=6, photos=12, seed=0):
    rng = np.random.default_rng(seed)
    return [
        image(
            f"photo_{k}",
            f"P{k % patients}",
            rng.integers(5, 90, (3, 3)) + 200 * np.eye(3, dtype=int),
        )
        for k in range(photos)
    ]


def line(step, loss, dice=None):
    found = {"step": step, "minutes": step / 100, "loss": loss}
    return found if dice is None else {**found, "val": {"mean_dice": dice, "classes": []}}


#: Loss and Dice that both settle.
SETTLED = [line(100 * k, 1.0 if k < 3 else 0.5, 0.4 if k < 3 else 0.7) for k in range(1, 13)]


def run_record(history=SETTLED, classes=CLASSES, **changes):
    """As read from run.json, where keys are text and sorted as text."""
    record = {
        "data": {
            "digest": "ab" * 32,
            "images": {"train": 40, "val": 6, "test": 12},
            "patients": 20,
        },
        "classes": {str(code): name for code, name in classes.items()},
        "settings": {"architecture": {"encoder": "tu-x", "decoder": [32, 16]}, "minutes": None},
        "init": None,
        "versions": {"torch": "2.12.1"},
        "device": "cpu",
        "history": history,
    }
    return json.loads(json.dumps({**record, **changes}, sort_keys=True))


def worst_case(name="photo_1", dice=0.25, side=60):
    pixels = np.full((side, side, 3), (120, 90, 70), dtype=np.uint8)
    truth = np.ones((side, side), np.uint8)
    truth[side // 4 : side // 2, side // 4 : side // 2] = 4
    return WorstCase(name, dice, pixels, truth, np.zeros_like(truth))


def titles(html):
    return re.findall(r'<div class="caution"><b>(.*?)\.</b>', html)


def rows_under(html, heading):
    """Text of the cells of the first table after a heading."""
    body = html.split(f"<h2>{heading}")[1].split("<tbody>")[1].split("</tbody>")[0]
    return [
        [
            " ".join(re.sub("<[^>]+>", "", cell).split())
            for cell in re.findall(r"<t[hd].*?</t[hd]>", row, re.DOTALL)
        ]
        for row in re.findall(r"<tr>.*?</tr>", body, re.DOTALL)
    ]


def decode(uri):
    data = base64.b64decode(uri.removeprefix("data:image/jpeg;base64,"))
    return cv2.cvtColor(cv2.imdecode(np.frombuffer(data, np.uint8), 1), cv2.COLOR_BGR2RGB)


# Intervals


def test_dice_is_that_of_the_pooled_table():
    images = held_out()
    pooled = class_agreement(sum(i.counts for i in images), tuple(CLASSES.values()))
    rows = dice_intervals(images, CLASSES)
    assert [(row["code"], row["name"]) for row in rows] == list(CLASSES.items())
    assert [row["dice"] for row in rows] == [a.dice for a in pooled]
    mean = mean_dice_interval(images, CLASSES)
    assert mean["dice"] == pytest.approx(np.mean([a.dice for a in pooled]))
    for row in (*rows, mean):
        assert row["low"] < row["dice"] < row["high"]


def test_two_patients_give_the_interval_between_them():
    """Of the draws a quarter are the one patient alone and a quarter the other."""
    images = [image("a", "P1", two_classes(30, 70)), image("b", "P2", two_classes(90, 10))]
    wound = dice_intervals(images, {0: "background", 1: "wound"})[1]
    assert wound["low"] == pytest.approx(60 / 130)
    assert wound["high"] == pytest.approx(180 / 190)
    assert wound["dice"] == pytest.approx(240 / 320)


def test_photos_of_a_patient_are_drawn_together():
    """However unlike: patients whose photos together are the same leave nothing to chance."""
    images = [
        image(f"{patient}{hit}", patient, two_classes(hit, 100 - hit))
        for patient in "abc"
        for hit in (10, 90)
    ]
    wound = dice_intervals(images, {0: "background", 1: "wound"})[1]
    assert wound["low"] == wound["high"] == wound["dice"]


def test_the_interval_covers_the_truth_as_often_as_it_says():
    """Patients of 100 wound pixels, of which a random share is found and nothing is added.

    Over all patients the share is a half, so Dice is 2 * 50 / (100 + 50). A percentile interval
    over 40 patients covers in 93 to 95 % of trials; over 200 trials that varies by 1.7 %.
    """
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(200):
        hits = rng.integers(0, 101, 40)
        images = [image(str(k), str(k), two_classes(h, 100 - h)) for k, h in enumerate(hits)]
        row = dice_intervals(images, {0: "background", 1: "wound"}, draws=400)[1]
        covered += row["low"] <= 100 / 150 <= row["high"]
    assert 0.88 <= covered / 200 <= 0.99


def test_the_same_seed_gives_the_same_interval_whatever_the_order():
    images = held_out()
    assert dice_intervals(images, CLASSES) == dice_intervals(images[::-1], CLASSES)
    assert dice_intervals(images, CLASSES, seed=1) != dice_intervals(images, CLASSES, seed=2)
    assert mean_dice_interval(images, CLASSES) == mean_dice_interval(images[::-1], CLASSES)


def test_a_class_in_neither_mask_has_no_dice():
    counts = table((50, 5, 0), (5, 40, 0), (0, 0, 0))
    rows = dice_intervals([image("a", "P1", counts), image("b", "P2", counts)], CLASSES)
    assert [row["dice"] is None for row in rows] == [False, False, True]
    assert (rows[2]["low"], rows[2]["high"], rows[2]["patients"]) == (None, None, 0)


def test_a_class_of_one_patient_has_no_interval():
    """Drawing that patient alone would always give the same Dice."""
    with_wound, without = (
        table((50, 5, 1), (5, 40, 2), (1, 2, 30)),
        table((50, 5, 0), (5, 40, 0), (0, 0, 0)),
    )
    images = [image("a", "P1", with_wound), image("b", "P2", without), image("c", "P3", without)]
    rows = dice_intervals(images, CLASSES)
    assert rows[2]["dice"] == pytest.approx(60 / 66)
    assert (rows[2]["low"], rows[2]["high"], rows[2]["patients"]) == (None, None, 1)
    assert rows[1]["low"] is not None


def test_one_patient_gives_no_interval_and_no_photos_give_nothing():
    one = mean_dice_interval(held_out(patients=1), CLASSES)
    assert one["dice"] is not None
    assert (one["low"], one["high"]) == (None, None)
    assert mean_dice_interval([], CLASSES) == {"dice": None, "low": None, "high": None}
    assert all(row["dice"] is row["low"] is None for row in dice_intervals([], CLASSES))


def test_a_table_of_other_classes_is_refused():
    with pytest.raises(ValueError, match=r"need a \(3, 3\) table, got \(2, 2\)"):
        dice_intervals([image("a", "P1", two_classes(1, 1))], CLASSES)


# Worst cases


def test_the_worst_photo_comes_first_and_background_does_not_count():
    images = [
        image("good", "P1", table((1, 0, 0), (0, 90, 10), (0, 0, 90))),
        image("bad", "P2", table((10**6, 0, 0), (0, 90, 10), (0, 60, 0))),
        image("empty", "P3", table((100, 0, 0), (0, 0, 0), (0, 0, 0))),
        image("missed", "P4", table((10**6, 0, 0), (0, 0, 0), (50, 0, 0))),
        image("invented", "P5", table((10**6, 50, 0), (0, 0, 0), (0, 0, 0))),
    ]
    assert worst_cases_order(images, CLASSES) == ["invented", "missed", "bad", "good"]
    assert worst_cases_order(images, CLASSES, count=1) == ["invented"]
    assert foreground_dice(images[1].counts, CLASSES) == pytest.approx(180 / 250 / 2)
    assert foreground_dice(images[2].counts, CLASSES) is None


# Curves


def circles(svg):
    return [
        (float(node.get("cx")), float(node.get("cy")), node.get("fill"))
        for node in ET.fromstring(svg).iter(f"{SVG}circle")  # noqa: S314 (our own output)
    ]


def texts(svg):
    return [node.text for node in ET.fromstring(svg).iter(f"{SVG}text")]  # noqa: S314 - our own


def test_points_lie_where_their_numbers_say():
    svg = draw_curves([line(100, 2.0, 0.25), line(200, 1.0), line(400, 1.5, 0.75)])
    points = circles(svg)
    loss, dice = points[:3], points[3:]
    assert len(dice) == 2
    # Coordinates are written to one decimal.
    assert loss[2][0] - loss[1][0] == pytest.approx(2 * (loss[1][0] - loss[0][0]), abs=0.21)
    assert loss[1][1] - loss[0][1] == pytest.approx(2 * (loss[2][1] - loss[0][1]), abs=0.21)
    # A loss of 2 fills its panel, so half a Dice is as high as a loss of 1.
    assert dice[0][1] - dice[1][1] == pytest.approx(loss[1][1] - loss[0][1], abs=0.21)
    assert [x for x, _, _ in dice] == [loss[0][0], loss[2][0]]


@pytest.mark.parametrize("kept", [100, 500, 1200])
def test_the_kept_step_is_marked(kept):
    svg = draw_curves(SETTLED, kept)
    assert f"weights kept: step {kept}" in texts(svg)
    (x,) = [x for x, _, _ in circles(svg)[:12] if f'"M{x:.1f} 22V' in svg]
    assert x == circles(svg)[kept // 100 - 1][0]
    assert "kept" not in draw_curves(SETTLED)


@pytest.mark.parametrize("history", [[], [line(1, 0.7)], [line(1, 0.0, 0.0)], [line(1, 2e-5)]])
def test_curves_of_hardly_anything_are_a_picture(history):
    svg = draw_curves(history, 1)
    assert len(circles(svg)) == sum(1 + ("val" in entry) for entry in history)
    assert ("nothing was measured" in texts(svg)) == (not history or "val" not in history[0])


def test_an_axis_has_few_round_numbers():
    svg = draw_curves([line(37000, 13.7)])
    # Numbers with one place are ticks; the last value has two.
    found = [float(text) for text in texts(svg) if re.fullmatch(r"\d+", text or "")]
    assert found == [0, 5, 10, 15, 0, 10000, 20000, 30000]


def test_the_same_history_gives_the_same_bytes():
    assert draw_curves(SETTLED, 500) == draw_curves(SETTLED, 500)


# The report


def test_one_file_without_scripts_or_outside_resources():
    html = training_report(run_record(), held_out(), [worst_case()], COLOURS, "test")
    checker = check(html)
    assert not {"script", "link"} & checker.tags
    assert all(source.startswith("data:image/jpeg;base64,") for source in checker.sources)
    assert len(checker.sources) == 3
    assert "url(" not in html
    assert "@import" not in html


def test_the_headline_says_how_good_on_how_many():
    images = held_out()
    mean = mean_dice_interval(images, CLASSES)
    text = text_of(training_report(run_record(), images, [], COLOURS, "test"))
    assert (
        "Trained on 40 photos, tried on 12 photos of 6 patients that it did not learn from (test "
        f"part): mean Dice {mean['dice']:.2f} (95 % interval {mean['low']:.2f}\N{EN DASH}"
        f"{mean['high']:.2f})."
    ) in text


def test_a_sound_run_has_no_cautions():
    assert titles(training_report(run_record(), held_out(), [], COLOURS, "test")) == []


def test_figures_that_chose_the_weights_are_called_optimistic():
    html = training_report(run_record(), held_out(), [], COLOURS, "val")
    assert titles(html) == ["These figures are optimistic"]
    assert "validation part" in text_of(html)


def test_another_part_is_refused():
    with pytest.raises(ValueError, match="need one of val, test, got 'train'"):
        training_report(run_record(), [], [], COLOURS, "train")


@pytest.mark.parametrize(("patients", "words"), [(4, "4 patients"), (1, "1 patient")])
def test_few_patients_are_a_caution(patients, words):
    html = training_report(run_record(), held_out(patients), [], COLOURS, "test")
    assert titles(html) == [f"Only {words} held out"]
    assert ("no interval from one patient" in html) == (patients == 1)


def test_nothing_held_out_is_said_with_what_to_do():
    html = training_report(run_record(history=[]), [], [], COLOURS, "test")
    check(html)
    text = text_of(html)
    assert titles(html) == ["No held-out photo was evaluated"]
    assert "Put the photos of at least 5 patients into the test part" in text
    assert "What was taken for what" not in text
    assert "The run has no evaluation yet." in text


def test_images_left_out_are_named_with_their_reasons():
    left_out = {f"img_{k:02d}": f"there is no mask <{k}>" for k in range(11)}
    record = run_record()
    record["data"]["left_out"] = left_out
    html = training_report(record, held_out(), [], COLOURS, "test")
    assert titles(html) == ["11 images left out"]
    assert "<summary>3 more</summary>" in html
    for k in range(11):
        assert f"img_{k:02d}: there is no mask &lt;{k}&gt;" in html


RISE, FALL = np.linspace(0.4, 0.7, 12), np.r_[np.linspace(0.4, 0.7, 8), 0.69, 0.67, 0.65, 0.64]
FLAT = np.r_[np.linspace(0.4, 0.7, 7), [0.7] * 5]
DROP = np.linspace(2.0, 0.5, 12)


@pytest.mark.parametrize(
    ("loss", "dice", "changes", "expected"),
    [
        (DROP, RISE, {}, ["Training ended too soon"]),
        (DROP, FALL, {}, ["Overfitting"]),
        (DROP, FLAT, {}, ["Training may have ended too soon"]),
        (DROP, FLAT, {"stopped_early": True}, []),
        (DROP, [None] * 12, {}, ["Training may have ended too soon"]),
        (FLAT, FLAT, {}, []),
        (DROP[:5], RISE[:5], {}, []),
    ],
)
def test_the_end_of_a_run_is_judged(loss, dice, changes, expected):
    history = [line(100 * (k + 1), *pair) for k, pair in enumerate(zip(loss, dice, strict=True))]
    html = training_report(run_record(history, **changes), held_out(), [], COLOURS, "test")
    assert titles(html) == expected


def test_overfitting_names_the_kept_step():
    history = [line(100 * (k + 1), 1.0, dice) for k, dice in enumerate(FALL)]
    html = training_report(run_record(history, kept_step=800), held_out(), [], COLOURS, "test")
    assert "The weights that were kept are those of step 800." in html
    # From 0.70 to 0.64, along a line.
    assert "fell by 0.06" in html


def test_confusion_is_in_percent_of_the_true_class():
    counts = table((80, 20, 0), (0, 0, 0), (25, 50, 25))
    images = [image("a", "P1", counts), image("b", "P2", counts)]
    html = training_report(run_record(), images, [], COLOURS, "test")
    assert rows_under(html, "What was taken for what") == [
        ["background", "50.0", "80.0", "20.0", ""],
        ["skin", "", "\N{EN DASH}", "\N{EN DASH}", "\N{EN DASH}"],
        ["wound bed", "50.0", "25.0", "50.0", "25.0"],
    ]


def test_the_table_of_classes_has_what_the_intervals_say():
    images = held_out()
    html = training_report(run_record(), images, [], COLOURS, "test")
    for row, shown in zip(
        dice_intervals(images, CLASSES), rows_under(html, "Agreement by class"), strict=True
    ):
        interval = f"{row['low']:.2f}\N{EN DASH}{row['high']:.2f}"
        assert shown == [row["name"].replace("_", " "), "6", f"{row['dice']:.2f}", interval, ""]


@pytest.mark.parametrize("n", [2, 10, 11, 30])
def test_any_number_of_classes_has_its_row_under_its_name(n):
    """Thirty classes: run.json sorts code 10 before code 2, the tables do not."""
    classes = {code: f"class {code}" for code in range(n)}
    counts = np.diag(np.arange(1, n + 1)) * 100
    images = [image(name, name, counts) for name in "abcde"]
    colours = {code: (code, code, code) for code in classes}
    html = training_report(run_record(classes=classes), images, [], colours, "test")
    check(html)
    rows = rows_under(html, "What was taken for what")
    shares = [float(row[1]) for row in rows]
    assert shares == sorted(shares)
    names = [f"{code} class {code}" if n > 10 else f"class {code}" for code in range(n)]
    assert [row[0] for row in rows] == names
    assert all(len(row) == n + 2 for row in rows)


def test_words_from_outside_are_escaped_and_any_script_is_kept():
    hostile = '<script>alert("x")</script> & é 皮膚'
    classes = {0: hostile, 1: hostile}
    images = [image(hostile, name, two_classes(50, 10)) for name in "abcde"]
    record = run_record(
        classes=classes,
        device=hostile,
        init={"name": hostile, "digest": hostile},
        settings={hostile: hostile},
    )
    record["data"]["left_out"] = {hostile: hostile}
    html = training_report(record, images, [worst_case(hostile)], COLOURS, "test")
    checker = check(html)
    assert "script" not in checker.tags
    assert "&lt;script&gt;" in html
    assert "é 皮膚" in html


def test_settings_and_versions_are_named():
    rows = rows_under(
        training_report(run_record(), held_out(), [], COLOURS, "test"), "How it was made"
    )
    assert ["architecture, encoder", "tu-x"] in rows
    assert ["architecture, decoder", "32, 16"] in rows
    assert ["minutes", "\N{EN DASH}"] in rows
    assert ["Version of torch", "2.12.1"] in rows
    assert ["Data, SHA-256", "ab" * 32] in rows


def test_worst_photos_are_shown_with_the_outlines_of_both_masks():
    html = training_report(run_record(), held_out(), [worst_case()], COLOURS, "test")
    photo, truth, network = map(decode, check(html).sources)
    assert photo.shape == truth.shape == (480, 480, 3)
    # JPEG moves flat colour by a few codes.
    np.testing.assert_allclose(photo, np.broadcast_to((120, 90, 70), photo.shape), atol=4)
    # The network saw background alone, which has no outline.
    np.testing.assert_allclose(network, photo, atol=2)
    # The wound's left border is at 480 / 4; its line is there, inside the wound and not outside.
    np.testing.assert_allclose(truth[180, 121], COLOURS[4], atol=40)
    np.testing.assert_allclose(truth[180, 118], COLOURS[1], atol=40)
    np.testing.assert_allclose(truth[180, 180], (120, 90, 70), atol=4)
    legend = html.split('<div class="legend">')[1].split("</div>")[0]
    assert re.findall(r"</i>(.*?)</span>", legend) == ["skin", "wound bed"]


def test_masks_may_hold_pixels_of_no_class():
    case = worst_case()
    case.truth[:5] = 255
    html = training_report(run_record(), held_out(), [case], COLOURS, "test")
    assert len(check(html).sources) == 3


def test_tables_of_real_masks_are_understood():
    """What `confusion` counts is what the report takes."""
    case = worst_case()
    counts = confusion(case.truth, case.predicted, tuple(CLASSES))
    assert foreground_dice(counts, CLASSES) == 0.0
    assert worst_cases_order([image("a", "P1", counts)], CLASSES) == ["a"]


def test_the_same_run_gives_the_same_bytes():
    arguments = (run_record(), held_out(), [worst_case()], COLOURS, "test")
    assert training_report(*arguments) == training_report(*arguments)
