import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.segmentation.conftest import TINY, write_folder
from torch import nn

from bsa_vision.core.errors import InputError
from bsa_vision.segmentation.card import WEIGHTS_FILE, Architecture, read_card
from bsa_vision.segmentation.dataset import IGNORED, read_training_folder
from bsa_vision.segmentation.export import build_network, export_model
from bsa_vision.segmentation.losses import CrossEntropyAndDice, class_weights
from bsa_vision.segmentation.mixed_precision import InMixedPrecision
from bsa_vision.segmentation.model import SkinNetwork, normalise, placed
from bsa_vision.segmentation.train import (
    LONG_SIDES,
    NETWORK,
    TrainSettings,
    _Trainer,
    default_settings,
    kind_of_start,
    load_model_weights,
    train,
    usual_long_side,
)
from bsa_vision.segmentation.training_run import PACED_STEPS, kept_weights

SHORT = replace(TINY, steps=6, val_every=1)
NARROW = {"channels": [8, 8, 8, 8], "stem_width": 8}


def test_run_record_says_what_was_done(trained_run: Path) -> None:
    record = json.loads((trained_run / "run.json").read_text())
    assert record["data"]["images"] == {"train": 16, "val": 4, "test": 4}
    assert record["settings"]["steps"] == TINY.steps
    assert record["versions"]["torch"]
    last = record["history"][-1]
    assert last["step"] == TINY.steps
    assert last["val"]["mean_dice"] > 0.6  # seven well-separated colours; chance is about 0.1


def test_a_run_taken_up_again_ends_where_an_unbroken_one_does(
    training_folder: Path, tmp_path: Path
) -> None:
    class Interrupted(Exception):  # noqa: N818 (not an error of the program)
        pass

    def stop_at_three(line: dict[str, object]) -> None:
        if line["step"] == 3:
            raise Interrupted

    # The default's kind of network, with dropout, which draws at random in every step.
    options = {"decoder_channels": 16, "decoder_aspp_dropout": 0.5}
    network = Architecture("tu-resnet10t", (), NARROW, "deeplabv3plus", options)
    settings = replace(SHORT, architecture=network)
    whole = torch.load(train(training_folder, tmp_path / "a", settings=settings), weights_only=True)
    with pytest.raises(Interrupted):
        train(training_folder, tmp_path / "b", settings=settings, progress=stop_at_three)
    torch.rand(5)
    broken = torch.load(
        train(training_folder, tmp_path / "b", settings=settings), weights_only=True
    )
    assert broken["step"] == whole["step"] == 6
    for kept in ("average", "network"):
        for key, value in whole[kept].items():
            assert torch.equal(value, broken[kept][key]), key


def test_other_settings_do_not_continue_a_run(training_folder: Path, tmp_path: Path) -> None:
    train(training_folder, tmp_path, settings=replace(SHORT, steps=1))
    with pytest.raises(InputError, match="other data or settings"):
        train(training_folder, tmp_path, settings=replace(SHORT, crop=32))


def test_a_run_can_be_given_a_longer_budget(training_folder: Path, tmp_path: Path) -> None:
    train(training_folder, tmp_path, settings=replace(SHORT, steps=1))
    path = train(training_folder, tmp_path, settings=replace(SHORT, steps=2))
    state = torch.load(path, weights_only=True)
    assert [line["step"] for line in state["history"]] == [1, 2]


def test_training_starts_from_a_model_with_other_classes(
    model_folder: Path, tmp_path: Path
) -> None:
    data = write_folder(tmp_path / "two", 8)
    document = json.loads((data / "dataset.json").read_text())
    document["classes"] = {"0": "background", "4": "wound"}
    (data / "dataset.json").write_text(json.dumps(document))
    # Neither the architecture nor the long side is the default: both come from the model.
    settings = TrainSettings(crop=64, batch=8, steps=2, workers=0)
    train(data, tmp_path / "run", init=str(model_folder), settings=settings)
    card, start = (
        export_model(tmp_path / "run", data, tmp_path / "wound-1"),
        read_card(model_folder),
    )
    assert dict(card.classes) == {0: "background", 4: "wound"}
    assert not card.scores_skin
    assert (card.architecture, card.long_side) == (start.architecture, start.long_side)
    assert card.training["init"] == {"name": "discs-1", "digest": start.digest}
    written = [tmp_path / "run" / "run.json", *(tmp_path / "wound-1").glob("*.[jm]*")]
    assert not [path for path in written if str(model_folder.parent) in path.read_text()]
    text = (tmp_path / "wound-1" / "MODEL_CARD.md").read_text()
    assert "started from discs-1" in text
    assert "random" not in text


def test_a_long_side_that_was_chosen_is_not_the_models(
    model_folder: Path, training_folder: Path, tmp_path: Path
) -> None:
    settings = replace(SHORT, steps=1, long_side=96)
    train(training_folder, tmp_path, init=str(model_folder), settings=settings)
    assert json.loads((tmp_path / "run.json").read_text())["settings"]["long_side"] == 96


def test_a_run_goes_on_from_the_same_model_in_another_folder(
    model_folder: Path, training_folder: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    train(training_folder, run, init=str(model_folder), settings=replace(SHORT, steps=1))
    copy = shutil.copytree(model_folder, tmp_path / "moved")
    path = train(training_folder, run, init=str(copy), settings=replace(SHORT, steps=2))
    assert torch.load(path, weights_only=True)["step"] == 2
    with pytest.raises(InputError, match="other data or settings"):
        train(training_folder, run, settings=replace(SHORT, steps=3))


def test_a_model_taken_over_whole_keeps_its_statistics_and_calibration(
    model_folder: Path, training_folder: Path, tmp_path: Path
) -> None:
    card = read_card(model_folder)
    assert kind_of_start(card, card.classes) == "same classes"
    assert kind_of_start(card, {0: "background", 1: "wound"}) == "other classes"
    assert kind_of_start(None, card.classes) == "random"
    kept = default_settings(4, 9, steps=2, start="same classes")
    assert kept.learning_rate < default_settings(4, 9, start="other classes").learning_rate
    before = load_file(model_folder / WEIGHTS_FILE)
    for keep in (True, False):
        settings = replace(kept, crop=64, workers=0, keep_statistics=keep)
        run = tmp_path / str(keep)
        after = kept_weights(train(training_folder, run, str(model_folder), settings))
        moved = {
            key.rpartition(".")[2]
            for key, value in after.items()
            if not torch.equal(value.half(), before[key].half())
        }
        assert "weight" in moved
        assert ("running_mean" in moved) != keep
    record = json.loads((tmp_path / "True" / "run.json").read_text())
    assert record["init"]["calibration"] == {
        "temperature": card.temperature,
        "bias": list(card.bias),
    }


def test_few_photos_move_a_model_half_of_the_way(
    model_folder: Path, training_folder: Path, tmp_path: Path
) -> None:
    assert default_settings(16, 9, start="same classes").start_share == 0.5
    assert default_settings(1600, 9, start="same classes").start_share == 0
    assert default_settings(16, 9, start="other classes").start_share == 0
    before = load_file(model_folder / WEIGHTS_FILE)
    settings = replace(SHORT, steps=3, keep_statistics=True)
    whole, half = (
        kept_weights(train(training_folder, tmp_path / str(share), str(model_folder), chosen))
        for share in (0.0, 0.5)
        for chosen in [replace(settings, start_share=share)]
    )
    for key, value in half.items():
        middle = (whole[key].double() + before[key].double()) / 2
        assert torch.allclose(value.double(), middle, atol=1e-5), key


@pytest.mark.parametrize("same_classes", [True, False])
def test_all_layers_are_the_models_but_the_head_of_other_classes(
    model_folder: Path, same_classes: bool
) -> None:
    card = read_card(model_folder)
    classes = {
        code: name if same_classes else f"other {name}" for code, name in card.classes.items()
    }
    network = SkinNetwork(card.architecture, len(classes))
    load_model_weights(network, model_folder, card, classes)
    trained = build_network(
        model_folder, card.architecture, len(classes), mirrored=False
    ).state_dict()
    state = network.state_dict()
    different = {key for key in state if not torch.equal(state[key], trained[key])}
    assert different == (set() if same_classes else {"head.weight", "head.bias"})


def test_a_model_whose_layers_do_not_fit_is_refused(model_folder: Path) -> None:
    card = read_card(model_folder)
    wider = Architecture(card.architecture.encoder, (32, 24, 16, 16))
    network = SkinNetwork(wider, len(card.classes))
    with pytest.raises(InputError, match=r"'discs-1': .* do not fit, the first is decoder\."):
        load_model_weights(network, model_folder, card, card.classes)


def test_model_folder_is_complete_and_small(model_folder: Path) -> None:
    card = read_card(model_folder)
    assert card.scores_skin
    assert card.training["held_out"]["images"] == 4
    assert (model_folder / WEIGHTS_FILE).stat().st_size < 2**20
    text = (model_folder / "MODEL_CARD.md").read_text()
    assert card.digest in text
    assert "Trained on drawn discs." in text
    assert "random start" in text
    assert "plain and mirrored" in text


def test_exporting_with_other_data_is_refused(trained_run: Path, tmp_path: Path) -> None:
    other = write_folder(tmp_path / "other", 10)
    with pytest.raises(InputError, match="other data"):
        export_model(trained_run, other, tmp_path / "m")
    with pytest.raises(InputError, match="no training run"):
        export_model(tmp_path, other, tmp_path / "m")


def test_mixed_precision_has_the_gradients_of_float32() -> None:
    torch.manual_seed(0)
    network = SkinNetwork(NETWORK, 3)
    # 512: wide enough for torch's fault in dilated depthwise convolutions.
    images = torch.randint(256, (2, 3, 512, 512), dtype=torch.uint8)
    dilated = {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and module.groups > 1 and max(module.dilation) > 1
    }
    assert len(dilated) == 3
    seen = []
    for run in (InMixedPrecision(network, torch.device("cpu")), network):
        placed(network, torch.device("cpu"))
        network.zero_grad()
        shown = normalise(images) if run is network else images
        run(shown, 2).float()[:, 0, ::7, ::5].square().sum().backward()
        seen.append({name: module.weight.grad.clone() for name, module in dilated.items()})
    for name in dilated:
        mixed, exact = seen[0][name], seen[1][name]
        # Rounding alone gives 0.22, the fault 1.3 or anything.
        assert torch.linalg.norm(mixed - exact) < 0.4 * torch.linalg.norm(exact), name


def test_a_gradient_that_is_no_number_ends_the_run_and_spoils_nothing(
    training_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(training_folder, tmp_path, settings=replace(SHORT, steps=2))
    with monkeypatch.context() as patched:
        patched.setattr(CrossEntropyAndDice, "forward", lambda *given: given[1].sum() * np.nan)
        with pytest.raises(InputError, match="broke off at step 3"):
            train(training_folder, tmp_path, settings=replace(SHORT, steps=4))
    train(training_folder, tmp_path, settings=replace(SHORT, steps=4))
    weights = kept_weights(tmp_path / "checkpoint.pt")
    assert all(torch.isfinite(value).all() for value in weights.values())


def test_class_weights_favour_rare_classes_within_limits() -> None:
    weights = class_weights(np.array([1_000_000, 200_000, 20_000, 0]), 0.35)
    assert weights[0] < weights[1] < weights[2]
    assert class_weights(np.array([10**9, 10**9, 1]), 0.35).max() == np.float32(2.5)
    assert weights[3] == 1.0
    assert np.allclose(class_weights(np.array([5, 5]), 0.35), 1.0)


def test_loss_is_small_for_right_logits_and_blind_to_ignored_pixels() -> None:
    loss = CrossEntropyAndDice(np.ones(3, np.float32), dice_share=0.5)
    target = torch.randint(0, 3, (2, 8, 8), generator=torch.Generator().manual_seed(0))
    right = 20.0 * torch.nn.functional.one_hot(target, 3).permute(0, 3, 1, 2)
    assert float(loss(right, target)) < 1e-4
    assert float(loss(-right, target)) > 5
    hidden = target.clone()
    hidden[:, :4] = IGNORED
    wrong_there = right.clone()
    wrong_there[:, :, :4] *= -1
    assert float(loss(wrong_there, hidden)) < 1e-4


def test_the_length_of_a_run_suits_the_number_of_images() -> None:
    few, many = (default_settings(n, 9, start="other classes") for n in (16, 1600))
    assert (few.steps, many.steps) == (400, 4000)
    assert default_settings(16, 9, start="random").steps == 800
    assert default_settings(3, 9, start="same classes").steps == 300
    # Every run is looked at about twenty times, and may end when it no longer gains.
    assert 10 <= few.steps / few.val_every <= 20
    assert few.patience
    # Two patients cannot say which weights are the best.
    assert default_settings(16, 2, start="other classes").patience is None
    assert few.average < many.average


def test_without_a_model_the_long_side_is_that_of_the_images(
    training_folder: Path, tmp_path: Path
) -> None:
    train(training_folder, tmp_path, settings=replace(SHORT, long_side=None, steps=1))
    # The photos have 160 pixels, less than any network is given.
    settings = json.loads((tmp_path / "run.json").read_text())["settings"]
    assert settings["long_side"] == LONG_SIDES[0]


def test_a_model_is_adapted_at_its_own_size_and_in_large_crops(
    model_folder: Path, training_folder: Path, tmp_path: Path
) -> None:
    folder = read_training_folder(training_folder)
    large = replace(read_card(model_folder), long_side=1024)
    assert usual_long_side(folder, large) == 1024
    others = replace(large, classes={0: "background", 1: "wound"})
    assert usual_long_side(folder, others) == LONG_SIDES[1]
    settings = replace(SHORT, steps=1, crop=None, long_side=640)
    train(training_folder, tmp_path / "a", str(model_folder), settings)
    train(training_folder, tmp_path / "b", None, settings)
    crops = [
        json.loads((tmp_path / run / "run.json").read_text())["settings"]["crop"] for run in "ab"
    ]
    assert crops == [320, 256]


def test_minutes_become_steps_once_and_for_all(training_folder: Path, tmp_path: Path) -> None:
    settings = replace(TINY, steps=10**6, minutes=0.02, val_every=PACED_STEPS)
    state = torch.load(train(training_folder, tmp_path, settings=settings), weights_only=True)
    assert PACED_STEPS <= state["step"] == state["paced"][1] < 2000
    again = torch.load(train(training_folder, tmp_path, settings=settings), weights_only=True)
    assert again["step"] == state["step"]


def test_a_run_that_no_longer_gains_ends_and_keeps_its_best(
    training_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marks = iter([0.3, 0.5, 0.4, 0.5, 0.4, 0.9])
    weights: list[dict[str, torch.Tensor]] = []

    def judged(trainer: _Trainer) -> dict[str, object]:
        weights.append({k: v.clone() for k, v in trainer._run.average.items()})
        return {"val": {"mean_dice": next(marks), "classes": []}}

    monkeypatch.setattr(_Trainer, "_held_out", judged)
    path = train(training_folder, tmp_path, settings=replace(SHORT, steps=50, patience=3))
    record = json.loads((tmp_path / "run.json").read_text())
    assert len(record["history"]) == 5
    assert (record["kept_step"], record["stopped_early"]) == (2, True)
    kept = kept_weights(path)
    assert all(torch.equal(kept[key], value) for key, value in weights[1].items())


def test_workers_start_though_photos_were_read_with_many_threads(
    training_folder: Path, tmp_path: Path
) -> None:
    """A forked worker that inherits OpenCV's pool of threads hangs when it touches the pool."""
    code = f"""
import cv2, numpy as np
from dataclasses import replace
from pathlib import Path
from tests.segmentation.conftest import TINY
from bsa_vision.segmentation.train import train
cv2.setNumThreads(2)
cv2.GaussianBlur(np.zeros((2000, 2000, 3), np.uint8), (0, 0), 3)
settings = replace(TINY, steps=2, val_images=1, workers=1)
train(Path({str(training_folder)!r}), Path({str(tmp_path / "run")!r}), settings=settings)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
    assert (tmp_path / "run" / "run.json").is_file()


def test_logits_of_blocks_are_the_means_of_their_pixels() -> None:
    """So a loss of blocks sees what masks are made of, at the same place."""
    torch.manual_seed(0)
    network = SkinNetwork(Architecture("tu-resnet10t", (), NARROW, "deeplabv3plus"), 3).eval()
    images = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        pixels, blocks = network(images), network(images, 2)
    assert blocks.shape == (1, 3, 32, 48)
    assert torch.allclose(torch.nn.functional.avg_pool2d(pixels, 2), blocks, atol=1e-5)
