import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.segmentation.conftest import TINY, write_folder

from bsa_vision.core.errors import InputError
from bsa_vision.segmentation.card import WEIGHTS_FILE, read_card
from bsa_vision.segmentation.dataset import IGNORED
from bsa_vision.segmentation.evaluate import fit_temperature
from bsa_vision.segmentation.export import export_model
from bsa_vision.segmentation.losses import CrossEntropyAndDice, class_weights
from bsa_vision.segmentation.train import train

SHORT = replace(TINY, steps=6, val_minutes=1e-6)


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

    whole = torch.load(train(training_folder, tmp_path / "a", settings=SHORT), weights_only=True)
    with pytest.raises(Interrupted):
        train(training_folder, tmp_path / "b", settings=SHORT, progress=stop_at_three)
    broken = torch.load(train(training_folder, tmp_path / "b", settings=SHORT), weights_only=True)
    assert broken["step"] == whole["step"] == 6
    for key, value in whole["average"].items():
        assert torch.equal(value, broken["average"][key]), key


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
    settings = replace(SHORT, steps=2)
    train(data, tmp_path / "run", init=str(model_folder), settings=settings)
    card = export_model(tmp_path / "run", data, tmp_path / "wound-1")
    assert dict(card.classes) == {0: "background", 4: "wound"}
    assert not card.scores_skin


def test_model_folder_is_complete_and_small(model_folder: Path) -> None:
    card = read_card(model_folder)
    assert card.scores_skin
    assert card.training["held_out"]["images"] == 4
    assert (model_folder / WEIGHTS_FILE).stat().st_size < 2**20
    text = (model_folder / "MODEL_CARD.md").read_text()
    assert card.digest in text
    assert "Trained on drawn discs." in text


def test_exporting_with_other_data_is_refused(trained_run: Path, tmp_path: Path) -> None:
    other = write_folder(tmp_path / "other", 10)
    with pytest.raises(InputError, match="other data"):
        export_model(trained_run, other, tmp_path / "m")
    with pytest.raises(InputError, match="no training run"):
        export_model(tmp_path, other, tmp_path / "m")


def test_temperature_of_overconfident_logits_is_recovered() -> None:
    # True log-odds of two classes at +-1, +-2; the network says three times as much. Targets in
    # exact proportion, so the minimum is where the logits are divided by 3 again, up to rounding
    # of the proportions to 1/100000 (relative error of the odds below 1e-3).
    rows, targets = [], []
    for odds in (1.0, 2.0, -1.0, -2.0):
        positives = round(100_000 / (1 + np.exp(-odds)))
        rows.append(torch.tensor([0.0, 3 * odds]).repeat(100_000, 1))
        targets.append((torch.arange(100_000) < positives).long())
    assert fit_temperature(torch.cat(rows), torch.cat(targets)) == pytest.approx(3.0, rel=2e-3)


def test_class_weights_favour_rare_classes_within_limits() -> None:
    weights = class_weights(np.array([1_000_000, 200_000, 20_000, 0]))
    assert weights[0] < weights[1] < weights[2]
    assert class_weights(np.array([10**9, 10**9, 1])).max() == np.float32(2.5)
    assert weights[3] == 1.0
    assert np.allclose(class_weights(np.array([5, 5])), 1.0)


def test_loss_is_small_for_right_logits_and_blind_to_ignored_pixels() -> None:
    loss = CrossEntropyAndDice(np.ones(3, np.float32))
    target = torch.randint(0, 3, (2, 8, 8), generator=torch.Generator().manual_seed(0))
    right = 20.0 * torch.nn.functional.one_hot(target, 3).permute(0, 3, 1, 2)
    assert float(loss(right, target)) < 1e-4
    assert float(loss(-right, target)) > 5
    hidden = target.clone()
    hidden[:, :4] = IGNORED
    wrong_there = right.clone()
    wrong_there[:, :, :4] *= -1
    assert float(loss(wrong_there, hidden)) < 1e-4
