"""How a stage reports what it does, without printing."""

from typing import Protocol


class Progress(Protocol):
    """What a stage calls while it works; the command line shows it, tests record it."""

    def start(self, label: str, total: int | None = None) -> None:
        """Begin a new part of the work; ends the part before. `total` counts its units."""

    def advance(self, n: int = 1, note: str = "") -> None:
        """Count `n` units as done; `note` is shown beside the bar (a loss, ns/day)."""

    def note(self, text: str) -> None:
        """A line that stays on the screen: a warning or a remark on the input."""


class Silent:
    """Progress that shows nothing and keeps its notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def start(self, label: str, total: int | None = None) -> None:
        """Do nothing."""

    def advance(self, n: int = 1, note: str = "") -> None:
        """Do nothing."""

    def note(self, text: str) -> None:
        """Keep the line in `notes`."""
        self.notes.append(text)
