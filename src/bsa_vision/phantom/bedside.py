"""Poses of people who cannot hold the pose that was asked for: knees drawn up, arms on the belly.

Turns are rotation vectors about the body's left (x), its back (y) and up (z) at rest, where the
arms are half abducted. For the left side a positive turn about y lowers the arm and closes the leg,
a negative turn about x flexes elbow and hip, a positive one the knee; the right side is its mirror
image (y and z change sign).
"""

from collections.abc import Callable, Mapping

import numpy as np

from bsa_vision.core.frames import FloatArray

Rng = np.random.Generator
Turns = dict[str, tuple[float, float, float]]

#: How often a limb, or the trunk, leaves the pose that was asked for.
_ARM_SHARE, _LEG_SHARE, _TRUNK_SHARE = 0.7, 0.5, 0.5


def bedside_pose(rng: Rng, pose: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
    """A pose with some limbs moved to where a sick person may have them.

    Parameters
    ----------
    rng : source of chance.
    pose : joint rotations (rotation vectors by bone label) of the pose that was asked for.
    """
    moved = dict(pose)
    arms = _ARMS[rng.integers(len(_ARMS))]
    for side, sign in (("L", 1.0), ("R", -1.0)):
        if rng.random() < _ARM_SHARE:
            # Both arms alike, or each in its own way.
            chosen = arms if rng.random() < 0.6 else _ARMS[rng.integers(len(_ARMS))]
            _turn(moved, chosen(rng), side, sign)
        if rng.random() < _LEG_SHARE:
            _turn(moved, _LEGS[rng.integers(len(_LEGS))](rng), side, sign)
    if rng.random() < _TRUNK_SHARE:
        bend, lean, twist = rng.normal(0, (0.12, 0.06, 0.07))
        for bone in ("spine05", "spine03", "spine01"):
            moved[bone] = np.array([bend, lean, twist])
        moved["neck01"] = rng.normal(0, (0.15, 0.08, 0.2))
        moved["head"] = rng.normal(0, (0.2, 0.12, 0.35))
    return moved


def _turn(pose: dict[str, FloatArray], turns: Turns, side: str, sign: float) -> None:
    for bone, (x, y, z) in turns.items():
        pose[f"{bone}.{side}"] = np.array([x, sign * y, sign * z])


def _alongside(rng: Rng) -> Turns:
    """The arm along the trunk."""
    return {
        "upperarm01": (rng.normal(-0.05, 0.1), rng.uniform(0.45, 0.62), rng.normal(0, 0.25)),
        "lowerarm01": (rng.uniform(-0.4, 0.0), rng.normal(0, 0.1), rng.normal(0, 0.15)),
    }


def _on_belly(rng: Rng) -> Turns:
    """The hand on belly or chest."""
    return {
        "upperarm01": (rng.uniform(-0.3, 0.0), rng.uniform(0.4, 0.6), rng.uniform(-0.3, 0.1)),
        "lowerarm01": (rng.uniform(-1.2, -0.3), 0.0, rng.uniform(-1.5, -1.0)),
    }


def _raised(rng: Rng) -> Turns:
    """The arm beside or above the head."""
    return {
        "upperarm01": (rng.uniform(-0.4, 0.2), rng.uniform(-1.4, -0.7), rng.normal(0, 0.3)),
        "lowerarm01": (rng.uniform(-1.3, -0.1), rng.normal(0, 0.2), rng.normal(0, 0.3)),
    }


def _reaching(rng: Rng) -> Turns:
    """The arm held out to the camera."""
    return {
        "upperarm01": (rng.uniform(-1.2, -0.5), rng.uniform(-0.1, 0.5), rng.normal(0, 0.3)),
        "lowerarm01": (rng.uniform(-0.8, 0.0), rng.normal(0, 0.1), rng.normal(-0.2, 0.3)),
    }


def _drawn_up(rng: Rng) -> Turns:
    """Hip and knee bent, the foot on the sheet."""
    bent = rng.uniform(0.3, 1.1)
    return {
        "upperleg01": (-bent, rng.normal(0, 0.12), rng.normal(0, 0.12)),
        "lowerleg01": (bent * rng.uniform(1.2, 2.0), 0.0, 0.0),
    }


def _fallen_out(rng: Rng) -> Turns:
    """Hip and knee bent, the knee fallen to the side."""
    bent = rng.uniform(0.3, 0.9)
    return {
        "upperleg01": (-bent * 0.7, -bent * 0.8, bent * 0.6),
        "lowerleg01": (bent * rng.uniform(1.2, 1.8), 0.0, 0.0),
    }


def _apart(rng: Rng) -> Turns:
    """Straight, apart from the other leg or crossing it."""
    return {
        "upperleg01": (rng.uniform(-0.25, 0.05), rng.uniform(-0.35, 0.16), rng.normal(0, 0.25)),
        "lowerleg01": (abs(rng.normal(0, 0.15)), 0.0, 0.0),
    }


_ARMS: tuple[Callable[[Rng], Turns], ...] = (_alongside, _on_belly, _raised, _reaching)
_LEGS: tuple[Callable[[Rng], Turns], ...] = (_drawn_up, _fallen_out, _apart)
