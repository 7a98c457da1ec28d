"""Check that a wheel is complete: unpack it alone and load everything that it carries as data.

    python scripts/check_wheel.py dist/bsa_vision-*.whl

Runs in an environment that has the dependencies; the package itself comes from the wheel only.
"""

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

LOAD = """
import json, sys
from pathlib import Path

import bsa_vision
folder = Path(sys.argv[1])
found = Path(bsa_vision.__file__)
if folder not in found.parents:
    sys.exit(f"bsa_vision was imported from {found}, not from the wheel")

from bsa_vision.chart.cells import load_cells
from bsa_vision.chart.landmarks import LANDMARKS
from bsa_vision.report.results import results_schema
from bsa_vision.segmentation.card import find_model, DEFAULT_MODEL
from bsa_vision.segmentation.predict import load_segmenter

print(len(load_cells().face), "cells,", len(LANDMARKS), "landmarks")
print("results schema:", results_schema()["$id"])
model = find_model(DEFAULT_MODEL)
if folder not in model.parents:
    sys.exit(f"the model came from {model}, not from the wheel")
print("model:", load_segmenter(model).name)
templates = list(found.parent.glob("report/templates/*"))
if not templates:
    sys.exit("the wheel has no report template")
"""
REQUIRED = ("bsa_vision/py.typed", "licenses/LICENSE", "licenses/NOTICE", "entry_points.txt")
FORBIDDEN = ("tests/", "scripts/", "checkpoint", ".pt")


def main(wheel: Path) -> int:
    """The exit status: 0 when the wheel is complete."""
    with zipfile.ZipFile(wheel) as archive, tempfile.TemporaryDirectory() as folder:
        names = archive.namelist()
        missing = [end for end in REQUIRED if not any(name.endswith(end) for name in names)]
        strange = [name for name in names if any(part in name for part in FORBIDDEN)]
        if missing or strange:
            print(f"{wheel}: missing {missing}, should not be there {strange}", file=sys.stderr)
            return 1
        archive.extractall(folder)
        code = f"import sys; sys.path.insert(0, {folder!r})\n{LOAD}"
        # -I: neither the working folder nor PYTHONPATH can stand in for the wheel.
        done = subprocess.run([sys.executable, "-I", "-c", code, folder], check=False)
    size = wheel.stat().st_size / 2**20
    print(f"{wheel.name}: {len(names)} files, {size:.1f} MiB")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
