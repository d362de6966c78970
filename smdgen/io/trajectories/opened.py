"""What every open trajectory can do: be closed at the end of a `with` block."""

from types import TracebackType
from typing import Self


class Opened:
    """A file that is open until `close`, or to the end of a `with` block."""

    def close(self) -> None:
        """Let go of the file; nothing where it is not held."""

    def __enter__(self) -> Self:
        """Use as `with open_trajectory(path) as trajectory`."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()
