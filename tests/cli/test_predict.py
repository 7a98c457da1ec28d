from pathlib import Path

import pytest
from typer.testing import CliRunner

from bsa_vision.app import masks
from bsa_vision.app.masks import NOT_WRITTEN, MaskOutcome
from bsa_vision.cli.console import ExitCode
from bsa_vision.cli.main import app
from bsa_vision.core.errors import Refused

PHOTO = Path("ward") / "trunk.jpg"
MASK = MaskOutcome(PHOTO, Path("trunk.png"), None)
BROKEN = MaskOutcome(PHOTO, None, Refused("photo_damaged", "Damaged.", "Take it again."))
UNWRITTEN = MaskOutcome(PHOTO, None, Refused(NOT_WRITTEN, "The disk is full.", "Make room."))


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([MASK], ExitCode.DONE),
        ([MASK, BROKEN], ExitCode.SOME_FAILED),
        ([BROKEN, BROKEN], ExitCode.ALL_REFUSED),
        # The photos are fine: nothing was refused by quality checks.
        ([UNWRITTEN, UNWRITTEN], ExitCode.SOME_FAILED),
        ([UNWRITTEN, BROKEN], ExitCode.SOME_FAILED),
    ],
)
def test_refusals_name_the_photo_and_decide_the_exit_code(
    monkeypatch: pytest.MonkeyPatch, outcomes: list[MaskOutcome], code: ExitCode
) -> None:
    monkeypatch.setattr(masks, "predict_masks", lambda *_: outcomes)
    done = CliRunner().invoke(app, ["predict", "ward", "--model", "m", "--out", "o"])
    assert done.exit_code == code
    said = [line for line in done.stderr.splitlines() if str(PHOTO) in line]
    assert said == [f"{o.photo}: {o.refused}" for o in outcomes if o.refused]
