import csv

import numpy as np
import pytest

from bsa_vision.calibration.reference import (
    FIRST_NEUTRAL,
    PATCH_NAMES,
    REFERENCE_LAB,
    reference_linear,
)
from bsa_vision.calibration.srgb import linear_to_lab


def test_neutrals_fall_from_white_to_black():
    neutrals = REFERENCE_LAB[FIRST_NEUTRAL:]
    assert (np.diff(neutrals[:, 0]) < 0).all()
    assert np.hypot(neutrals[:, 1], neutrals[:, 2]).max() < 3.2  # the white is a little yellow


def test_only_cyan_lies_outside_srgb():
    outside = ((reference_linear() < 0) | (reference_linear() > 1)).any(axis=1)
    assert [PATCH_NAMES[i] for i in np.flatnonzero(outside)] == ["cyan"]


def test_linear_light_has_the_reference_colours():
    assert linear_to_lab(reference_linear()) == pytest.approx(REFERENCE_LAB, abs=1e-9)


def test_values_are_those_shipped_with_the_real_cards(data_dir):
    with (data_dir / "colour_scale" / "reference_values.csv").open() as file:
        rows = sorted(csv.DictReader(file), key=lambda row: int(row["id"]))
    shipped = [[float(row[f"Lab_{axis}"]) for axis in "lab"] for row in rows]
    assert shipped == REFERENCE_LAB.tolist()
