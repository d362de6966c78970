"""mmCIF files of the Protein Data Bank: the atoms of the first model."""

from pathlib import Path

from smdgen.data.atoms import Structure
from smdgen.errors import TopologyError


def read_mmcif(path: Path) -> Structure:
    """Not yet."""
    raise TopologyError(f"{path}: mmCIF is not read yet; convert it to PDB")
