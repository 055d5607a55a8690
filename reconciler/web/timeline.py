"""Geometry of what is drawn: lanes of nodes over time, the last passes, bars. Pixels only; templates make the SVG."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from reconciler.controller.state import PassRecord
from reconciler.observed import LiveNode, LiveTask, NodeRun, Run, TaskCounts, short
from reconciler.web.shown import badge, lasted, moment_of, when

WIDTH: Final = 1110
LABEL: Final = 150
"""Pixels on the left for the names of nodes."""
LANE: Final = 26
HEAD: Final = 26
LETTERS: Final = {"start": "S", "preparation": "P", "task": "T", "release": "R"}
_STEPS: Final = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)


@dataclass(frozen=True, slots=True)
class Span:
    """One run as a bar. *kind* is start, preparation, task or release; *title* is what a pointer or a screen reader
    is told."""

    kind: str
    x: float
    y: float
    width: float
    failed: bool
    running: bool
    letter: str
    title: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A moment on the axis."""

    x: float
    text: str


@dataclass(frozen=True, slots=True)
class Lane:
    """What one node did."""

    name: str
    y: float
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Swim lanes. *words* says the same in a sentence."""

    lanes: tuple[Lane, ...]
    ticks: tuple[Tick, ...]
    height: float
    words: str
    width: int = WIDTH
    label: int = LABEL


@dataclass(frozen=True, slots=True)
class _Piece:
    kind: str
    began: datetime
    ended: datetime | None
    failed: bool
    what: str


def job_timeline(
    runs: Sequence[NodeRun],
    tasks: Iterable[LiveTask],
    hosts: Mapping[str, LiveNode | None],
    at: str,
) -> Timeline | None:
    """Lanes of the nodes in *runs*, and of those that tasks ran on; None when nothing that ran is known. What has no
    end goes on until *at*."""
    pieces: dict[str, list[_Piece]] = {}
    for run in runs:
        pieces.setdefault(run.node, []).extend(
            [*_piece("preparation", run.preparation), *_piece("release", run.release)]
        )
        host = hosts.get(run.node)
        pieces[run.node].extend(_piece("start", host.start if host is not None else None))
    for task in tasks:
        began = moment_of(task.started)
        if began is not None and task.node:
            ended = moment_of(task.ended) if task.is_over else None
            piece = _Piece("task", began, ended, task.failed, f"task {task.name}")
            pieces.setdefault(task.node, []).append(piece)
    own = [piece for found in pieces.values() for piece in found if piece.kind != "start"]
    if not own:
        return None
    begin = min(piece.began for piece in own)
    now = moment_of(at) or begin
    end = max(piece.ended or max(now, piece.began) for piece in own)
    # A start task belongs to the pool and may have run days before the job: it is drawn where it does not push the
    # job to the edge.
    earliest = begin - max(end - begin, timedelta(seconds=1))
    pieces = {node: [piece for piece in found if piece.began >= earliest] for node, found in pieces.items()}
    pieces = {node: found for node, found in pieces.items() if found}
    begin = min(piece.began for found in pieces.values() for piece in found)
    scale = _Scale(begin, max(end - begin, timedelta(seconds=1)))
    lanes = tuple(
        Lane(short(node), HEAD + row * LANE, tuple(_spans(found, scale, HEAD + row * LANE, end)))
        for row, (node, found) in enumerate(sorted(pieces.items()))
    )
    words = (
        f"{len(lanes)} node{'s' if len(lanes) != 1 else ''} from {when(begin.isoformat())} to {when(end.isoformat())} "
        f"UTC: start tasks, preparation, tasks and release in one lane for each node. The tables say the same in text."
    )
    return Timeline(lanes, tuple(scale.ticks()), HEAD + len(lanes) * LANE + 6, words)


def _piece(kind: str, run: Run | None) -> Iterator[_Piece]:
    began = moment_of(run.started) if run is not None else None
    if run is not None and began is not None:
        yield _Piece(kind, began, moment_of(run.ended) if run.is_over else None, run.failed, kind)


@dataclass(frozen=True, slots=True)
class _Scale:
    begin: datetime
    span: timedelta

    def x(self, moment: datetime) -> float:
        share = (moment - self.begin) / self.span
        return round(LABEL + min(max(share, 0.0), 1.0) * (WIDTH - LABEL - 8), 1)

    def ticks(self) -> Iterator[Tick]:
        seconds = self.span.total_seconds()
        step = next((step for step in _STEPS if seconds / step <= 6), max(seconds / 6, 1))
        first = -(-self.begin.timestamp() // step) * step
        form = "%H:%M:%S" if step < 86400 else "%m-%d"
        while first <= (self.begin + self.span).timestamp():
            moment = datetime.fromtimestamp(first, UTC)
            if self.x(moment) < WIDTH - 60:
                yield Tick(self.x(moment), moment.strftime(form))
            first += step


def _spans(pieces: list[_Piece], scale: _Scale, y: float, end: datetime) -> Iterator[Span]:
    """Bars from left to right. Tasks that lie within the same pixels become one bar, so that a lane of ten thousand
    is as cheap as one of ten."""
    merged: list[tuple[_Piece, float, float, int]] = []
    for piece in sorted(pieces, key=lambda piece: (piece.kind != "task", piece.kind, piece.began)):
        left, right = scale.x(piece.began), scale.x(piece.ended or end)
        if merged and piece.kind == "task" and right - left < 3:
            last, start, stop, count = merged[-1]
            if last.kind == "task" and left <= stop + 1 and stop - start < 12 and last.failed is piece.failed:
                merged[-1] = (last, start, max(stop, right), count + 1)
                continue
        merged.append((piece, left, right, 1))
    for piece, left, right, count in merged:
        width = max(right - left, 3.0)
        took = lasted(((piece.ended or end) - piece.began).total_seconds())
        what = f"{count} tasks, the first {piece.what}" if count > 1 else piece.what
        ending = "failed" if piece.failed else "ended" if piece.ended else "still running"
        title = f"{what}: {when(piece.began.isoformat())}, {took}, {ending}"
        letter = LETTERS[piece.kind] + ("✗" if piece.failed else "")
        yield Span(
            piece.kind,
            left,
            y + 3,
            round(width, 1),
            piece.failed,
            piece.ended is None,
            letter if width >= 16 else "",
            title,
        )


@dataclass(frozen=True, slots=True)
class Beat:
    """One pass as a bar: the taller the longer it took."""

    x: float
    y: float
    height: float
    glyph: str
    colour: str
    title: str


STRIP: Final = (12.0, 46.0)
"""Width of a bar with its gap, and height of the strip of passes, in pixels."""


def pass_strip(passes: Sequence[PassRecord], most: int = 60) -> tuple[Beat, ...]:
    """The last passes, oldest on the left."""
    last = passes[-most:]
    longest = max((one.seconds for one in last), default=0.0) or 1.0
    wide, high = STRIP
    beats = []
    for number, one in enumerate(last):
        height = round(8 + (high - 22) * one.seconds / longest, 1)
        glyph, colour = badge(one.end)
        title = f"pass {one.number}, {when(one.began)}, {lasted(one.seconds)}: {one.end}"
        beats.append(Beat(number * wide, high - 14 - height, height, glyph, colour, title))
    return tuple(beats)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a bar. *x* and *width* are of a hundred."""

    word: str
    count: int
    x: float
    width: float


def bar(parts: Iterable[tuple[str, int]]) -> tuple[Part, ...]:
    """Counts side by side; what is there at all stays wide enough to be seen."""
    shown = [(word, count) for word, count in parts if count]
    total = sum(count for _, count in shown)
    least = 1.5
    widths = [max(100 * count / total, least) for _, count in shown]
    scale = 100 / sum(widths) if widths else 1
    made, x = [], 0.0
    for (word, count), width in zip(shown, widths, strict=True):
        made.append(Part(word, count, round(x, 2), round(width * scale, 2)))
        x += width * scale
    return tuple(made)


def task_bar(counts: TaskCounts | None) -> tuple[Part, ...] | None:
    """Tasks by state as parts of a bar; None where nobody counted them."""
    if counts is None:
        return None
    states = {"succeeded": counts.succeeded, "failed": counts.failed, "running": counts.running}
    return bar([*states.items(), ("active", counts.active)])
