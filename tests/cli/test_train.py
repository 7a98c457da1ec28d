import json
import random
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from bsa_vision.cli.console import ExitCode
from bsa_vision.cli.main import app


@pytest.fixture(scope="module")
def training_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight photos of a red disc on grey: what two steps can begin to learn from."""
    root = tmp_path_factory.mktemp("data")
    (root / "images").mkdir()
    (root / "masks").mkdir()
    rng = np.random.default_rng(0)
    for number in range(8):
        image = rng.integers(100, 130, (200, 260, 3), dtype=np.uint8)
        mask = np.zeros((200, 260), np.uint8)
        cv2.circle(mask, (60 + 15 * number, 100), 40, 1, -1)
        image[mask == 1] = (40, 30, 200)
        cv2.imwrite(str(root / "images" / f"{number}.png"), image)
        cv2.imwrite(str(root / "masks" / f"{number}.png"), mask)
    listing = {"classes": {"0": "background", "1": "disc"}}
    (root / "dataset.json").write_text(json.dumps(listing), encoding="utf-8")
    return root


@pytest.mark.slow
def test_train_predict_evaluate(training_folder: Path, tmp_path: Path) -> None:
    data, model, masks = str(training_folder), str(tmp_path / "disc"), str(tmp_path / "masks")
    runner = CliRunner()
    trained = runner.invoke(app, ["train", "--data", data, "--out", model, "--steps", "2"])
    assert trained.exit_code == ExitCode.DONE, trained.output
    assert f"Model: {model}" in trained.stdout
    predicted = runner.invoke(
        app, ["predict", f"{data}/images", "--model", model, "--out", masks, "--json"]
    )
    assert predicted.exit_code == ExitCode.DONE, predicted.output
    assert len(json.loads(predicted.stdout)["photos"]) == 8
    evaluated = runner.invoke(
        app, ["evaluate", "--pred", masks, "--truth", f"{data}/masks", "--json"]
    )
    assert evaluated.exit_code == ExitCode.DONE, evaluated.output
    document = json.loads(evaluated.stdout)
    assert document["pixels"] == 8 * 200 * 260
    assert [row["name"] for row in document["classes"]] == ["background", "disc"]


def test_a_seed_below_zero_is_bad_usage(tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    done = CliRunner().invoke(app, ["train", "--data", out, "--out", out, "--seed", "-1"])
    assert done.exit_code == ExitCode.BAD_INPUT
    assert "--seed" in done.stderr


def test_a_folder_that_is_no_training_folder_is_an_input_error(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["train", "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    )
    assert type(done.exception).__name__ == "InputError"
    assert "dataset.json" in str(done.exception)


@pytest.mark.slow
def test_a_killed_training_goes_on_to_the_same_weights(
    training_folder: Path, tmp_path: Path
) -> None:
    def start(out: Path) -> subprocess.Popen[bytes]:
        program = [Path(sys.executable).with_name("bsa-vision"), "train", "--data", training_folder]
        return subprocess.Popen(
            [*program, "--out", out, "--steps", "48"], stderr=subprocess.DEVNULL
        )

    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert start(whole).wait() == 0
    killed = start(broken)
    while not (broken / "run" / "checkpoint.pt").is_file():
        assert killed.poll() is None
        time.sleep(0.05)
    # Anywhere in the steps that follow, which are then taken again from the last checkpoint.
    time.sleep(random.uniform(0, 1.0))  # noqa: S311 (no secret)
    killed.kill()
    killed.wait()
    assert not (broken / "card.json").is_file()
    assert start(broken).wait() == 0
    for name in ("weights.safetensors", "network.bin", "card.json"):
        first, second = ((out / name).read_bytes() for out in (whole, broken))
        if name == "card.json":
            first, second = (_without_clock(text) for text in (first, second))
        assert first == second, name


def _without_clock(card: bytes) -> bytes:
    """The card without how long the training took and without the model's name."""
    document = json.loads(card)
    document["name"] = ""
    training = document["training"]
    training["minutes"] = training["seconds"] = 0
    for line in training["history"]:
        line["minutes"] = 0
    return json.dumps(document).encode()
