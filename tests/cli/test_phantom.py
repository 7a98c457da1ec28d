from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from bsa_vision.app import phantom
from bsa_vision.cli.console import ExitCode
from bsa_vision.cli.main import app


@pytest.mark.parametrize(
    ("seed", "code"),
    [
        ("-1", ExitCode.BAD_INPUT),
        ("0", ExitCode.DONE),
        ("9999999", ExitCode.DONE),
        ("10000000", ExitCode.BAD_INPUT),
        ("20261122", ExitCode.BAD_INPUT),  # in an identifier, a date
    ],
)
def test_seeds_are_those_that_make_a_pseudonym(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: str, code: ExitCode
) -> None:
    made: list[Any] = []
    monkeypatch.setattr(phantom, "make_phantom", lambda *_, **options: made.append(options["seed"]))
    done = CliRunner().invoke(app, ["phantom", str(tmp_path / "out"), "--seed", seed])
    assert done.exit_code == code
    assert made == ([int(seed)] if code == ExitCode.DONE else [])
    if code == ExitCode.BAD_INPUT:
        assert "--seed" in done.stderr
