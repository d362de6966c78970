"""The start of a rollout: any file of the molecule, whole."""

from pathlib import Path

import numpy as np
import pytest

from smdgen.io.structures.start import read_start
from smdgen.io.structures.structure import Structure, write_psf
from smdgen.io.trajectories.dcd import write_dcd


def test_a_frame_that_the_box_cuts_is_made_whole(
    peptide: Structure, folded: Structure, tmp_path: Path
) -> None:
    assert folded.positions is not None
    box = np.array([26.0, 27.0, 60.0])
    shifted = folded.positions - folded.positions.min(axis=0) + box * [0.5, 0.5, 0.8]
    write_psf(tmp_path / "start.psf", peptide)
    cells = np.array([[*box, 90.0, 90.0, 90.0]])
    for positions, is_cut in ((shifted, False), (shifted % box, True)):
        write_dcd(tmp_path / "start.dcd", positions[None], timestep_ps=1.0, cells=cells)
        for name in ("start.dcd", "start.psf"):
            start = read_start(tmp_path / name, peptide)
            found = start.positions - start.positions[0]
            np.testing.assert_allclose(found, shifted - shifted[0], atol=1e-4)
            assert any("walls of the box cut" in note for note in start.notes) == is_cut


@pytest.mark.parametrize("encoding", ["utf-8-sig", "latin-1"])
def test_byte_order_marks_and_remarks_in_latin_1_are_no_matter(
    peptide: Structure, folded: Structure, tmp_path: Path, encoding: str
) -> None:
    assert peptide.path is not None
    assert folded.path is not None
    text = peptide.path.read_text().replace("REMARKS", "REMARKS é", 1)
    (tmp_path / "start.psf").write_text(text, encoding=encoding)
    (tmp_path / "start.pdb").write_bytes(folded.path.read_bytes())
    start = read_start(tmp_path / "start.psf", peptide)
    assert folded.positions is not None
    np.testing.assert_allclose(start.positions, folded.positions, atol=1e-3)
