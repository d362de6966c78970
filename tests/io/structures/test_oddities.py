"""Names that programs usually write raise no remark; a letter that damage changed does."""

from dataclasses import replace

import numpy as np
import pytest

from smdgen.io.structures.oddities import find_oddities
from smdgen.io.structures.pdb import read_pdb

ATOMS = (("N", "N"), ("CA", "C"), ("C", "C"), ("O", "O"))


@pytest.fixture
def peptide(tmp_path):
    lines = []
    for residue in range(1, 5):
        for name, element in ATOMS:
            serial = len(lines) + 1
            lines.append(
                f"ATOM  {serial:5d}  {name:<3} ALA A{residue:4d}    "
                f"{3.8 * residue:8.3f}{serial % 4:8.3f}{0:8.3f}  1.00  0.00          {element:>2}"
            )
    path = tmp_path / "peptide.pdb"
    path.write_text("\n".join([*lines, "END", ""]))
    return read_pdb(path)


@pytest.mark.parametrize("name", ["OXT", "OT1", "OC1", "OC2"])
def test_usual_names_of_a_terminal_oxygen_raise_no_remark(peptide, name):
    names = peptide.names.astype("U4")
    names[-1] = name
    assert "unusual" not in " ".join(find_oddities(replace(peptide, names=names)))


def test_an_unknown_name_is_said(peptide):
    names = peptide.names.astype("U4")
    names[np.flatnonzero(names == "O")[1]] = "QX"
    assert "unusual names" in " ".join(find_oddities(replace(peptide, names=names)))
