import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from bsa_vision import __version__
from bsa_vision.cli import main
from bsa_vision.cli.console import ExitCode, exit_code
from bsa_vision.core.errors import InputError

COMMANDS = (
    "score", "calibrate", "predict", "evaluate", "train", "landmarks", "phantom", "sheet", "demo",
    "models",
)  # fmt: skip
#: What help must not wait for: each of these takes longer to import than help may take.
HEAVY = ("torch", "napari", "openvino", "cv2", "scipy", "trimesh", "matplotlib", "numpy", "PIL")


def _python(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, **variables},
    )


def _program(*arguments: str) -> subprocess.CompletedProcess[str]:
    return _python("-c", "from bsa_vision.cli.main import run; run()", *arguments)


def test_importing_the_program_loads_nothing_heavy() -> None:
    code = (
        "import sys, bsa_vision.cli, bsa_vision.cli.main\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = _python("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"


def test_help_names_every_command_and_answers_at_once() -> None:
    def child_seconds() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before = child_seconds()
    done = _program("--help")
    # Processor time, not the clock's: the same on a busy machine.
    assert child_seconds() - before < 0.5
    assert done.returncode == ExitCode.DONE
    assert all(f"  {command} " in done.stdout for command in COMMANDS)
    assert "Exit codes" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_explains_itself(command: str) -> None:
    done = _program(command, "--help")
    assert done.returncode == ExitCode.DONE
    assert f"bsa-vision {command}" in done.stdout or f"{command} [OPTIONS]" in done.stdout
    assert done.stderr == ""


def test_version() -> None:
    assert _program("--version").stdout == f"bsa-vision {__version__}\n"


@pytest.mark.parametrize("arguments", [["bogus"], ["score"], ["phantom", "out", "--seed", "x"]])
def test_bad_usage_leaves_with_2(arguments: list[str]) -> None:
    done = _program(*arguments)
    assert done.returncode == ExitCode.BAD_INPUT
    assert done.stdout == ""
    assert "Error" in done.stderr


def _run(monkeypatch: pytest.MonkeyPatch, failure: Exception, *arguments: str) -> int:
    def fail() -> None:
        raise failure

    monkeypatch.setattr(main, "app", fail)
    monkeypatch.setattr(sys, "argv", ["bsa-vision", *arguments])
    with pytest.raises(SystemExit) as left:
        main.run()
    assert isinstance(left.value.code, int)
    return left.value.code


def test_an_input_error_is_one_message_and_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = _run(monkeypatch, InputError("needed [x], got y.", "Do [z]."))
    assert code == ExitCode.BAD_INPUT
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err == "bsa-vision: needed [x], got y. Do [z].\n"


def test_a_bug_is_a_short_message_and_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code = _run(monkeypatch, RuntimeError("broken"))
    assert code == ExitCode.BUG
    shown = capsys.readouterr().err
    assert "RuntimeError: broken" in shown
    assert "--debug" in shown
    assert "Traceback" not in shown


def test_debug_shows_where_a_bug_happened(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise RuntimeError

    monkeypatch.setattr(main, "app", fail)
    monkeypatch.setattr(sys, "argv", ["bsa-vision", "--debug", "demo"])
    with pytest.raises(RuntimeError):
        main.run()


@pytest.mark.parametrize(("failed", "total", "code"), [(0, 3, 0), (1, 3, 3), (3, 3, 4), (0, 0, 0)])
def test_exit_codes(failed: int, total: int, code: int) -> None:
    assert exit_code(failed, total) == code


def test_landmarks_json_is_a_document_on_stdout() -> None:
    done = _program("landmarks", "--json")
    assert done.returncode == ExitCode.DONE, done.stderr
    document = json.loads(done.stdout)
    assert document["format"] == "bsa-vision-landmarks/1"
    assert len(document["landmarks"]) >= 60
    for landmark in document["landmarks"]:
        assert set(landmark) == {"name", "meaning", "face", "barycentric"}
        # Weights are rounded where they are stored; six decimals sum to 1 within 3e-6.
        assert abs(sum(landmark["barycentric"]) - 1) < 3e-6


def test_sheet_writes_a_pdf(tmp_path: Path) -> None:
    path = tmp_path / "sheet.pdf"
    done = _program("sheet", str(path))
    assert done.returncode == ExitCode.DONE, done.stderr
    assert path.read_bytes().startswith(b"%PDF-")
    assert _program("sheet", str(tmp_path / "none" / "sheet.pdf")).returncode == ExitCode.BAD_INPUT
