"""One contract for every engine, and their agreement."""

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from tests.segmentation.conftest import draw_photo

from bsa_vision.core.errors import InputError
from bsa_vision.core.labels import LABEL_NAMES
from bsa_vision.segmentation import predict, torch_engine
from bsa_vision.segmentation.card import read_card
from bsa_vision.segmentation.evaluate import on_device
from bsa_vision.segmentation.export import build_network, compiled_logits
from bsa_vision.segmentation.openvino_engine import OpenVinoRunner
from bsa_vision.segmentation.predict import Engine, ModelSegmenter, load_segmenter


@pytest.fixture(scope="class")
def segmenter(request: pytest.FixtureRequest, model_folder: Path) -> ModelSegmenter:
    return load_segmenter(model_folder, threads=2, engine=request.cls.engine)


class SegmenterContract:
    """What every engine must do; a class per engine inherits it."""

    engine: ClassVar[Engine]

    @pytest.mark.parametrize(
        ("size", "expected"),
        [((256, 192), (96, 128)), ((192, 256), (128, 96)), ((50, 50), (128, 128)),
         ((300, 100), (43, 128)), ((1, 1), (128, 128)), ((900, 2), (1, 128))],
    )  # fmt: skip
    def test_output_has_the_photos_aspect_at_network_resolution(
        self, segmenter: ModelSegmenter, size: tuple[int, int], expected: tuple[int, int]
    ) -> None:
        image = np.full((size[1], size[0], 3), 128, np.uint8)
        result = segmenter.segment(image)
        assert result.labels.shape == expected
        assert result.probabilities.shape == (*expected, len(LABEL_NAMES))

    def test_labels_are_the_most_probable_class(self, segmenter: ModelSegmenter) -> None:
        result = segmenter.segment(draw_photo(500)[0])
        chosen = np.take_along_axis(
            result.probabilities, result.labels[:, :, None].astype(np.int64), axis=2
        )[:, :, 0]
        assert np.all(chosen == result.probabilities.max(axis=2))

    def test_probabilities_sum_to_one(self, segmenter: ModelSegmenter) -> None:
        total = segmenter.segment(draw_photo(501)[0]).probabilities.sum(axis=2, dtype=int)
        # Seven values rounded to 1/255 each: at most half a step each off.
        assert np.abs(total - 255).max() <= len(LABEL_NAMES) / 2

    def test_it_learned_the_drawn_photos(self, segmenter: ModelSegmenter) -> None:
        image, mask = draw_photo(502)
        predicted = segmenter.segment(image).labels_at((mask.shape[1], mask.shape[0]))
        assert (predicted == mask).mean() > 0.8  # chance is 1/7; an untrained network gets < 0.3

    def test_a_mirrored_photo_has_the_mirrored_mask(self, segmenter: ModelSegmenter) -> None:
        """New models look at each photo both ways; the drawn discs leave one way alone unlike."""
        assert segmenter.card.mirrored
        image = draw_photo(504)[0]
        # Of a size without padding, which a mirrored photo has on its other side.
        image = np.ascontiguousarray(image[:96, :128])
        plain = segmenter.segment(image).probabilities.astype(int)
        mirrored = segmenter.segment(np.ascontiguousarray(image[:, ::-1])).probabilities
        assert np.abs(plain - mirrored[:, ::-1]).max() <= 4

    def test_records_are_read_only(self, segmenter: ModelSegmenter) -> None:
        result = segmenter.segment(draw_photo(503)[0])
        with pytest.raises(ValueError, match="read-only"):
            result.labels[0, 0] = 1

    def test_same_photo_same_bytes_from_many_threads(self, segmenter: ModelSegmenter) -> None:
        images = [draw_photo(600 + i)[0] for i in range(4)]
        alone = [segmenter.segment(image) for image in images]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(segmenter.segment, images * 3))
        for i, result in enumerate(together):
            expected = alone[i % len(images)]
            assert np.array_equal(result.labels, expected.labels)
            assert np.array_equal(result.probabilities, expected.probabilities)

    @pytest.mark.parametrize(
        "pixels", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)]
    )
    def test_other_arrays_are_a_bug(self, segmenter: ModelSegmenter, pixels: np.ndarray) -> None:
        with pytest.raises(ValueError, match="need uint8"):
            segmenter.segment(pixels)

    def test_it_says_what_it_is(self, segmenter: ModelSegmenter) -> None:
        assert segmenter.name.startswith("discs-1 (")
        assert len(segmenter.digest) == 64
        assert tuple(segmenter.classes.values()) == LABEL_NAMES


class TestOpenVino(SegmenterContract):
    engine = "openvino"

    def test_bytes_do_not_depend_on_the_number_of_threads(self, model_folder: Path) -> None:
        image = draw_photo(700)[0]
        one = load_segmenter(model_folder, 1, "openvino").segment(image)
        three = load_segmenter(model_folder, 3, "openvino").segment(image)
        assert np.array_equal(one.probabilities, three.probabilities)


class TestTorch(SegmenterContract):
    engine = "torch"


def test_engines_agree(model_folder: Path) -> None:
    openvino = load_segmenter(model_folder, engine="openvino")
    in_torch = load_segmenter(model_folder, engine="torch")
    images = [draw_photo(800 + i)[0] for i in range(6)]
    same = [np.mean(openvino.segment(i).labels == in_torch.segment(i).labels) for i in images]
    assert np.mean(same) >= 0.995  # the project's bound for engines


def test_logits_of_held_out_photos_are_those_of_torch(model_folder: Path) -> None:
    architecture = read_card(model_folder).architecture
    network = build_network(model_folder, architecture, len(LABEL_NAMES), mirrored=True)
    pixels = draw_photo(503)[0][:96, :128]
    wanted = on_device(network, torch.device("cpu"))(pixels)
    found = compiled_logits(network)(pixels)
    assert found.shape == wanted.shape == (len(LABEL_NAMES), 96, 128)
    # The graph's constants are of half precision.
    assert float((found - wanted).abs().max()) < 0.01 * float(wanted.std())


def test_a_model_with_a_changed_graph_is_refused(model_folder: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in model_folder.iterdir():
        (copy / path.name).write_bytes(path.read_bytes())
    whole = bytearray((copy / "network.bin").read_bytes())
    whole[100] ^= 1
    (copy / "network.bin").write_bytes(whole)
    with pytest.raises(InputError, match="not the file its card describes"):
        load_segmenter(copy, engine="openvino")


class _OnGpu:
    """Stands for the torch engine on a machine with a GPU."""

    name = "torch-cuda-fp32"

    def __init__(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("driver", "installed", "gpu", "expected"),
    [
        (False, True, True, "openvino-"),
        (True, False, True, "openvino-"),
        (True, True, False, "openvino-"),
        (True, True, True, "torch-cuda-"),
    ],
)
def test_the_engine_is_torch_only_where_it_finds_a_gpu(
    model_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    driver: bool,
    installed: bool,
    gpu: bool,
    expected: str,
) -> None:
    device = tmp_path / "nvidiactl"
    if driver:
        device.touch()
    monkeypatch.setattr(predict, "GPU_DEVICE", device)
    monkeypatch.setattr(predict, "find_spec", lambda name: name if installed else None)
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    monkeypatch.setattr(torch_engine, "TorchRunner", _OnGpu)
    assert load_segmenter(model_folder, 1).name.startswith(f"discs-1 ({expected}")


def test_prediction_without_a_gpu_loads_neither_torch_nor_telemetry(model_folder: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from bsa_vision.segmentation import predict;"
        "predict.GPU_DEVICE = Path('/dev/none');"
        f"predict.load_segmenter({str(model_folder)!r}, 1);"
        "bad = [m for m in sys.modules if m in ('torch', 'albumentations')"
        " or m.startswith('openvino_telemetry.')];"
        "sys.exit(repr(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_first_result_is_made_on_the_thread_that_loads_the_model(
    model_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # OpenVINO's Python side initialises itself with the first result; two threads in it at once
    # have been seen waiting for each other for ever.
    threads: list[int] = []
    plain = OpenVinoRunner.run

    def noted(runner: OpenVinoRunner, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        result = plain(runner, pixels)
        threads.append(threading.get_ident())
        return result

    monkeypatch.setattr(OpenVinoRunner, "run", noted)
    load_segmenter(model_folder, engine="openvino")
    assert threads == [threading.get_ident()]
