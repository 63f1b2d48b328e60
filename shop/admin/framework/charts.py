"""Plots as SVG, drawn by the server: they need no script, print well and read aloud as a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

WIDTH, HEIGHT = 720, 220
LEFT, RIGHT, TOP, BOTTOM = 56, 8, 12, 28


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis: where, and its words."""

    at: float
    words: str

    @property
    def words_at(self) -> float:
        """Where the words beside a row stand, so that they are in its middle."""
        return self.at + 4


@dataclass(frozen=True, slots=True)
class Bar:
    """One column: its box, and what it stands for."""

    x: float
    y: float
    width: float
    height: float
    words: str


@dataclass(frozen=True, slots=True)
class Plot:
    """What the macro in ``admin/components/chart.html`` draws; lengths in units of the view box."""

    width: int
    height: int
    left: int
    base: float
    rows: tuple[Tick, ...]
    columns: tuple[Tick, ...]
    bars: tuple[Bar, ...] = ()
    line: str = ""
    area: str = ""

    @property
    def words_left(self) -> int:
        """Where the words beside the rows end."""
        return self.left - 8

    @property
    def words_base(self) -> int:
        """Where the words below the columns stand."""
        return self.height - 6

    @property
    def hit_height(self) -> float:
        """How high the invisible box is with which one meets a bar."""
        return self.base - 12


def steps(points: Sequence[tuple[datetime, int]]) -> Plot:
    """A level over time that stays until it changes; needs two points at least."""
    first, last = points[0][0].timestamp(), points[-1][0].timestamp()
    span = max(1.0, last - first)
    top = _round_up(max(value for _, value in points))

    def x(at: datetime) -> float:
        return round(LEFT + (at.timestamp() - first) / span * (WIDTH - LEFT - RIGHT), 1)

    path = [f"M{x(points[0][0])} {_y(points[0][1], top)}"]
    path += [f"H{x(at)}V{_y(value, top)}" for at, value in points[1:]]
    line = "".join(path)
    area = f"{line}V{_y(0, top)}H{x(points[0][0])}Z"
    ends = (points[0][0], points[-1][0])
    return Plot(
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        base=_y(0, top),
        rows=_rows(top, [f"{round(top * n / 4):,}" for n in range(5)]),
        columns=tuple(Tick(x(at), f"{at:%-d %b}") for at in ends),
        line=line,
        area=area,
    )


def columns(values: Sequence[int], labels: Sequence[str], words: Sequence[str], unit: int) -> Plot:
    """One column per value. ``labels`` stand below (empty ones are left out), ``words`` say each
    column; ``unit`` is how many of the values make one on the axis."""
    # What is below zero (a day with more refunds than sales) is drawn as nothing; its words say it.
    top = _round_up(max([*values, unit]))
    room = (WIDTH - LEFT - RIGHT) / max(1, len(values))
    made = []
    for n, value in enumerate(values):
        y = _y(max(0, value), top)
        made.append(
            Bar(
                x=round(LEFT + n * room + room * 0.15, 1),
                y=y,
                width=round(room * 0.7, 1),
                height=round(_y(0, top) - y, 1),
                words=words[n],
            )
        )
    return Plot(
        width=WIDTH,
        height=HEIGHT,
        left=LEFT,
        base=_y(0, top),
        rows=_rows(top, [f"{round(top / unit * n / 4):,}" for n in range(5)]),
        columns=tuple(
            Tick(round(LEFT + (n + 0.5) * room, 1), label)
            for n, label in enumerate(labels)
            if label
        ),
        bars=tuple(made),
    )


def _rows(top: int, words: Sequence[str]) -> tuple[Tick, ...]:
    return tuple(Tick(_y(round(top * n / 4), top), text) for n, text in enumerate(words))


def _y(value: int, top: int) -> float:
    return round(TOP + (1 - value / max(1, top)) * (HEIGHT - TOP - BOTTOM), 1)


def _round_up(value: int) -> int:
    """The next number that divides by four and is easy to read: 1, 2, 4, 6, 8 with zeros, × 4."""
    size = 1
    while True:
        for step in (1, 2, 3, 4, 5, 6, 8):
            if value <= step * size * 4:
                return step * size * 4
        size *= 10
