"""The training code on real photographs: the Foot Ulcer Segmentation Challenge.

    BSA_VISION_DATA=... python scripts/benchmark_fuseg.py --work build/fuseg --seed 0 \
        [--init skin-states-9] [--steps N]

Trains on the challenge's 810 training photos with `bsa-vision train`, from random weights or from
`--init`, predicts its 200 validation photos with `bsa-vision predict` and scores them with
`bsa-vision evaluate`, once whole and once without the photos that are byte-identical to a training
photo. The validation photos take part in no choice: early stopping looks at 40 of the 810. The
challenge's data are CC BY-NC: weights made from them never ship.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

#: Training photos that early stopping looks at.
WATCHED = 40


def prepare(source: Path, work: Path) -> Path:
    """The challenge's training photos as a training folder, and the names without twins."""
    data = work / "data"
    for kind, folder in (("images", "images"), ("masks", "labels")):
        (data / kind).mkdir(parents=True, exist_ok=True)
        for path in sorted((source / "train" / folder).iterdir()):
            link = data / kind / path.name
            if not link.exists():
                link.symlink_to(path.resolve())
    names = sorted(path.stem for path in (data / "images").iterdir())
    order = np.random.default_rng(0).permutation(names).tolist()
    document = {
        "classes": {"0": "background", "255": "wound"},
        "split": {"train": sorted(order[WATCHED:]), "val": sorted(order[:WATCHED]), "test": []},
    }
    (data / "dataset.json").write_text(json.dumps(document))
    known = {digest(path) for path in (source / "train" / "images").iterdir()}
    alone = [
        path.stem
        for path in sorted((source / "validation" / "images").iterdir())
        if digest(path) not in known
    ]
    (work / "without_twins.txt").write_text("\n".join(alone) + "\n")
    return data


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run(*words: object) -> str:
    command = [str(Path(sys.executable).with_name("bsa-vision")), *map(str, words)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--init", help="model to start from; random weights without")
    parser.add_argument("--steps", type=int)
    given = parser.parse_args()
    source = Path(os.environ["BSA_VISION_DATA"]) / "fuseg"
    data = prepare(source, given.work)
    out = given.work / f"{'random' if given.init is None else Path(given.init).name}-{given.seed}"
    started = time.monotonic()
    options = [] if given.init is None else ["--init", given.init]
    options += [] if given.steps is None else ["--steps", given.steps]
    run("train", "--data", data, "--out", out, "--seed", given.seed, *options)
    minutes = (time.monotonic() - started) / 60
    masks, truth = out / "masks", source / "validation" / "labels"
    run("predict", source / "validation" / "images", "--model", out, "--out", masks)
    line: dict[str, object] = {"run": out.name, "minutes": round(minutes, 1)}
    for title, names in (
        ("all", []),
        ("without twins", ["--names", given.work / "without_twins.txt"]),
    ):
        document = json.loads(run("evaluate", "--pred", masks, "--truth", truth, *names, "--json"))
        wound = document["classes"][-1]
        line[title] = {
            "photos": document["compared"],
            "pooled_dice": round(wound["dice"], 4),
            "per_image_dice": round(wound["per_image"]["mean_dice"], 4),
            **{key: round(wound[key], 4) for key in ("precision", "recall", "boundary_f1")},
            "area_bias_percent": round(wound["area_bias_percent"], 2),
        }
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
