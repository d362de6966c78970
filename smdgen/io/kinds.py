"""What a file of coordinates is: its content decides, its name only where the content says nothing."""

import re
import shlex
import struct
from pathlib import Path

from smdgen.errors import SmdgenError
from smdgen.files import refuse_packed

#: Trajectories, and files with one set of coordinates and without a list of atoms to model.
TRAJECTORY_KINDS = ("DCD", "XTC", "TRR", "NetCDF", "H5")
COORDINATE_KINDS = ("NAMD coordinates", "Amber restart", "CHARMM coordinates")

#: How a PDB begins.
PDB_RECORDS = ("ATOM  ", "HETATM", "HEADER", "TITLE ", "REMARK", "CRYST1", "MODEL ")

_BY_SUFFIX = {
    ".dcd": "DCD",
    ".xtc": "XTC",
    ".trr": "TRR",
    **dict.fromkeys((".nc", ".ncdf", ".netcdf", ".ncrst"), "NetCDF"),
    **dict.fromkeys((".h5", ".hdf5", ".h5md"), "H5"),
    **dict.fromkeys((".pdb", ".ent"), "PDB"),
    ".coor": "NAMD coordinates",
    **dict.fromkeys((".inpcrd", ".rst7", ".restrt"), "Amber restart"),
    ".crd": "CHARMM coordinates",
}  # fmt: skip

#: Files that are never read, by their endings: what they are, and the command that converts them.
_UNREAD = {
    ".tpr": ("a run input of GROMACS", "gmx editconf -f {name} -o {stem}.gro"),
    ".tng": ("a TNG trajectory of GROMACS", "gmx trjconv -f {name} -o {stem}.xtc"),
    ".mol2": ("a MOL2 file", "obabel {name} -O {stem}.pdb"),
    ".sdf": ("an SDF file", "obabel {name} -O {stem}.pdb"),
    ".pqr": ("a PQR file, with charges and radii in free columns", "obabel {name} -O {stem}.pdb"),
    ".pdbqt": ("a PDBQT file, with charges where a PDB has segments", "obabel {name} -O {stem}.pdb"),
}  # fmt: skip

_HEAD_BYTES = 8192
_HDF5 = b"\x89HDF\r\n\x1a\n"
_USER_BLOCK = 512  # bytes before HDF5's signature, in files of smdgen


def coordinate_kind(path: Path) -> str:
    """One of the kinds above, "PDB", or empty for anything else.

    Text in a file with the name of a binary trajectory is damage, so there the name counts.
    """
    path = Path(path)
    named = _BY_SUFFIX.get(path.suffix.lower(), "")
    with path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES)
    found = _binary_kind(head, path.stat().st_size)
    if found or named in TRAJECTORY_KINDS:
        return found or named
    return _text_kind(head) or named


def refuse_unread(path: Path, error_type: type[SmdgenError]) -> None:
    """Raise for a file that is packed, or of a kind that is known and never read.

    Args:
        path: A regular file.
        error_type: What to raise.

    Raises:
        SmdgenError: Of the given type, with the command that unpacks or converts it.
    """
    path = Path(path)
    refuse_packed(path, error_type)
    if path.suffix.lower() in _UNREAD:
        what, command = _UNREAD[path.suffix.lower()]
        name, stem = shlex.quote(str(path)), shlex.quote(path.stem)
        raise error_type(
            f"{path} is {what}, which is not read; convert it ({command.format(name=name, stem=stem)}) "
            "or give the file that it was made from"
        )


def _binary_kind(head: bytes, size: int) -> str:
    if head[4:8] in (b"CORD", b"VELD") or head[8:12] in (b"CORD", b"VELD"):
        return "DCD"
    if head.startswith((b"CDF\x01", b"CDF\x02")):
        return "NetCDF"
    if head.startswith(_HDF5) or head[_USER_BLOCK:].startswith(_HDF5):
        return "H5"
    if head.startswith(b"\x00\x00\x07\xc9") and b"GMX_trn_file" in head[:32]:
        return "TRR"
    if head.startswith((b"\x00\x00\x07\xcb", b"\x00\x00\x07\xe7")) and head[4:8] == head[52:56]:
        return "XTC"
    counts = [struct.unpack_from(order + "i", head)[0] for order in "<>"] if len(head) >= 4 else []
    return "NAMD coordinates" if any(size == 4 + 24 * count > 4 for count in counts) else ""


def _text_kind(head: bytes) -> str:
    text = head.removeprefix(b"\xef\xbb\xbf").decode("latin-1")
    if text.lstrip().startswith(PDB_RECORDS):
        return "PDB"
    lines = text.splitlines()
    if text.startswith("*"):
        return "CHARMM coordinates" if _begins_charmm([line for line in lines if line[:1] != "*"]) else ""
    return "Amber restart" if _begins_restart(lines) else ""


def is_ascii_trajectory(path: Path) -> bool:
    """Whether a file is Amber's trajectory of text: a title, then ten coordinates of 8 characters a line."""
    with Path(path).open("rb") as stream:
        lines = stream.read(_HEAD_BYTES).decode("latin-1").splitlines()
    return len(lines) > 2 and re.fullmatch(r"( *-?\d+\.\d{3}){10}", lines[1].rstrip()) is not None


def _begins_charmm(lines: list[str]) -> bool:
    """A number of atoms, then atoms: number, residue, its name, name of the atom, x, y, z."""
    words = lines[1].split() if len(lines) > 1 else []
    is_count = bool(lines) and re.fullmatch(r"\s*\d+(\s+EXT)?\s*", lines[0]) is not None
    return is_count and len(words) >= 7 and words[0] == "1" and "." in words[4]


def _begins_restart(lines: list[str]) -> bool:
    """A title, a number of atoms (and a time), then coordinates in columns of 12 characters."""
    if len(lines) < 3 or not lines[2].strip() or not re.fullmatch(r"\s*\d+(\s+[-+.\dEe]+)*\s*", lines[1]):
        return False
    numbers = [lines[2][i : i + 12] for i in range(0, len(lines[2].rstrip()), 12)]
    return len(numbers) % 3 == 0 and all(re.fullmatch(r"\s*-?\d+\.\d{7}", number) for number in numbers)
