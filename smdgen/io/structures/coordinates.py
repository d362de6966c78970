"""Files with one set of coordinates: Amber's inpcrd and restart, NAMD's .coor, CHARMM's CRD."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smdgen.errors import TopologyError
from smdgen.files import read_text_lines

_FROM_EXTENDED = 100_000  # atoms, from which CHARMM writes the extended layout unasked


def read_inpcrd(path: Path) -> NDArray[np.float64]:
    """Coordinates of an Amber inpcrd or ASCII restart: 6 columns of 12 characters.

    Returns:
        (n_atoms, 3), A.

    Raises:
        TopologyError: It is no inpcrd, or cut.

    Source: ambermd.org/FileFormats.php.
    """
    lines = read_text_lines(path)
    try:
        n_atoms = int(lines[1].split()[0])
        text = [line for line in lines[2 : 2 + (n_atoms + 1) // 2]] if 0 < n_atoms < 10**8 else []
        values = [float(line[i : i + 12]) for line in text for i in range(0, len(line.rstrip()), 12)]
        return np.array(values, dtype=np.float64)[: 3 * n_atoms].reshape(n_atoms, 3)
    except (ValueError, IndexError) as error:
        raise TopologyError(
            f"{path} is not an Amber inpcrd, or truncated ({error}); write it again"
        ) from error


def read_namd_coordinates(path: Path) -> NDArray[np.float64]:
    """Coordinates of a binary NAMD .coor file: the number of atoms, then doubles, in either byte order.

    Returns:
        (n_atoms, 3), A.

    Raises:
        TopologyError: Its size does not fit its number of atoms.

    Source: VMD's molfile namdbinplugin.c.
    """
    content = Path(path).read_bytes()
    for order in "<>":
        if len(content) < 4:
            break
        n_atoms = int(np.frombuffer(content, f"{order}i4", count=1)[0])
        if n_atoms > 0 and len(content) == 4 + 24 * n_atoms:
            return np.frombuffer(content, f"{order}f8", offset=4).astype(np.float64).reshape(n_atoms, 3)
    raise TopologyError(
        f"{path} ({len(content)} bytes) is not a complete binary NAMD .coor file; write it again"
    )


def read_charmm_coordinates(path: Path) -> NDArray[np.float64]:
    """Coordinates of a CHARMM CRD file, of the standard or the extended layout.

    Returns:
        (n_atoms, 3), A.

    Raises:
        TopologyError: It is no CRD file, or cut.

    Source: CHARMM's io.doc.
    """
    lines = [line for line in read_text_lines(path) if not line.startswith("*")]
    try:
        count = lines[0].split()
        n_atoms = int(count[0])
        first, width = (40, 20) if "EXT" in count or n_atoms >= _FROM_EXTENDED else (20, 10)
        text = lines[1 : 1 + n_atoms]
        values = [float(line[first + width * i :][:width]) for line in text for i in range(3)]
        return np.array(values, dtype=np.float64).reshape(n_atoms, 3)
    except (ValueError, IndexError) as error:
        raise TopologyError(
            f"{path} is not a CHARMM CRD file, or truncated ({error}); write it again"
        ) from error


#: By the kinds of `smdgen.io.kinds`.
COORDINATE_READERS: dict[str, Callable[[Path], NDArray[np.float64]]] = {
    "NAMD coordinates": read_namd_coordinates,
    "Amber restart": read_inpcrd,
    "CHARMM coordinates": read_charmm_coordinates,
}
