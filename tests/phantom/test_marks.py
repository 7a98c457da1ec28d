from dataclasses import replace

import numpy as np
import pytest

from bsa_vision.phantom.marks import add_marks, random_marks

KINDS = ("bruises", "scars", "tattoos", "dark_patches", "pale_patches")


@pytest.fixture(scope="module")
def skin() -> tuple[np.ndarray, np.ndarray]:
    position = np.random.default_rng(0).uniform(-0.8, 0.8, (30_000, 3)).astype(np.float32)
    return np.full((30_000, 3), (0.45, 0.3, 0.22), np.float32), position


def test_many_people_have_none(skin):
    albedo, position = skin
    marks = [random_marks(np.random.default_rng(seed)) for seed in range(60)]
    plain = [m for m in marks if not any(getattr(m, kind) for kind in KINDS)]
    assert 10 < len(plain) < 40
    assert add_marks(plain[0], albedo, position) is albedo


@pytest.mark.parametrize("kind", KINDS)
def test_a_mark_covers_little_and_stays_a_reflectance(skin, kind):
    albedo, position = skin
    none = replace(random_marks(np.random.default_rng(1)), **dict.fromkeys(KINDS, 0.0))
    marked = add_marks(replace(none, **{kind: 1.0}), albedo, position)
    changed = np.abs(marked - albedo).max(axis=1) > 0.02
    assert 0 < changed.mean() < 0.2
    assert 0 < marked.min() < marked.max() < 1
