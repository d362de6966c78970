# ruff: noqa: E501 - a table reads better in long lines
"""The table of named damage and oddities: how each file is made from a sound one, and what must happen.

`READ`: the content is that of the sound file and nothing is said. `NOTED`: it is read and a note holds the words.
`REFUSED`: one line that holds the words, exit code 2.
"""

import json
import re
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray

from smdgen.store.artifacts import write_model
from tests.faults.originals import N_FRAMES, Originals, example_frames
from tests.tools.dcd_dialects import write_dialect
from tests.tools.other_formats import write_netcdf

READ, NOTED, REFUSED = "read", "noted", "refused"
Make = Callable[[Originals, Path], None]


@dataclass(frozen=True)
class Variant:
    """One file that is odd or broken."""

    kind: str
    name: str
    make: Make  # writes the file at a path of the sound file's name
    verdict: str
    words: str = ""  # a regular expression; empty for any
    same: bool = True  # whether what is read is the content of the sound file


def variants() -> list[Variant]:
    """All of them."""
    makers = (_dcd_legal, _dcd_header, _dcd_body, _dcd_values, _psf, _pdb, _models, _table, _xtc, _netcdf)
    return [variant for maker in makers for variant in maker()] + [
        *_sealed(), *_forged(), *_h5(), *_model(), *_nodes(),
    ]  # fmt: skip


def _bytes(kind: str, change: Callable[[bytes], bytes]) -> Make:
    def make(originals: Originals, path: Path) -> None:
        path.write_bytes(change(originals.path(kind).read_bytes()))

    return make


def _text(kind: str, *changes: tuple[str, str], count: int = 1) -> Make:
    """Replace text; each must be there."""

    def change(content: bytes) -> bytes:
        text = content.decode("latin-1")
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new, count)
        return text.encode("latin-1")

    return _bytes(kind, change)


def _put(kind: str, place: int, code: str, *values: float) -> Make:
    """Overwrite numbers at a byte; a negative place counts from the end."""

    def change(content: bytes) -> bytes:
        start = place if place >= 0 else len(content) + place
        new = struct.pack(code, *values)
        return content[:start] + new + content[start + len(new) :]

    return _bytes(kind, change)


# --- DCD -----------------------------------------------------------------------------------------------------

_HEADER = 92 + 172 + 12  # header, two titles, atom count
_FRAME = 3 * (4 * 104 + 8)


def _dialect(**options: object) -> Make:
    def make(_: Originals, path: Path) -> None:
        frames = example_frames()
        fixed = options.get("fixed", [])
        frames[:, fixed] = frames[0, fixed]
        write_dialect(path, frames, **options)  # type: ignore[arg-type]

    return make


def _frames(change: Callable[[NDArray[np.float32]], NDArray[np.float32]]) -> Make:
    def make(_: Originals, path: Path) -> None:
        write_dialect(path, change(example_frames()), every=500)

    return make


def _dcd_legal() -> Iterator[Variant]:
    cell = [90.0, 0.0, 90.0, 0.0, 0.0, 90.0]
    shape = [90.0, 0.0, 90.0, 0.0, 0.0, 90.0]
    silent: dict[str, dict[str, object]] = {
        "plain": {},
        "no title": {"titles": 0},
        "one title": {"titles": 1},
        "three titles": {"titles": 3},
        "thirty titles": {"titles": 30},
        "fourth dimension": {"fourth": True},
        "cell as cosines": {"cell": cell},
        "cell as degrees": {"cell": [90.0, 90.0, 90.0, 90.0, 90.0, 90.0]},
        "triclinic cell as degrees": {"cell": [90.0, 80.0, 91.0, 85.0, 95.0, 92.0]},
        "cell as a shape matrix": {"cell": [90.0, 2.0, 90.0, 3.0, 1.0, 90.0]},
        "rectangular shape matrix": {"cell": shape},
        "dummy cell of zeros": {"cell": [0.0] * 6},
        "dummy cell of ones": {"cell": [1.0, 0.0, 1.0, 0.0, 0.0, 1.0]},
        "cell without volume": {"cell": [90.0, 1.0, 90.0, 1.0, 1.0, 90.0]},
        "first step later": {"first_step": 5000},
        "other cell flag": {"cell": cell, "cell_flag": 2},
    }
    noted: dict[str, tuple[dict[str, object], str]] = {
        "big-endian": ({"order": ">"}, "big-endian"),
        "64-bit markers": ({"marker": "q"}, "64-bit"),
        "big-endian, 64-bit": ({"order": ">", "marker": "q"}, "64-bit"),
        "X-PLOR": ({"xplor": True}, "X-PLOR"),
        "X-PLOR, big-endian": ({"xplor": True, "order": ">"}, "X-PLOR"),
        "three titles in a record for two": ({"titles": 3, "title_bytes": 164}, "title"),
        "no frames declared": ({"declared": 0}, "declares 0 frames, the file holds 12"),
        "too many frames declared": ({"declared": 10_000_000}, "declares 10000000 frames"),
        "too few frames declared": ({"declared": 5}, "declares 5 frames"),
        "negative frames declared": ({"declared": -1}, "declares -1 frames"),
        "no time step": ({"delta": 0.0}, "no meaningful time"),
        "negative time step": ({"delta": -0.04}, "no meaningful time"),
        "absurd time step": ({"delta": 1e30}, "no meaningful time"),
        "NaN time step": ({"delta": float("nan")}, "no meaningful time"),
        "VMD's time step": ({"delta": 1.0, "every": 1}, "no meaningful time"),
        "no steps between frames": ({"every": 0}, "no meaningful time"),
        "negative steps between frames": ({"every": -3}, "no meaningful time"),
        "cell of NaN": ({"cell": [float("nan")] * 6}, "impossible unit cell"),
        "infinite cell": ({"cell": [float("inf"), 0.0, 90.0, 0.0, 0.0, 90.0]}, "impossible unit cell"),
        "negative cell": ({"cell": [-90.0, 0.0, 90.0, 0.0, 0.0, 90.0]}, "impossible unit cell"),
    }
    for name, options in silent.items():
        yield Variant("dcd", name, _dialect(**options), READ)
    for name, (options, words) in noted.items():
        yield Variant("dcd", name, _dialect(**options), NOTED, words)
    hydrogen = [1, 2, 4]  # their bonds to fixed partners would break, so nothing else is fixed
    yield Variant("dcd", "no atom fixed", _dialect(fixed=[]), READ)
    yield Variant("dcd", "fixed atoms that moved", _dialect(fixed=hydrogen), REFUSED, "bond", same=False)


def _dcd_header() -> Iterator[Variant]:
    for value in (0, -1, 1, 103, 105, 52, 2**31 - 1):
        yield Variant("dcd", f"{value} atoms", _put("dcd", _HEADER - 8, "<i", value), REFUSED)
    for value in (1, 104, -1, 500):
        yield Variant("dcd", f"{value} fixed atoms claimed", _put("dcd", 4 + 36, "<i", value), REFUSED)
    yield Variant("dcd", "a cell that is not there", _put("dcd", 4 + 44, "<i", 1), REFUSED, "and a unit cell")
    yield Variant("dcd", "a fourth dimension that is not there", _put("dcd", 4 + 48, "<i", 1), REFUSED)
    yield Variant("dcd", "a cell unannounced", _dialect(cell=[90.0] * 6, cell_flag=0), REFUSED, "48 bytes")
    yield Variant("dcd", "velocities", _dialect(keyword=b"VELD"), REFUSED, "velocities")
    yield Variant("dcd", "another keyword", _dialect(keyword=b"XXXX"), REFUSED, "is not a DCD file")
    yield Variant("dcd", "another number of titles", _put("dcd", 96, "<i", 77), NOTED, "title lines")
    for place in (0, 88, 92, 260, 264, 272):
        yield Variant("dcd", f"header marker at byte {place}", _put("dcd", place, "<i", 77), REFUSED)
    for size in (1, 4, 8, 91, 92, 100, 263, 264, 270):
        yield Variant("dcd", f"{size} bytes of a header", _bytes("dcd", lambda c, n=size: c[:n]), REFUSED)
    yield Variant("dcd", "a header alone", _bytes("dcd", lambda c: c[:_HEADER]), REFUSED, "only 276 bytes")
    yield Variant("dcd", "a text", _bytes("dcd", lambda _: b"ATOM      1  N   ALA\n" * 9), REFUSED, "text")
    yield Variant("dcd", "zeros", _bytes("dcd", lambda c: bytes(len(c))), REFUSED, "is not a DCD file")
    yield Variant(
        "dcd", "a PDF", _bytes("dcd", lambda _: b"%PDF-1.7\n\x00\x01" * 40), REFUSED, "is not a DCD file"
    )
    yield Variant("dcd", "the wrong order of bytes half way", _bytes("dcd", _swap_half), REFUSED)


def _swap_half(content: bytes) -> bytes:
    half = len(content) // 8 * 4
    words = np.frombuffer(content[half:], dtype="<u4").byteswap()
    return content[:half] + words.tobytes()


def _dcd_body() -> Iterator[Variant]:
    for frame in range(0, N_FRAMES, 2):
        for within in (4, _FRAME // 3, _FRAME - 4):
            size = _HEADER + frame * _FRAME + within
            words = f"cut inside frame {frame + 1} " if frame > 1 else ""
            yield Variant("dcd", f"cut at {size}", _bytes("dcd", lambda c, n=size: c[:n]), REFUSED, words)
    for frame in (3, 11):
        size = _HEADER + frame * _FRAME
        yield Variant(
            "dcd", f"{frame} whole frames", _bytes("dcd", lambda c, n=size: c[:n]), NOTED,
            f"holds {frame} whole", same=False,
        )  # fmt: skip
    for frame in range(0, N_FRAMES, 3):
        for record in range(3):
            for end in (0, 4 * 104 + 4):
                place = _HEADER + frame * _FRAME + record * (4 * 104 + 8) + end
                yield Variant("dcd", f"marker at {place}", _put("dcd", place, "<i", 415), REFUSED)
    yield Variant("dcd", "joined with itself", _bytes("dcd", lambda c: c + c), REFUSED, "joined")
    yield Variant("dcd", "joined with a text", _bytes("dcd", lambda c: c + b"TER\n" * 99), REFUSED)
    yield Variant("dcd", "zeros at the end", _bytes("dcd", lambda c: c + bytes(_FRAME)), REFUSED, "marker")
    yield Variant("dcd", "one byte more", _bytes("dcd", lambda c: c + b"\n"), REFUSED)
    yield Variant("dcd", "one byte less", _bytes("dcd", lambda c: c[:-1]), REFUSED, "cut inside frame 12")
    for length in (1, 4, 100, _FRAME):
        place = _HEADER + 3 * _FRAME + 60
        yield Variant(
            "dcd", f"{length} bytes in between", _bytes("dcd", lambda c, n=length, p=place: c[:p] + bytes(n) + c[p:]),
            REFUSED,
        )  # fmt: skip
        yield Variant(
            "dcd", f"{length} bytes lost",
            _bytes("dcd", lambda c, n=length, p=place: c[:p] + c[p + n :]),
            REFUSED, "", same=False,
        )  # fmt: skip
    start, stop = _HEADER + _FRAME, _HEADER + 3 * _FRAME
    yield Variant(
        "dcd",
        "zeros over two frames",
        _bytes("dcd", lambda c: c[:start] + bytes(stop - start) + c[stop:]),
        REFUSED,
    )


def _set(frames: NDArray[np.float32], value: float) -> NDArray[np.float32]:
    frames[5, 13, 1] = value
    return frames


def _move(frames: NDArray[np.float32], atom: int, vector: tuple[float, float, float]) -> NDArray[np.float32]:
    frames[5, atom] += np.array(vector, dtype=np.float32)
    return frames


def _zero(frames: NDArray[np.float32], frame: int) -> NDArray[np.float32]:
    frames[frame] = 0
    return frames


def _dcd_values() -> Iterator[Variant]:
    for value in (np.nan, np.inf, -np.inf, 1e30, -1e30, 1.1e5):
        yield Variant(
            "dcd", f"a coordinate of {value}", _frames(lambda x, v=value: _set(x, v)), REFUSED, "frame 6"
        )
    for frame in (0, 5, 11):
        yield Variant(
            "dcd", f"frame {frame + 1} all zero", _frames(lambda x, f=frame: _zero(x, f)), REFUSED, "zeros"
        )
    yield Variant("dcd", "in nm", _frames(lambda x: x / 10), REFUSED, "nm")
    yield Variant("dcd", "in Bohr", _frames(lambda x: x * 1.8897), REFUSED, "bond")
    yield Variant("dcd", "mirrored order", _frames(lambda x: x[:, ::-1]), REFUSED, "bond")
    yield Variant("dcd", "order shifted by one", _frames(lambda x: np.roll(x, 1, axis=1)), REFUSED, "bond")
    yield Variant(
        "dcd", "a frame twice", _frames(lambda x: x[[0, 0, *range(1, 12)]]), NOTED, "repeat", same=False
    )
    yield Variant(
        "dcd", "all frames alike", _frames(lambda x: x[[3] * 12]), NOTED, "11 frames repeat", same=False
    )
    yield Variant("dcd", "one frame", _frames(lambda x: x[:1]), REFUSED, "1 frame, expected 2")
    for atom in (0, 3, 9, 13, 19, 97):
        for vector in ((2.0, 0.0, 0.0), (0.0, -2.0, 0.0), (0.0, 0.0, 30.0)):
            yield Variant(
                "dcd", f"atom {atom} moved by {vector}", _frames(lambda x, a=atom, v=vector: _move(x, a, v)),
                "refused or noted",
            )  # fmt: skip
    yield Variant("dcd", "far from the origin", _frames(lambda x: x + 3000), READ, same=False)


# --- PSF -----------------------------------------------------------------------------------------------------

_ATOM = "      14 DECA 2    ALA  CA   CT1    0.070000       12.0110           0"


def _psf() -> Iterator[Variant]:
    legal: dict[str, Make] = {
        "CRLF": _text("psf", ("\n", "\r\n"), count=-1),
        "old Mac line ends": _text("psf", ("\n", "\r"), count=-1),
        "byte-order mark": _bytes("psf", lambda c: b"\xef\xbb\xbf" + c),
        "latin-1 in a remark": _text("psf", ("written by", "\xe9crit par \xb5")),
        "UTF-8 in a remark": _bytes("psf", lambda c: c.replace(b"written", "geschrieben für Å".encode())),
        "CMAP and XPLOR flags": _text("psf", ("PSF\n", "PSF CMAP XPLOR\n")),
        "CHEQ flag": _text("psf", ("PSF\n", "PSF CMAP CHEQ\n")),
        "no blank lines": _text("psf", ("\n\n", "\n"), count=-1),
        "more blank lines": _text("psf", ("\n\n", "\n\n\n"), count=-1),
        "blanks at line ends": _text("psf", ("\n", "   \n"), count=-1),
        "no end of the last line": _bytes("psf", lambda c: c.rstrip()),
        "wide numbers": _text(
            "psf", ("           0\n", "           0   0.00000     -0.301140E-02\n"), count=-1
        ),
        "charges with exponents": _text("psf", ("    0.070000 ", "   0.700000E-01")),
        "three titles": _text("psf", ("1 !NTITLE\n", "3 !NTITLE\n REMARKS a\n REMARKS b ! !NATOM\n")),
        "lower-case remark with a mark": _text("psf", ("REMARKS written", "REMARKS 99 !NBOND written")),
        "no donors": _text("psf", ("       0 !NDON: donors\n\n", "")),
        "no group section": _text("psf", ("       1       0 !NGRP\n       0       0       0\n", "")),
        "zero-padded numbers": _text("psf", ("      14 DECA", "00000014 DECA")),
    }
    for name, make in legal.items():
        yield Variant("psf", name, make, READ)
    yield Variant(
        "psf",
        "no bonds",
        _bytes("psf", lambda c: c[: c.index(b"     103 !NBOND")]),
        NOTED,
        "no bonds",
        same=False,
    )
    yield Variant(
        "psf", "0 bonds and 183 angles", _text("psf", ("     103 !NBOND", "       0 !NBOND")), REFUSED
    )
    counts = ("104 !NATOM", "103 !NBOND", "183 !NTHETA", "250 !NPHI", "22 !NIMPHI")
    for count in counts:
        number, section = count.split()
        for wrong in ("1000000000", "-1", "7", "1e3", "nan", str(int(number) + 1), str(int(number) - 1)):
            yield Variant("psf", f"{wrong} {section}", _text("psf", (count, f"{wrong} {section}")), REFUSED)
    broken: dict[str, tuple[Make, str]] = {
        "no PSF line": (_bytes("psf", lambda c: c[3:]), "starts with|no ATOM lines|ATOM"),
        "Drude": (_text("psf", ("PSF\n", "PSF DRUDE\n")), "Drude"),
        "two atom sections": (_text("psf", ("     103 !NBOND", "     104 !NATOM\n     103 !NBOND")), "second !NATOM"),
        "bond to atom 0": (_text("psf", ("       1       2       1", "       0       2       1")), "names atom 0"),
        "bond to atom 105": (_text("psf", ("       1       2       1", "       1     105       1")), "names atom 105"),
        "bond to itself": (_text("psf", ("       1       2       1", "       1       1       1")), "itself"),
        "negative atom": (_text("psf", ("       1       2       1", "      -1       2       1")), "names atom"),
        "letters among bonds": (_text("psf", ("       1       2       1", "       1     two       1")), "numbers"),
        "half a bond": (_text("psf", ("       1       2       1", "               2       1")), "announces 103"),
        "angle to atom 0": (_text("psf", ("!NTHETA: angles\n       1", "!NTHETA: angles\n       0")), "names atom 0"),
        "huge number": (_text("psf", ("       1       2       1", " 99999999999999999999999       2       1")), "numbers"),
        "NaN mass": (_text("psf", (_ATOM, _ATOM.replace("12.0110", "    nan"))), "mass 'nan'"),
        "negative mass": (_text("psf", (_ATOM, _ATOM.replace(" 12.0110", "-12.0110"))), "mass '-12"),
        "NaN charge": (_text("psf", (_ATOM, _ATOM.replace("0.070000", "     nan"))), ""),
        "absurd charge": (_text("psf", (_ATOM, _ATOM.replace("0.070000", "7.0e+301"))), "charge"),
        "lost atom line": (_text("psf", (_ATOM + "\n", "")), "is not atom 14"),
        "atom line twice": (_text("psf", (_ATOM + "\n", f"{_ATOM}\n{_ATOM}\n")), "is not atom|announces 104"),
        "half an atom line": (_text("psf", (_ATOM, _ATOM[:30])), "is not atom 14"),
        "residue number of letters": (_text("psf", ("DECA 2    ALA  CA ", "DECA x    ALA  CA ")), "residue number"),
        "huge residue number": (_text("psf", ("DECA 2    ALA  CA ", "DECA 99999999999999999999 ALA CA ")), "residue"),
    }  # fmt: skip
    for name, (make, words) in broken.items():
        yield Variant("psf", name, make, REFUSED, words)
    for share in (0.02, 0.1, 0.3, 0.5, 0.63, 0.7, 0.8, 0.9):
        yield Variant(
            "psf", f"cut at {share:.0%}", _bytes("psf", lambda c, s=share: c[: int(len(c) * s)]), REFUSED
        )
    noted: dict[str, tuple[Make, str]] = {
        "a name twice": (_text("psf", (_ATOM, _ATOM.replace("ALA  CA ", "ALA  CB "))), "same name"),
        "an unknown name": (_text("psf", (_ATOM, _ATOM.replace("ALA  CA ", "ALA  CQ "))), "backbone|unusual"),
        "a wrong element": (_text("psf", (_ATOM, _ATOM.replace("12.0110", "32.0600"))), "element"),
        "a residue in two parts": (_text("psf", (_ATOM, _ATOM.replace(" 2  ", " 7  "))), "two parts"),
        "another residue name": (_text("psf", (_ATOM, _ATOM.replace("ALA", "VAL"))), "two parts"),
        "another segment": (_text("psf", (_ATOM, _ATOM.replace("DECA", "DEKA"))), "backbone"),
        "a bond twice": (_text("psf", ("       4       6       4      10", "       4       5       4      10")), "twice"),
    }  # fmt: skip
    for name, (make, words) in noted.items():
        yield Variant("psf", name, make, NOTED, words, same=False)


# --- PDB -----------------------------------------------------------------------------------------------------

_LINE = "ATOM     14  CA  ALA A   2"


def _pdb_line(content: bytes, change: Callable[[str], str]) -> bytes:
    lines = content.decode().split("\n")
    place = next(i for i, line in enumerate(lines) if line.startswith(_LINE))
    lines[place] = change(lines[place])
    return "\n".join(lines).encode("latin-1")


def _one_line(change: Callable[[str], str]) -> Make:
    return _bytes("pdb", lambda content: _pdb_line(content, change))


def _pdb() -> Iterator[Variant]:
    legal: dict[str, Make] = {
        "CRLF": _text("pdb", ("\n", "\r\n"), count=-1),
        "byte-order mark": _bytes("pdb", lambda c: b"\xef\xbb\xbf" + c),
        "latin-1 remark": _bytes("pdb", lambda c: b"REMARK \xc5ngstr\xf6m\n" + c),
        "remarks and titles": _bytes("pdb", lambda c: b"HEADER    X\nTITLE     Y\nREMARK 1\nCRYST1\n" + c),
        "blank lines": _text("pdb", ("\nATOM", "\n\nATOM"), count=-1),
        "HETATM": _text("pdb", ("ATOM  ", "HETATM"), count=-1),
        "an orphan CONECT": _bytes("pdb", lambda c: c.replace(b"END", b"CONECT  999  998\nEND")),
        "a torn CONECT": _bytes("pdb", lambda c: c.replace(b"END", b"CONECT   1a\nEND")),
        "a dummy cell": _bytes("pdb", lambda c: b"CRYST1    1.000    1.000    1.000  90.00  90.00  90.00 P 1\n" + c),
        "a cell without volume": _bytes("pdb", lambda c: b"CRYST1   30.000   30.000   30.000 170.00  20.00  20.00 P 1\n" + c),
        "a cell of stars": _bytes("pdb", lambda c: b"CRYST1********************************************** P 1\n" + c),
        "TER": _bytes("pdb", lambda c: c.replace(b"END", b"TER     105      ALA A  10\nEND")),
        "no occupancies": _bytes("pdb", lambda c: c.replace(b"  1.00  0.00", b"            ")),
    }  # fmt: skip
    for name, make in legal.items():
        yield Variant("pdb", name, make, READ)
    odd: dict[str, tuple[Make, str]] = {
        "no elements": (_bytes("pdb", lambda c: b"\n".join(line[:76] for line in c.split(b"\n"))), "without an element"),
        "no END": (_bytes("pdb", lambda c: c.replace(b"END\n", b"")), "END line is missing"),
        "several models": (_bytes("pdb", lambda c: c + c), "several models"),
        "foreign lines": (_bytes("pdb", lambda c: b"HELLO WORLD\n" + c), "not PDB records"),
        "serial numbers from 5": (_bytes("pdb", lambda c: _serials(c, 5)), "first atom is 5"),
        "serial numbers that jump": (_one_line(lambda x: x.replace("     14 ", "     99 ")), "followed by 99"),
        "altlocs": (_one_line(lambda x: f"{x[:16]}A{x[17:54]}  0.60{x[60:]}\n{x[:16]}B{x[17:54]}  0.40{x[60:]}"), "alternative"),
    }  # fmt: skip
    for name, (make, words) in odd.items():
        yield Variant("pdb", name, make, NOTED, words)
    fields = (
        "     nan",
        "     inf",
        "    -inf",
        "********",
        "   1e300",
        "        ",
        "   1.2.3",
        "0x1.8p+1",
        "  1,234 ",
    )
    for text in fields:
        for start in (30, 38, 46):
            yield Variant(
                "pdb", f"{text!r} in columns {start + 1} on",
                _one_line(lambda x, t=text, s=start: x[:s] + t + x[s + 8 :]), REFUSED, "no coordinates",
            )  # fmt: skip
    for place in (3, 11, 17, 22, 27, 29, 31, 40, 47):
        yield Variant(
            "pdb", f"a column lost at {place}", _one_line(lambda x, p=place: x[:p] + x[p + 1 :]), REFUSED
        )
        yield Variant(
            "pdb", f"a column more at {place}", _one_line(lambda x, p=place: x[:p] + " " + x[p:]), REFUSED
        )
    broken: dict[str, tuple[Make, str]] = {
        "no atoms": (_bytes("pdb", lambda _: b"REMARK nothing\nEND\n"), "no ATOM lines"),
        "binary": (_bytes("pdb", lambda _: b"\0\1\2\3" * 99), ""),
        "gzip": (_bytes("pdb", lambda c: b"\x1f\x8b\x08" + c), "gzip"),
        "half a line": (_one_line(lambda x: x[:40]), "no coordinates"),
        "residue number of letters": (_one_line(lambda x: x[:22] + " x?2" + x[26:]), "residue number"),
        "a lost atom": (_one_line(lambda _: "REMARK"), "103 atoms|has 104 atoms"),
        "an atom twice": (_one_line(lambda x: f"{x}\n{x}"), "atoms"),
        "cut in the middle": (_bytes("pdb", lambda c: c[: len(c) // 2]), ""),
        "cut between lines": (_bytes("pdb", lambda c: c[: c.index(b"ATOM     50")]), "atoms"),
    }
    for name, (make, words) in broken.items():
        yield Variant("pdb", name, make, REFUSED, words)
    for old, new, words in (
        (" CA  ALA A   2", " CB  ALA A   2", "same name"),
        (" CA  ALA A   2", " CQ  ALA A   2", "backbone|unusual"),
        (" CA  ALA A   2", " CA  ALA B   2", "two parts|backbone"),
        (" CA  ALA A   2", " CA  ALA A   9", "two parts"),
        (" CA  ALA A   2", " CA  GLY A   2", "two parts"),
        (" HB2 ALA A   4", " HG2 ALA A   4", "unlike"),
    ):
        yield Variant(
            "pdb", f"{old.strip()} to {new.strip()}", _text("pdb", (old, new)), NOTED, words, same=False
        )


def _serials(content: bytes, first: int) -> bytes:
    lines = content.decode().split("\n")
    number = first
    for i, line in enumerate(lines):
        if line.startswith("ATOM"):
            lines[i] = f"{line[:6]}{number:5d}{line[11:]}"
            number += 1
    return "\n".join(lines).encode()


def _models() -> Iterator[Variant]:
    yield Variant("models", "END between frames", _text("models", ("ENDMDL", "END"), count=-1), READ)
    yield Variant("models", "a lost model", _bytes("models", lambda c: c[: c.index(b"MODEL        2")] + c[c.index(b"MODEL        3") :]), NOTED, "not numbered", same=False)  # fmt: skip
    yield Variant(
        "models",
        "models of different length",
        _text("models", ("ATOM    104", "REMARK  104")),
        REFUSED,
        "104",
    )
    yield Variant("models", "models of other atoms", _bytes("models", lambda c: c[::-1].replace(b"AC  41", b"BC  41", 1)[::-1]), REFUSED, "first it is|same atoms")  # fmt: skip
    yield Variant("models", "cut in the last model", _bytes("models", lambda c: c[:-900]), REFUSED)
    yield Variant(
        "models", "cut at the end", _bytes("models", lambda c: c[: -len("ENDMDL\nEND\n")]), NOTED, "END line"
    )
    yield Variant("models", "a NaN", _text("models", ("  1.00  0.00", "  1.00  0.00")), READ)


# --- tables of collective variables -------------------------------------------------------------------------


def _row(content: bytes, number: int, change: Callable[[bytes], bytes]) -> bytes:
    lines = content.split(b"\n")
    lines[number] = change(lines[number])
    return b"\n".join(lines)


def _table() -> Iterator[Variant]:
    def on_row(change: Callable[[bytes], bytes], number: int = 50) -> Make:
        return _bytes("table", lambda c: _row(c, number, change))

    legal: dict[str, Make] = {
        "CRLF": _bytes("table", lambda c: c.replace(b"\n", b"\r\n")),
        "the header again": _bytes(
            "table", lambda c: _row(c, 50, lambda line: c.split(b"\n")[0] + b"\n" + line)
        ),
        "a comment": on_row(lambda line: b"# by hand\n" + line),
        "blank lines": on_row(lambda line: b"\n\n" + line),
        "#step in one word": _bytes("table", lambda c: c.replace(b"# step", b"#step", 1)),
    }
    for name, make in legal.items():
        yield Variant("table", name, make, READ)
    noted: dict[str, tuple[Make, str]] = {
        "a cut last row": (_bytes("table", lambda c: c.rstrip()[:-40]), "cut"),
        "a restart": (_bytes("table", lambda c: _row(c, 50, lambda line: c.split(b"\n")[48] + b"\n" + c.split(b"\n")[49] + b"\n" + line)), "restart"),
        "a vector column": (_bytes("table", _with_vectors), "left out"),
        "a NaN centre": (on_row(lambda line: line[:36] + b"nan".rjust(23) + line[59:]), "left out"),
        "a jump of the centre": (on_row(lambda line: line[:36] + b"3.0e+01".rjust(23) + line[59:]), "jumps"),
        "a jump of the work": (on_row(lambda line: line[:59] + b"-9.9e+09".rjust(23)), "jumps"),
        "another trajectory's": (_bytes("table", lambda c: c.replace(b"e+01  ", b"e+00  ")), ""),
        "a lost row": (on_row(lambda _: b""), "steps are not those"),
        "no work": (_bytes("table", lambda c: c.replace(b"W_pull", b"V_pull")), "no work in"),
        "no centre": (_bytes("table", lambda c: c.replace(b"x0_end", b"y0_end")), "no centre in"),
    }  # fmt: skip
    for name, (make, words) in noted.items():
        yield Variant("table", name, make, NOTED, words, same=False)
    broken: dict[str, Make] = {
        "no header": _bytes("table", lambda c: c[c.index(b"\n") + 1 :]),
        "a header alone": _bytes("table", lambda c: c[: c.index(b"\n") + 1]),
        "a text": _bytes("table", lambda _: b"once upon a time\n"),
        "a torn row": on_row(lambda line: line[:40]),
        "letters in a row": on_row(lambda line: line.replace(b"e+", b"x+")),
        "a column too many": on_row(lambda line: line + b" 1.0"),
        "a name twice": _bytes("table", lambda c: c.replace(b"W_pull", b"end_to_end")),
        "other columns half way": on_row(lambda line: b"# step a b c\n" + line),
        "zeros in between": on_row(lambda line: line[:20] + bytes(20)),
        "a step of letters": on_row(lambda line: line.replace(b" 12", b" 1z", 1)),
    }
    for name, make in broken.items():
        yield Variant("table", name, make, REFUSED)


def _with_vectors(content: bytes) -> bytes:
    lines = content.split(b"\n")
    for i, line in enumerate(lines):
        if line:
            lines[i] = line + (b"  v" if line.startswith(b"#") else b"  ( 1.0 , 2.0 , 3.0 )")
    return b"\n".join(lines)


# --- XTC, NetCDF, H5 -----------------------------------------------------------------------------------------


def _xtc() -> Iterator[Variant]:
    for share in (0.03, 0.2, 0.5, 0.77, 0.99):
        yield Variant(
            "xtc",
            f"cut at {share:.0%}",
            _bytes("xtc", lambda c, s=share: c[: int(len(c) * s) + 2]),
            REFUSED,
            "cut",
        )
    yield Variant("xtc", "another first number", _put("xtc", 0, ">i", 1994), REFUSED, "begins with 1994")
    yield Variant("xtc", "another number of atoms", _put("xtc", 4, ">i", 105), REFUSED, "105")
    yield Variant("xtc", "a billion atoms", _put("xtc", 4, ">i", 10**9 + 1), REFUSED)
    yield Variant("xtc", "zeros at the end", _bytes("xtc", lambda c: c + bytes(99)), REFUSED)
    yield Variant("xtc", "four bytes lost", _bytes("xtc", lambda c: c[:400] + c[404:]), REFUSED)
    yield Variant("xtc", "a text", _bytes("xtc", lambda _: b"hello\n" * 99), REFUSED)
    yield Variant("xtc", "as it is", _bytes("xtc", lambda c: c), READ)
    yield Variant("xtc", "damage within a frame", _put("xtc", 300, ">8i", *[-1] * 8), REFUSED)


def _netcdf() -> Iterator[Variant]:
    def anew(**options: object) -> Make:
        return lambda _, path: _ignore(write_netcdf(path, example_frames(), **options))  # type: ignore[arg-type]

    yield Variant("netcdf", "as it is", anew(), READ)
    crashed = "declares 0 frames, the file holds 12"  # as many writers leave it when they are killed
    yield Variant("netcdf", "0 frames declared", _put("netcdf", 4, ">i", 0), NOTED, crashed)
    for declared in (1, 11, 13, 10**6, -1, 2**31 - 1):
        yield Variant("netcdf", f"{declared} frames declared", _put("netcdf", 4, ">i", declared), REFUSED)
    for lost in (1, 4, 600, 1252, 5000, 14000):
        words = "has room for" if lost > 4 else ""
        yield Variant(
            "netcdf", f"{lost} bytes lost", _bytes("netcdf", lambda c, n=lost: c[:-n]), REFUSED, words
        )
    yield Variant(
        "netcdf", "bytes in between", _bytes("netcdf", lambda c: c[:3000] + bytes(40) + c[3000:]), REFUSED
    )
    yield Variant("netcdf", "joined with itself", _bytes("netcdf", lambda c: c + c), REFUSED)
    yield Variant("netcdf", "in nm", anew(units="nanometer"), REFUSED, "nanometer")
    yield Variant(
        "netcdf",
        "another magic number",
        _bytes("netcdf", lambda c: b"CDF\x09" + c[4:]),
        REFUSED,
        "not a NetCDF",
    )
    yield Variant("netcdf", "a lost header", _bytes("netcdf", lambda c: c[100:]), REFUSED, "not a NetCDF")
    for place in range(8, 200, 16):
        yield Variant(
            "netcdf", f"header word {place}", _put("netcdf", place, ">i", 0x7FFFFFFF), "read or refused"
        )


def _ignore(_: object) -> None:
    return None


def _h5() -> Iterator[Variant]:
    def link(kind: str) -> Make:
        def make(originals: Originals, path: Path) -> None:
            import h5py

            with h5py.File(path, "w") as file:
                if kind == "external link":
                    file["coordinates"] = h5py.ExternalLink(str(originals.path("h5")), "/coordinates")
                elif kind == "soft link":
                    file["coordinates"] = h5py.SoftLink("/elsewhere")
                elif kind == "virtual dataset":
                    layout = h5py.VirtualLayout((12, 104, 3), "f4")
                    layout[:] = h5py.VirtualSource(str(originals.path("h5")), "coordinates", (12, 104, 3))
                    file.create_virtual_dataset("coordinates", layout)
                elif kind == "external storage":
                    file.create_dataset(
                        "coordinates", (12, 104, 3), "f4", external=[(str(originals.path("dcd")), 0, 14976)]
                    )
                elif kind == "absurd size":
                    file.create_dataset("coordinates", (10**9, 104, 3), "f4", chunks=(1, 104, 3))
                else:
                    file["positions"] = np.zeros((12, 104, 3))

        return make

    for kind in (
        "external link",
        "soft link",
        "virtual dataset",
        "external storage",
        "absurd size",
        "other names",
    ):
        yield Variant("h5", kind, link(kind), REFUSED)
    yield Variant("h5", "cut", _bytes("h5", lambda c: c[: len(c) // 2]), REFUSED)


# --- files of our own ----------------------------------------------------------------------------------------


def _sealed() -> Iterator[Variant]:
    for kind in ("store", "latents"):
        for share in (0.001, 0.01, 0.02, 0.1, 0.35, 0.6, 0.9, 0.999):
            yield Variant(
                kind,
                f"a bit at {share:.1%}",
                _bytes(kind, lambda c, s=share: _flip(c, int(s * len(c)))),
                REFUSED,
            )
        for size in (10, 511, 512, 513, 4000):
            yield Variant(kind, f"{size} bytes", _bytes(kind, lambda c, n=size: c[:n]), REFUSED)
        yield Variant(kind, "a byte less", _bytes(kind, lambda c: c[:-1]), REFUSED, "checksum|damaged")
        yield Variant(kind, "a byte more", _bytes(kind, lambda c: c + b"\0"), REFUSED, "checksum|damaged")
        yield Variant(
            kind,
            "a newer layout",
            _bytes(kind, lambda c: re.sub(rb" \d ", b" 9 ", c, count=1)),
            REFUSED,
            "update smdgen",
        )
        yield Variant(
            kind, "another program's HDF5", _bytes(kind, lambda c: c[512:]), REFUSED, "not a file of smdgen"
        )
    yield Variant("store", "latents in its place", lambda o, p: _ignore(p.write_bytes(o.path("latents").read_bytes())), REFUSED, "holds a latents")  # fmt: skip
    yield Variant("latents", "a store in its place", lambda o, p: _ignore(p.write_bytes(o.path("store").read_bytes())), REFUSED, "holds a dataset")  # fmt: skip


def _forged() -> Iterator[Variant]:
    """Files of ours with a seal that fits, and parts that do not: as a faulty program would write them."""
    value, own = "observables/cv/value", "smdgen"
    pull = {"name": "a", "start": 0, "stop": 12, "split": "train", "source": "a.dcd"}
    no_cv = {
        "name": "d",
        "kind": "spin",
        "groups": [[1], [2]],
        "weights": [[1], [1]],
        "reference": [],
        "unit": "A",
    }
    changes: dict[str, tuple[str, object]] = {
        "no pulls": (f"{own}/pulls", "[]"),
        "pulls of another layout": (f"{own}/pulls", '[{"first": 0}]'),
        "a pull beyond the end": (f"{own}/pulls", json.dumps([{**pull, "stop": 10**6}])),
        "a pull before the beginning": (f"{own}/pulls", json.dumps([{**pull, "start": -5}])),
        "places of letters": (f"{own}/pulls", json.dumps([{**pull, "stop": "12"}])),
        "an unknown split": (f"{own}/pulls", json.dumps([{**pull, "split": "valid"}])),
        "an unknown kind of CV": (f"{own}/cv", json.dumps(no_cv)),
        "a CV of atoms that are not there": (
            f"{own}/cv",
            json.dumps({**no_cv, "kind": "distance", "groups": [[1], [900]]}),
        ),
        "a structure that is a list": (f"{own}/structure", "[]"),
        "a provenance that is a list": (f"{own}/provenance", "[]"),
        "terms in one array": (f"{own}/terms", np.zeros(3)),
        "CV in letters": (value, np.array([b"1.5"] * 12)),
        "CV not finite": (value, np.full(12, np.nan)),
        "CV of fewer frames": (value, np.zeros(11)),
        "times not finite": ("particles/trajectory/position/time", np.full(12, np.nan)),
        "times that stand still": ("particles/trajectory/position/time", np.zeros(12)),
        "positions not finite": (
            "particles/trajectory/position/value",
            np.full((12, 40, 3), np.nan, np.float32),
        ),
        "positions in double precision": ("particles/trajectory/position/value", np.zeros((12, 40, 3))),
    }
    for name, (place, content) in changes.items():
        yield Variant("store", name, _resealed("store", "dataset", place, content), REFUSED)
    for name, place, content in (
        ("one number a frame", "latents", np.zeros(12, np.float32)),
        ("fewer frames", "latents", np.zeros((11, 6), np.float32)),
        ("in letters", "latents", np.full((12, 6), b"0.5")),
        ("not finite", "latents", np.full((12, 6), np.inf, np.float32)),
        ("whole numbers", "latents", np.zeros((12, 6), np.int64)),
        ("a third axis", "latents", np.zeros((12, 6, 1), np.float32)),
    ):
        yield Variant("latents", name, _resealed("latents", "latents", place, content), REFUSED)


def _resealed(kind: str, seal: str, place: str, content: object) -> Make:
    """Replace one dataset and seal the file anew."""

    def make(originals: Originals, path: Path) -> None:
        import h5py

        from smdgen.store.sealed_hdf5 import create_sealed

        with h5py.File(originals.path(kind), "r") as old, create_sealed(path, seal, 1 << 20) as new:
            for name in old:
                old.copy(name, new)
            new.attrs.update(old.attrs)
            del new[place]
            if isinstance(content, str):
                new.create_dataset(
                    place, data=content.encode(), dtype=h5py.string_dtype("utf-8", len(content))
                )
            else:
                new[place] = content

    return make


def _flip(content: bytes, place: int) -> bytes:
    return content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :]


def _model() -> Iterator[Variant]:
    for share in (0.0, 0.01, 0.05, 0.1, 0.15, 0.3, 0.5, 0.8, 0.999):
        yield Variant(
            "model",
            f"a bit at {share:.1%}",
            _bytes("model", lambda c, s=share: _flip(c, int(s * len(c)))),
            REFUSED,
        )
    for size in (1, 7, 8, 100, 2000):
        yield Variant(
            "model", f"{size} bytes", _bytes("model", lambda c, n=size: c[:n]), REFUSED, "not a model file"
        )
    yield Variant("model", "a byte more", _bytes("model", lambda c: c + b"\0"), REFUSED)
    yield Variant(
        "model",
        "a pickle",
        _bytes("model", lambda _: b"\x80\x04\x95cos\nsystem\n" * 9),
        REFUSED,
        "not a model file",
    )
    yield Variant("model", "an absurd header", _put("model", 0, "<q", 2**62), REFUSED, "not a model file")
    yield Variant("model", "another weight", _reweighted, REFUSED, "checksum")
    for value in (np.nan, np.inf):
        yield Variant("model", f"a weight of {value}", _with_weight(value), REFUSED, "not finite")
    for key, value in (
        ("kind", "lstm"),
        ("schema", 99),
        ("schema", "1"),
        ("header", []),
        ("sha256", "0" * 64),
    ):
        yield Variant("model", f"{key} = {value!r}"[:40], _with_manifest(key, value), REFUSED)


def _reweighted(originals: Originals, path: Path) -> None:
    """Sound safetensors whose weights are not those that the checksum was made of."""
    _rewrite(originals, path, lambda manifest: manifest, factor=1.0001)


def _with_weight(value: float) -> Make:
    def make(_: Originals, path: Path) -> None:
        weights = {"weight": torch.full((20, 30), value), "bias": torch.zeros(20)}
        write_model(path, "vae", weights, {"preset": "default", "sizes": [20, 30]})

    return make


def _with_manifest(key: str, value: object) -> Make:
    return lambda originals, path: _rewrite(originals, path, lambda manifest: {**manifest, key: value})


def _rewrite(
    originals: Originals,
    path: Path,
    change: Callable[[dict[str, object]], dict[str, object]],
    factor: float = 1.0,
) -> None:
    content = originals.path("model").read_bytes()
    length = int.from_bytes(content[:8], "little")
    manifest = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["smdgen"])
    tensors = {name: tensor * factor for name, tensor in safetensors.torch.load(content).items()}
    path.write_bytes(safetensors.torch.save(tensors, metadata={"smdgen": json.dumps(change(manifest))}))


# --- what is no file at all ----------------------------------------------------------------------------------


def _nodes() -> Iterator[Variant]:
    def fifo(_: Originals, path: Path) -> None:
        import os

        os.mkfifo(path)

    def hole(_: Originals, path: Path) -> None:
        with path.open("wb") as stream:
            stream.truncate(200 << 20)

    for kind in ("psf", "pdb", "dcd", "xtc", "netcdf", "table", "store", "model"):
        yield Variant(kind, "a folder", lambda _, path: path.mkdir(), REFUSED, "is a folder")
        yield Variant(kind, "empty", lambda _, path: path.touch(), REFUSED, "empty")
        yield Variant(kind, "missing", lambda _, path: None, REFUSED, "no such file")
        yield Variant(kind, "a pipe", fifo, REFUSED, "a pipe")
        yield Variant(kind, "a hole", hole, REFUSED, "stores")
        yield Variant(kind, "a device", lambda _, path: path.symlink_to("/dev/zero"), REFUSED, "a device")
