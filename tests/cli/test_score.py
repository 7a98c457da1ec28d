import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner, Result

from bsa_vision.app import score as app_score
from bsa_vision.app.progress import Progress, ProgressEvent
from bsa_vision.app.score import SeriesOutcome, Status
from bsa_vision.calibration.calibrate import calibrate
from bsa_vision.cli.console import ExitCode
from bsa_vision.cli.main import app
from bsa_vision.cli.score import SeverityRule, code_of
from bsa_vision.measures.settings import EndpointSettings
from bsa_vision.measures.severity import RULES
from bsa_vision.photo.decode import read_photo

EXAMPLE = Path(__file__).parents[2] / "annotations" / "example"

SOLES = {"view": "feet_plantar", "how": "both soles", "shows_percent": 2.66, "again": False}


def _photo(
    file: str,
    reason: str | None = None,
    colour: str | None = None,
    code: str = "photo_truncated",
) -> dict[str, Any]:
    return {
        "file": file,
        "status": "refused" if reason else "scored",
        "code": code if reason else None,
        "reason": reason,
        "remedy": "Take it again." if reason else None,
        "colour_reason": colour,
        "scale_reason": colour,
    }


def _document(photos: list[dict[str, Any]]) -> dict[str, Any]:
    def estimate(percent: float | None) -> dict[str, Any]:
        if percent is None:
            return {"percent": None, "low": None, "high": None, "reason": "no visit on this day"}
        return {"percent": percent, "low": percent - 1, "high": percent + 1.25}

    names = ("counted_bsa", "detached", "detachable", "reepithelialised", "erythema")
    visit: dict[str, Any] = {name: estimate(10.0 + i) for i, name in enumerate(names)}
    visit |= {"not_assessed_percent": 3.25, "flags": [], "photos_to_take": [SOLES]}
    rates = {
        "5": {**estimate(81.5), "flags": ["capped", "mostly_filled"]},
        "10": {**estimate(None), "flags": []},
    }
    return {
        "visits": [{"day": 5, **visit, "photos": photos}],
        "endpoints": {
            "max_counted_bsa": {
                **estimate(22.0),
                "day": 0,
                "status": "provisional",
                "flags": ["mostly_filled"],
            },
            "reepithelialisation_rate": rates,
            "responder_d7": {
                "responder": None,
                "reason": "no visit on D7",
                "cut_off": 90.0,
                "day": 7,
                "straddles": False,
            },
        },
    }


def _outcome(status: Status, document: dict[str, Any] | None = None) -> SeriesOutcome:
    reason = None if status in ("done", "skipped") else "because"
    return SeriesOutcome(Path("S1"), Path("out/S1"), status, reason, document)


GOOD = _document([_photo("D05/a.jpg")])
FLAWED = _document(
    [_photo("D05/a.jpg", reason="D05/a.jpg: truncated."), _photo("D05/b.jpg", colour="No card.")]
)
UNUSABLE = _document([_photo("D05/a.jpg", reason="D05/a.jpg: truncated.")])
BROKEN = _document([_photo("D05/a.jpg", reason="an error in the software", code="photo_failed")])
PARTLY_BROKEN = _document(
    [
        _photo("D05/a.jpg", reason="D05/a.jpg: truncated."),
        _photo("D05/b.jpg", reason="an error in the software", code="photo_failed"),
    ]
)


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([_outcome("done", GOOD)], ExitCode.DONE),
        ([_outcome("done", GOOD), _outcome("skipped", GOOD)], ExitCode.DONE),
        ([_outcome("skipped", FLAWED)], ExitCode.SOME_FAILED),
        ([_outcome("partial", FLAWED)], ExitCode.SOME_FAILED),
        ([_outcome("done", GOOD), _outcome("refused")], ExitCode.SOME_FAILED),
        ([_outcome("done", GOOD), _outcome("failed")], ExitCode.SOME_FAILED),
        ([_outcome("refused", FLAWED)], ExitCode.ALL_REFUSED),
        ([_outcome("refused"), _outcome("refused", FLAWED)], ExitCode.ALL_REFUSED),
        ([_outcome("refused")], ExitCode.BAD_INPUT),
        ([_outcome("failed")], ExitCode.BUG),
        ([_outcome("failed"), _outcome("refused")], ExitCode.BUG),
        ([_outcome("refused", FLAWED), _outcome("failed")], ExitCode.BUG),
        ([_outcome("partial", FLAWED), _outcome("failed")], ExitCode.SOME_FAILED),
        ([_outcome("refused", PARTLY_BROKEN)], ExitCode.BUG),
        ([_outcome("refused", BROKEN)], ExitCode.BUG),
        ([_outcome("skipped", BROKEN)], ExitCode.BUG),
        ([_outcome("skipped", UNUSABLE)], ExitCode.ALL_REFUSED),
        ([_outcome("done", GOOD), _outcome("skipped", UNUSABLE)], ExitCode.SOME_FAILED),
    ],
)
def test_exit_code(outcomes: list[SeriesOutcome], code: ExitCode) -> None:
    assert code_of(outcomes) == code


def _score(
    monkeypatch: pytest.MonkeyPatch, outcomes: list[SeriesOutcome], *arguments: str
) -> tuple[Result, dict[str, Any]]:
    seen: dict[str, Any] = {}

    def score_many(
        series: list[Path], out: Path, *, progress: Progress, **options: Any
    ) -> list[SeriesOutcome]:
        seen.update(series=series, out=out, **options)
        progress(ProgressEvent("S1", "photos", 1, 2))
        return outcomes

    monkeypatch.setattr(app_score, "score_many", score_many)
    done = CliRunner().invoke(app, ["score", "S1", "--out", "out", *arguments])
    return done, seen


def test_options_reach_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    done, seen = _score(monkeypatch, [_outcome("done", GOOD)])
    assert done.exit_code == ExitCode.DONE
    assert seen == {
        "series": [Path("S1")],
        "out": Path("out"),
        "weighting": "lund-browder",
        "masks": "auto",
        "model": None,
        "severity_rule": "international",
        "responder_cut_off": 90.0,
        "workers": 1,
        "overwrite": False,
    }
    arguments = (
        "S2 --weighting personal --masks given --model m --workers 2 --overwrite "
        "--severity-rule pnds-2018 --responder-cut-off 95"
    )
    _, seen = _score(monkeypatch, [_outcome("done", GOOD)], *shlex.split(arguments))
    assert seen["series"] == [Path("S1"), Path("S2")]
    assert (seen["weighting"], seen["masks"], seen["model"]) == ("personal", "given", "m")
    assert (seen["workers"], seen["overwrite"]) == (2, True)
    assert (seen["severity_rule"], seen["responder_cut_off"]) == ("pnds-2018", 95)


def test_the_rules_and_defaults_are_those_of_the_measures(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {rule.value for rule in SeverityRule} == set(RULES)
    _, seen = _score(monkeypatch, [_outcome("done", GOOD)])
    endpoints = EndpointSettings()
    assert seen["severity_rule"] == endpoints.severity_rule
    assert seen["responder_cut_off"] == endpoints.responder_cut_off


def test_the_table_shows_numbers_and_what_could_not_be_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    done, _ = _score(monkeypatch, [_outcome("partial", FLAWED)])
    assert done.exit_code == ExitCode.SOME_FAILED
    for text in (
        "D5",
        "Maximal counted BSA: 22.0 (21.0 to 23.2) %, D0, provisional, mostly filled",
        "Re-epithelialisation D5: 81.5 (80.5 to 82.8) %, capped, mostly filled",
        "Re-epithelialisation D10: not given: no visit on this day",
        "Responder at D7 (>= 90 %): not given: no visit on D7",
        "Report: out/S1/report.html",
    ):
        assert text in done.stdout
    assert "D5 D05/a.jpg: refused: D05/a.jpg: truncated. Take it again." in done.stderr
    # One reason given twice is told once.
    assert done.stderr.count("D5 D05/b.jpg: scored, but: No card.") == 1


def test_a_visit_that_rests_on_little_skin_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    document = _document([_photo("D05/a.jpg")])
    filled, sparse = document["visits"][0], json.loads(json.dumps(document["visits"][0]))
    filled["flags"] = ["mostly_filled"]
    reason = "12.0 % of the skin was assessed, needed 25 %: photograph the missing views"
    sparse["counted_bsa"] = {"percent": None, "low": None, "high": None, "reason": reason}
    document["visits"].append({**sparse, "day": 7, "flags": ["sparsely_seen"]})
    done, _ = _score(monkeypatch, [_outcome("done", document)])
    assert "D5: mostly filled: more than half of the skin was not assessed; photo" in done.stderr
    assert "D5: feet_plantar would show 2.7 % more: both soles" in done.stderr
    assert f"D7: not given: {reason}" in done.stderr


def test_json_is_one_document_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    done, _ = _score(monkeypatch, [_outcome("done", GOOD), _outcome("refused")], "--json")
    document = json.loads(done.stdout)
    assert document["format"] == "bsa-vision-score/1"
    first, second = document["series"]
    assert (first["status"], first["results"]) == ("done", GOOD)
    assert (second["status"], second["reason"], second["results"]) == ("refused", "because", None)
    assert done.exit_code == ExitCode.SOME_FAILED


def test_a_series_that_cannot_be_read_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    done, _ = _score(monkeypatch, [_outcome("refused")])
    assert done.exit_code == ExitCode.BAD_INPUT
    assert "S1: refused: because" in done.stderr


@pytest.mark.parametrize(
    "bad",
    [
        ["--weighting", "half"],
        ["--masks", "none"],
        ["--workers", "0"],
        ["--severity-rule", "french"],
        ["--responder-cut-off", "all"],
    ],
)
def test_options_that_make_no_sense_are_bad_usage(
    monkeypatch: pytest.MonkeyPatch, bad: list[str]
) -> None:
    done, seen = _score(monkeypatch, [], *bad)
    assert done.exit_code == ExitCode.BAD_INPUT
    assert not seen


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A photo with a colour card, the same one with grey paint over it, and a corrupt one."""
    series = tmp_path / "mixed"
    shutil.copytree(EXAMPLE, series)
    listing = json.loads((series / "series.json").read_text())
    (photo,) = listing["visits"][0]["photos"]
    path = series / photo["file"]
    taken = read_photo(path, 2000)
    scale = calibrate(taken).scale
    sheet = np.round(scale.corners_px).astype(np.int32)
    bare = cv2.fillConvexPoly(cv2.imread(str(path)), cv2.convexHull(sheet), (120, 120, 120))
    cv2.imwrite(str(series / "D07" / "no_card.png"), bare)
    (series / "D07" / "broken.jpg").write_bytes(path.read_bytes()[:500])
    listing["visits"][0]["photos"] += [
        {**photo, "file": f"D07/{name}"} for name in ("no_card.png", "broken.jpg")
    ]
    (series / "series.json").write_text(json.dumps(listing))
    return series


def test_a_photo_without_card_is_scored_and_named_and_a_corrupt_one_gives_3(
    mixed: Path, tmp_path: Path
) -> None:
    arguments = ["score", str(mixed), "--out", str(tmp_path / "out"), "--masks", "given"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == ExitCode.SOME_FAILED, done.output
    document = json.loads((tmp_path / "out" / "mixed" / "results.json").read_text())
    photos = {photo["file"]: photo for photo in document["visits"][0]["photos"]}
    carded, bare, broken = (
        photos[f"D07/{name}"] for name in ("trunk_front.jpg", "no_card.png", "broken.jpg")
    )
    assert (carded["status"], bare["status"], broken["status"]) == ("scored", "scored", "refused")
    assert carded["colour_de00"] is not None
    assert carded["colour_reason"] is None
    assert bare["colour_de00"] is None
    assert bare["colour_reason"]
    assert f"D7 D07/no_card.png: scored, but: {bare['colour_reason']}" in done.stderr
    assert f"D7 D07/broken.jpg: refused: {broken['reason']}" in done.stderr
