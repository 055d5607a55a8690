"""What happened, as lines that a person can follow: virtual time, who, request, answer or fault."""

from dataclasses import dataclass, field
from typing import Final

READS: Final = frozenset({"GET", "HEAD"})
SHOWN_READS: Final = 3
"""Reads in a row that are shown one by one; of more only the number."""


@dataclass(frozen=True, slots=True)
class Line:
    """One event. *read* marks requests that change nothing and went well."""

    at: float
    who: str
    text: str
    read: bool = False

    def __str__(self) -> str:
        return f"{self.at:10.3f}  {self.who:<10}  {self.text}"


@dataclass
class Story:
    """Everything that happened in one run, in order."""

    lines: list[Line] = field(default_factory=list)

    def tell(self, at: float, who: str, text: str, *, read: bool = False) -> None:
        """Add a line."""
        self.lines.append(Line(at, who, text, read))

    def __str__(self) -> str:
        """The whole of it, with long rows of plain reads cut to their number."""
        shown: list[str] = []
        reads: list[Line] = []
        for line in [*self.lines, None]:
            if line is not None and line.read and (not reads or reads[-1].who == line.who):
                reads.append(line)
                continue
            shown += _reads(reads)
            reads = [line] if line is not None and line.read else []
            if line is not None and not line.read:
                shown.append(str(line))
        return "\n".join(shown)


def _reads(lines: list[Line]) -> list[str]:
    if len(lines) <= SHOWN_READS:
        return [str(line) for line in lines]
    return [f"{lines[0].at:10.3f}  {lines[0].who:<10}  {len(lines)} reads, until {lines[-1].at:.3f}"]
