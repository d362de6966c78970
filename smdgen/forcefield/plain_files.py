"""Copies of text files in the spelling that OpenMM's readers take.

Ours take more: a byte-order mark, bytes of any encoding in remarks, blank segment names, blank lines.
"""

import itertools
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from smdgen.files import read_text_lines
from smdgen.geometry.atoms import Molecule


class PsfAtoms(Molecule, Protocol):
    """What the atom lines of a PSF say."""

    @property
    def types(self) -> NDArray[np.str_] | None: ...  # noqa: D102
    @property
    def charges(self) -> NDArray[np.float64] | None: ...  # noqa: D102


def plain_copy(path: Path, folder: Path) -> Path:
    """The same text in ASCII, under its own name in a folder of its own below `folder`."""
    return _write(Path(path).name, read_text_lines(path), folder)


def plain_psf(path: Path, atoms: PsfAtoms, folder: Path) -> Path:
    """A PSF without remarks, every word of its atom lines there and no blank line within a section.

    Args:
        path: The PSF.
        atoms: What was read from it.
        folder: It exists.
    """
    lines = read_text_lines(path)
    first = next(number for number, line in enumerate(lines) if _section(line) == "NATOM")
    after = first + 1 + len(atoms.names)
    body = [line for line in lines[after:] if line.strip()]
    spaced = itertools.chain.from_iterable(["", line] if _section(line) else [line] for line in body)
    head = [lines[0].strip(), "", f"{len(atoms.names):10d} !NATOM"]
    return _write(Path(path).name, [*head, *_atom_lines(atoms), *spaced, ""], folder)


def _write(name: str, lines: list[str], folder: Path) -> Path:
    copy = Path(tempfile.mkdtemp(dir=folder)) / name
    copy.write_bytes(("\n".join(lines) + "\n").encode("ascii", errors="replace"))
    return copy


def _section(line: str) -> str:
    """The name of the section that a line begins, as in `104 !NATOM`; empty if it begins none."""
    before, mark, after = line.partition("!")
    counts = before.split()
    if not mark or not counts or not all(word.isdigit() for word in counts):
        return ""
    return after.split(":")[0].strip()


def _atom_lines(atoms: PsfAtoms) -> Iterator[str]:
    """Charges and masses keep every digit."""
    assert atoms.types is not None
    assert atoms.charges is not None
    for i, name in enumerate(atoms.names):
        words = (
            i + 1,
            atoms.segment_ids[i] or "X",
            f"{atoms.residue_ids[i]}{atoms.insertion_codes[i]}",
            atoms.residue_names[i] or "X",
            f"X{name}" if _is_special(str(name)) and atoms.masses[i] > 0 else name,
            atoms.types[i],
            repr(float(atoms.charges[i])),
            repr(float(atoms.masses[i])),
            0,
        )
        yield " ".join(str(word) for word in words)


def _is_special(name: str) -> bool:
    """Names by which OpenMM knows Drude particles and lone pairs, whose bonds it leaves out."""
    return name.startswith(("D", "LP")) or name == "OM"
