"""Plots over the days of a series, as SVG text that is the same byte for byte every time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

_WIDTH, _HEIGHT = 420.0, 250.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 116.0, 12.0, 40.0
_STEPS = (1, 2, 5, 10, 20, 25, 50, 100)
_MOST_TICKS = 6
_LEAST_LABEL_GAP = 13.0


@dataclass(frozen=True)
class Line:
    """One quantity over the days.

    Attributes
    ----------
    label : name at its end.
    colour : CSS colour. marker : ``"circle"``, ``"square"`` or ``"diamond"``.
    points : (day, value, low, high), by day.
    dashed : whether the line is dashed.
    """

    label: str
    colour: str
    marker: str
    points: tuple[tuple[float, float, float, float], ...]
    dashed: bool = False


def area_plot(document: Mapping[str, Any]) -> str:
    """Counted, re-epithelialised and red skin over the days, with intervals, as SVG."""
    visits = document["visits"]
    lines = [
        _line("Counted BSA", "#aa1e2d", "circle", visits, "counted_bsa"),
        _line("Re-epithelialised", "#2f86b8", "square", visits, "reepithelialised"),
        _line("Erythema (not counted)", "#a8860b", "diamond", visits, "erythema", dashed=True),
    ]
    return draw_plot(lines, "% of BSA")


def rate_plot(document: Mapping[str, Any]) -> str:
    """Re-epithelialisation rate over the days, with the responder cut-off, as SVG."""
    line = _line(
        "Rate",
        "#2f86b8",
        "square",
        document["visits"],
        "reepithelialisation_rate",
    )
    responder = document["endpoints"]["responder_d7"]
    return draw_plot([line], "% of maximal counted BSA", top=100.0, reference=responder["cut_off"])


def _line(
    label: str,
    colour: str,
    marker: str,
    visits: Sequence[Mapping[str, Any]],
    key: str,
    *,
    dashed: bool = False,
) -> Line:
    points = tuple(
        (float(visit["day"]), visit[key]["percent"], visit[key]["low"], visit[key]["high"])
        for visit in visits
        if visit[key]["percent"] is not None
    )
    return Line(label, colour, marker, points, dashed)


def draw_plot(
    lines: Sequence[Line], y_label: str, top: float | None = None, reference: float | None = None
) -> str:
    """Draw lines with interval bars.

    Parameters
    ----------
    top : end of the y axis; by default what the intervals need.
    reference : value of a dashed horizontal line.
    """
    days = sorted({point[0] for line in lines for point in line.points}) or [0.0]
    first, last = min(days[0], 0.0), max(days[-1], days[0] + 1)
    highest = max((point[3] for line in lines for point in line.points), default=1.0)
    step = next(s for s in _STEPS if s * _MOST_TICKS >= (top or highest) or s == _STEPS[-1])
    end = top or step * max(1, -(-highest // step))
    frame = _Frame(first, last, end)
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:g} {_HEIGHT:g}" role="img" '
        'font-family="Helvetica, Arial, sans-serif" font-size="11" fill="#333">'
    )
    parts = [opening, *_axes(frame, days, step, y_label)]
    marked = [line.points[-1][1] for line in lines if line.points]
    if reference is not None:
        marked.append(reference)
    labels = _label_heights([frame.y(value) for value in marked])
    if reference is not None:
        parts.append(_reference(frame, reference, labels[-1]))
    for offset, line in enumerate(line for line in lines if line.points):
        # Intervals of one day stand side by side.
        parts.extend(_draw_line(frame, line, 4.0 * (offset - (len(lines) - 1) / 2)))
        parts.append(_draw_label(frame, line, labels[offset]))
    parts.append("</svg>")
    return "".join(parts)


@dataclass(frozen=True)
class _Frame:
    first: float
    last: float
    end: float

    def x(self, day: float) -> float:
        width = _WIDTH - _LEFT - _RIGHT
        return _LEFT + 12 + (width - 24) * (day - self.first) / (self.last - self.first)

    def y(self, value: float) -> float:
        height = _HEIGHT - _TOP - _BOTTOM
        return _HEIGHT - _BOTTOM - height * min(value, self.end) / self.end


def _axes(frame: _Frame, days: Sequence[float], step: float, y_label: str) -> list[str]:
    right, base = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = []
    for k in range(round(frame.end / step) + 1):
        y = frame.y(k * step)
        parts.append(f'<path d="M{_LEFT:g} {y:.1f}H{right:g}" stroke="#e3e3e3"/>')
        parts.append(
            f'<text x="{_LEFT - 6:g}" y="{y + 4:.1f}" text-anchor="end">{k * step:g}</text>'
        )
    parts.append(f'<path d="M{_LEFT:g} {base:g}H{right:g}" stroke="#555"/>')
    for day in days:
        x = frame.x(day)
        parts.append(f'<path d="M{x:.1f} {base:g}v4" stroke="#555"/>')
        parts.append(f'<text x="{x:.1f}" y="{base + 16:g}" text-anchor="middle">D{day:g}</text>')
    middle = (_LEFT + right) / 2
    parts.append(
        f'<text x="{middle:g}" y="{_HEIGHT - 6:g}" text-anchor="middle">Days from infusion</text>'
    )
    height = (_TOP + base) / 2
    parts.append(
        f'<text transform="translate(12 {height:g}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_label)}</text>"
    )
    return parts


def _reference(frame: _Frame, value: float, label: float) -> str:
    y, right = frame.y(value), _WIDTH - _RIGHT
    return (
        f'<path d="M{_LEFT:g} {y:.1f}H{right:g}" stroke="#555" stroke-dasharray="5 4"/>'
        f'<text x="{right + 6:g}" y="{label + 4:.1f}">cut-off {value:g} %</text>'
    )


def _draw_line(frame: _Frame, line: Line, shift: float) -> list[str]:
    xy = [(frame.x(day) + shift, frame.y(value)) for day, value, _, _ in line.points]
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in xy)
    dash = ' stroke-dasharray="4 3"' if line.dashed else ""
    parts = [f'<path d="M{path}" fill="none" stroke="{line.colour}" stroke-width="1.6"{dash}/>']
    for (x, y), (_, _, low, high) in zip(xy, line.points, strict=True):
        bar = f"M{x:.1f} {frame.y(low):.1f}V{frame.y(high):.1f}"
        caps = f"M{x - 3:.1f} {frame.y(low):.1f}h6M{x - 3:.1f} {frame.y(high):.1f}h6"
        parts.append(f'<path d="{bar}{caps}" stroke="{line.colour}" stroke-width="1.2"/>')
        parts.append(_marker(line, x, y))
    return parts


def _marker(line: Line, x: float, y: float) -> str:
    if line.marker == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.6" fill="{line.colour}"/>'
    turn = f' transform="rotate(45 {x:.1f} {y:.1f})"' if line.marker == "diamond" else ""
    return (
        f'<rect x="{x - 3.2:.1f}" y="{y - 3.2:.1f}" width="6.4" height="6.4" '
        f'fill="{line.colour}"{turn}/>'
    )


def _draw_label(frame: _Frame, line: Line, y: float) -> str:
    """The line's name beside its end, one part under the other when it has brackets."""
    name, _, rest = line.label.partition(" (")
    x = frame.x(line.points[-1][0]) + 16
    second = f'<tspan x="{x:.1f}" dy="12">({escape(rest)}</tspan>' if rest else ""
    return f'<text x="{x:.1f}" y="{y + 4:.1f}" fill="{line.colour}">{escape(name)}{second}</text>'


def _label_heights(wanted: Sequence[float]) -> list[float]:
    """Move labels apart, keeping their order from top to bottom."""
    gap = 2 * _LEAST_LABEL_GAP
    lowest = _HEIGHT - _BOTTOM - _LEAST_LABEL_GAP
    order = sorted(range(len(wanted)), key=lambda k: wanted[k])
    placed = list(wanted)
    previous = -gap
    for k in order:
        placed[k] = max(wanted[k], previous + gap)
        previous = placed[k]
    # What was pushed past the axis comes back up, and pushes those above it.
    for k in reversed(order):
        placed[k] = min(placed[k], lowest)
        lowest = placed[k] - gap
    return placed
