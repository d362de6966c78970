"""What is odd but not wrong, for the user to know: a text that knows which file it is about."""

from collections.abc import Sequence


class Note(str):
    """A note, as it is shown; a plain text is a note about no file.

    Args:
        text: What was odd.
        file: Name of the file it is about; it is shown before the text.
        kind: Notes of one kind on several files are shown as one, though their texts differ; empty: only
            those of the same text are.
    """

    text: str
    file: str
    kind: str

    def __new__(cls, text: str, file: str = "", kind: str = "") -> "Note":
        """The whole text is the value."""
        note = super().__new__(cls, f"{file}: {text}" if file else text)
        note.text, note.file, note.kind = str(text), file, kind
        return note


def joined(notes: Sequence[str]) -> tuple[str, ...]:
    """Each note once; the same note, or notes of one kind, on more than two files as one line."""
    alike: dict[tuple[str, str], list[Note]] = {}
    for note in notes:
        own = note if isinstance(note, Note) else Note(note)
        alike.setdefault((own.kind, "" if own.kind else own.text), []).append(own)
    return tuple(line for group in alike.values() for line in _lines(group))


def _lines(alike: Sequence[Note]) -> list[str]:
    """The lines of notes of one text or kind."""
    first, files = alike[0], list(dict.fromkeys(note.file for note in alike if note.file))
    if len(files) > 2:
        return [f"{files[0]} and {len(files) - 1} more: {first.text}"]
    return list(dict.fromkeys(alike if files else [first.text]))
