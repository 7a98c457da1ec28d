"""Twenty photos of a clinic: what fine-tuning on them gains, and how long it takes.

    BSA_VISION_DATA=... python scripts/benchmark_finetune.py --work build/finetune [--model NAME]

Two clinics, both with the public commands only. The first is of our making: photos rendered of
patients that training never met, taken with another camera (a cast, flat contrast, weak colours,
blur), corrected as in use where the card can be read; twenty to learn from, sixty of other patients
to judge by, before and after. The second is the Foot Ulcer Segmentation Challenge: twenty of its
training photos, judged on its 200 validation photos, from the model and from random weights with
the same steps.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np

from bsa_vision.core.labels import LABEL_NAMES
from bsa_vision.phantom.training import SAMPLES_PER_PATIENT, part_of, render_sample
from bsa_vision.segmentation.registry import default_model
from train_shipped_model import PHOTO_SIZE, skin_textures

LEARNT, JUDGED = 20, 60


def run(*words: object) -> str:
    command = [str(Path(sys.executable).with_name("bsa-vision")), *map(str, words)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def other_camera(image: np.ndarray) -> np.ndarray:
    """As a cheap camera under fluorescent tubes might give it."""
    linear = (image.astype(np.float32) / 255) ** 2.2
    linear *= np.array([0.72, 1.0, 0.62], np.float32)
    grey = linear.mean(axis=2, keepdims=True)
    flat = (grey + 0.6 * (linear - grey)) * 0.8 + 0.06
    pixels = np.clip(flat, 0, 1) ** (1 / 2.2) * 255
    return cv2.GaussianBlur(pixels.astype(np.uint8), (0, 0), 0.8)


def write_clinic(root: Path, count: int, first: int) -> None:
    """Photos of usual views, two of a patient, with their masks."""
    for kind in ("images", "masks"):
        (root / kind).mkdir(parents=True, exist_ok=True)
    patients, seed = {}, first
    while len(patients) < count:
        number, place = divmod(seed, SAMPLES_PER_PATIENT)
        if part_of(number) == "train" or place >= 2:
            seed += 1
            continue
        name = f"P{number}_{place}"
        image, mask = render_sample(seed, PHOTO_SIZE, skin_textures())
        seed += 1
        cv2.imwrite(str(root / "images" / f"{name}.jpg"), other_camera(image)[:, :, ::-1])
        cv2.imwrite(str(root / "masks" / f"{name}.png"), mask)
        patients[name] = f"P{number}"
    classes = {str(code): name for code, name in enumerate(LABEL_NAMES)}
    (root / "dataset.json").write_text(json.dumps({"classes": classes, "patients": patients}))


def score(model: object, root: Path, masks: Path) -> dict[str, float]:
    run("predict", root / "images", "--model", model, "--out", masks)
    document = json.loads(run("evaluate", "--pred", masks, "--truth", root / "masks", "--json"))
    return {
        "mean": round(document["mean_dice"], 4),
        **{row["name"]: row["dice"] and round(row["dice"], 4) for row in document["classes"]},
    }


def tune(data: Path, out: Path, *options: object) -> float:
    started = time.monotonic()
    run("train", "--data", data, "--out", out, *options)
    return round((time.monotonic() - started) / 60, 1)


def own_clinic(work: Path, model: str) -> None:
    write_clinic(work / "clinic", LEARNT, 3_600_000)
    write_clinic(work / "judged", JUDGED, 3_700_000)
    before = score(model, work / "judged", work / "before")
    minutes = tune(work / "clinic", work / "clinic-model", "--init", model)
    after = score(work / "clinic-model", work / "judged", work / "after")
    print(json.dumps({"clinic": "other camera", "minutes": minutes}), flush=True)
    print(json.dumps({"before": before}), json.dumps({"after": after}), sep="\n", flush=True)


def ulcers(work: Path, model: str) -> None:
    source = Path(os.environ["BSA_VISION_DATA"]) / "fuseg"
    data, judged = work / "ulcers", work / "ulcers-judged"
    names = sorted(path.stem for path in (source / "train" / "images").iterdir())
    picked = np.random.default_rng(0).choice(names, LEARNT, replace=False).tolist()
    for root, part in ((data, "train"), (judged, "validation")):
        for kind, folder in (("images", "images"), ("masks", "labels")):
            (root / kind).mkdir(parents=True, exist_ok=True)
            for path in (source / part / folder).iterdir():
                link = root / kind / path.name
                if (part == "validation" or path.stem in picked) and not link.exists():
                    link.symlink_to(path.resolve())
        listing = {"classes": {"0": "background", "255": "wound"}}
        (root / "dataset.json").write_text(json.dumps(listing))
    for name, options in (("fine-tuned", ["--init", model]), ("random", ["--steps", "424"])):
        minutes = tune(data, work / f"ulcers-{name}", *options)
        found = score(work / f"ulcers-{name}", judged, work / f"ulcers-{name}-masks")
        print(json.dumps({"clinic": "ulcers", "start": name, "minutes": minutes, **found}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--model", default=default_model())
    given = parser.parse_args()
    own_clinic(given.work, given.model)
    ulcers(given.work, given.model)


if __name__ == "__main__":
    main()
