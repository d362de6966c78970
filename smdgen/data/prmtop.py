"""Amber prmtop files."""

from pathlib import Path

from smdgen.data.atoms import Structure
from smdgen.errors import TopologyError


def read_prmtop(path: Path) -> Structure:
    """Not yet."""
    raise TopologyError(f"{path}: prmtop is not read yet; convert it to PDB")
