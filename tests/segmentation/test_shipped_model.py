"""The models that ship: complete, small, the right classes, the same on both engines."""

from pathlib import Path

import numpy as np
import pytest

from bsa_vision.phantom.training import SAMPLES_PER_PATIENT, render_sample
from bsa_vision.segmentation.card import (
    DEFAULT_MODEL,
    NETWORK_FILES,
    SKIN_CLASSES,
    WEIGHTS_FILE,
    check_files,
    find_model,
    model_roots,
    read_card,
)
from bsa_vision.segmentation.predict import load_segmenter

#: The bound for shipped weights.
MAX_BYTES = 16 * 2**20


#: Old ones stay, so that results made with them can be made again.
SHIPPED = sorted(path.parent.name for path in model_roots()[-1].glob("*/card.json"))


@pytest.fixture(scope="module", params=SHIPPED)
def folder(request: pytest.FixtureRequest) -> Path:
    return find_model(request.param)


def test_the_default_ships() -> None:
    assert DEFAULT_MODEL in SHIPPED


def test_it_labels_the_skin_states(folder: Path) -> None:
    card = read_card(folder)
    assert dict(card.classes) == SKIN_CLASSES
    assert card.scores_skin


def test_every_file_is_the_one_the_card_describes(folder: Path) -> None:
    check_files(folder, read_card(folder), (WEIGHTS_FILE, *NETWORK_FILES))


def test_weights_and_graph_are_small_enough_to_ship(folder: Path) -> None:
    assert (folder / WEIGHTS_FILE).stat().st_size < MAX_BYTES
    assert sum((folder / name).stat().st_size for name in NETWORK_FILES) < MAX_BYTES


def test_card_for_people_speaks_of_this_model(folder: Path) -> None:
    text = (folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert read_card(folder).digest in text
    assert "never seen a photo of a real patient" in text


def test_engines_agree_on_rendered_photos(folder: Path) -> None:
    openvino = load_segmenter(folder, engine="openvino")
    torch = load_segmenter(folder, engine="torch")
    same = []
    # One photo each of two patients for training, one for validation and one for testing.
    for patient in (6, 7, 8, 9):
        # As large as the network sees it: bfloat16 tells less in a photo that is enlarged.
        image, _ = render_sample(patient * SAMPLES_PER_PATIENT, (1024, 768))
        same.append((openvino.segment(image).labels == torch.segment(image).labels).ravel())
    assert np.concatenate(same).mean() >= 0.995  # the project's bound for engines
