"""Draw the learning curves of the ulcer runs: Dice of the wound on the 40 watched photos.

    python scripts/draw_fuseg_curves.py WORK docs/pictures/fuseg_curves.png

WORK is the folder of `benchmark_fuseg.py`. Runs from random weights are dashed.
"""

import argparse
import json
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    figure, axes = plt.subplots(figsize=(7.2, 4.2), layout="constrained")
    for record in sorted(given.work.glob("*/run/run.json")):
        start, _, seed = record.parents[1].name.rpartition("-")
        history = json.loads(record.read_text())["history"]
        steps = [line["step"] for line in history]
        dice = [line["val"]["classes"][-1]["dice"] for line in history]
        style = {"ls": "--", "color": "#888"} if start == "random" else {"color": "#2f86b8"}
        title = "random weights" if start == "random" else "weights learnt from renderings"
        axes.plot(steps, dice, marker="o", ms=3, label=title if seed == "0" else None, **style)
    axes.set(
        xlabel="training step", ylabel="pooled Dice of the wound, 40 photos", ylim=(0.55, 0.92)
    )
    axes.axhline(0.88, color="#aa1e2d", lw=1, label="wanted on the other 200")
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="lower right", frameon=False)
    figure.savefig(given.out, dpi=110)


if __name__ == "__main__":
    main()
