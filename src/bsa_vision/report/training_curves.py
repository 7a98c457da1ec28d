"""The course of a training run as a picture: loss and held-out Dice against the step, as SVG."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

_WIDTH, _LEFT, _RIGHT = 720.0, 52.0, 52.0
_PANEL, _GAP, _TOP, _BOTTOM = 150.0, 40.0, 44.0, 42.0
_HEIGHT = _TOP + 2 * _PANEL + _GAP + _BOTTOM
_LOSS_COLOUR, _DICE_COLOUR = "#555", "#2f86b8"
_MOST_TICKS = 6

Record = Mapping[str, Any]
Points = list[tuple[float, float]]


def loss_points(history: Sequence[Record]) -> Points:
    """Step and training loss of each line of a run's history."""
    return [(line["step"], line["loss"]) for line in history]


def dice_points(history: Sequence[Record]) -> Points:
    """Step and mean Dice of each line that has one."""
    found = ((line["step"], line.get("val", {}).get("mean_dice")) for line in history)
    return [(step, dice) for step, dice in found if dice is not None]


def draw_curves(history: Sequence[Record], kept_step: int | None = None) -> str:
    """Training loss and mean Dice on the validation part against the step, as SVG.

    Parameters
    ----------
    history : the lines of a run's record; a line without ``val`` has no Dice.
    kept_step : the step whose weights were kept, which is marked; None marks none.
    """
    loss, dice = loss_points(history), dice_points(history)
    last = max((step for step, _ in loss), default=0) or 1
    highest = max((value for _, value in loss), default=0) or 1.0

    def x(step: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * step / last

    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" '
        'aria-label="Course of training" font-family="Helvetica, Arial, sans-serif" '
        f'font-size="12" fill="#333"><rect width="{_WIDTH:g}" height="{_HEIGHT:g}" fill="#fff"/>'
    )
    parts = [opening]
    step = _nice_step(highest)
    end = step * math.ceil(highest / step)
    base = _TOP + _PANEL
    parts += _axes(base, "Training loss (lower is better)", step, end, x, last)
    parts += _curve(loss, x, base, end, _LOSS_COLOUR)
    base += _GAP + _PANEL
    title = "Mean Dice on the validation photos (higher is better)"
    parts += _axes(base, title, 0.2, 1.0, x, last)
    parts += _curve(dice, x, base, 1.0, _DICE_COLOUR)
    parts += _step_labels(x, last)
    if kept_step is not None and history:
        parts.append(_kept(x(kept_step), kept_step))
    return "".join([*parts, "</svg>"])


def _axes(
    base: float, title: str, step: float, end: float, x: Callable[[float], float], last: float
) -> list[str]:
    """One panel's grid and the words above it; `base` is the height of its zero."""
    right, decimals = _WIDTH - _RIGHT, max(0, -math.floor(math.log10(step) + 1e-9))
    parts = [f'<text x="{_LEFT:g}" y="{base - _PANEL - 9:g}" font-weight="600">{title}</text>']
    for k in range(round(end / step) + 1):
        y = base - _PANEL * k * step / end
        stroke = "#e3e3e3" if k else "#555"
        parts.append(f'<path d="M{_LEFT:g} {y:.1f}H{right:g}" stroke="{stroke}"/>')
        parts.append(
            f'<text x="{_LEFT - 7:g}" y="{y + 4:.1f}" text-anchor="end">'
            f"{k * step:.{decimals}f}</text>"
        )
    ticks = "".join(f"M{x(step):.1f} {base:g}v4" for step in _step_ticks(last))
    return [*parts, f'<path d="{ticks}" stroke="#555"/>']


def _curve(
    points: Points, x: Callable[[float], float], base: float, end: float, colour: str
) -> list[str]:
    if not points:
        middle = (_LEFT + _WIDTH - _RIGHT) / 2
        text = f'<text x="{middle:g}" y="{base - _PANEL / 2 + 4:g}" text-anchor="middle" '
        # A white edge keeps the grid out of the words.
        white = 'fill="#777" stroke="#fff" stroke-width="6" paint-order="stroke"'
        return [f"{text}{white}>nothing was measured</text>"]
    xy = [(x(step), base - _PANEL * value / end) for step, value in points]
    path = "L".join(f"{px:.1f} {py:.1f}" for px, py in xy)
    parts = [f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.8"/>']
    # Where dots would touch each other the line alone is clearer.
    if len(points) <= 60:
        parts += [f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{colour}"/>' for px, py in xy]
    (last_x, last_y), (_, value) = xy[-1], points[-1]
    parts.append(
        f'<text x="{last_x + 8:.1f}" y="{last_y + 4:.1f}" font-weight="600" fill="{colour}">'
        f"{value:.2f}</text>"
    )
    return parts


def _kept(x: float, step: int) -> str:
    """The mark of the kept step through both panels; its words stay inside the picture."""
    anchor = "start" if x < _WIDTH / 4 else "end" if x > _WIDTH * 3 / 4 else "middle"
    return (
        f'<path d="M{x:.1f} 22V{_HEIGHT - _BOTTOM:g}" stroke="#aa1e2d" stroke-dasharray="5 4"/>'
        f'<text x="{x:.1f}" y="15" text-anchor="{anchor}" fill="#aa1e2d">'
        f"weights kept: step {step}</text>"
    )


def _step_labels(x: Callable[[float], float], last: float) -> list[str]:
    base = _HEIGHT - _BOTTOM
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    return [
        *(
            f'<text x="{x(step):.1f}" y="{base + 17:g}" text-anchor="middle">{step:g}</text>'
            for step in _step_ticks(last)
        ),
        f'<text x="{middle:g}" y="{_HEIGHT - 7:g}" text-anchor="middle">Training step</text>',
    ]


def _step_ticks(last: float) -> list[int]:
    step = max(1, round(_nice_step(last)))
    return list(range(0, int(last) + 1, step))


def _nice_step(highest: float) -> float:
    """The least of 1, 2, 5 times a power of ten that needs no more than the most ticks."""
    power = 10.0 ** math.floor(math.log10(highest / _MOST_TICKS))
    return power * next(f for f in (1, 2, 5, 10) if f * power * _MOST_TICKS >= highest * (1 - 1e-9))
