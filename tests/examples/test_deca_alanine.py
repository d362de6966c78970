"""The shipped example is what its script and its README say."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from smdgen.io.structures.structure import read_psf_terms, read_structure, write_pdb, write_psf
from smdgen.io.tables.colvars import read_colvars_traj
from smdgen.io.trajectories.dcd import DcdFile
from smdgen.steered_md.work import jarzynski_profile

EXAMPLE = Path(__file__).parents[2] / "examples" / "deca_alanine"
PULLS = sorted((EXAMPLE / "pulls").glob("pull_*.dcd"))


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def build() -> ModuleType:
    return load(EXAMPLE / "build.py")


@pytest.fixture(scope="module")
def structure():
    return read_structure(EXAMPLE / "deca_alanine.psf")


def test_the_script_writes_the_shipped_files(build, tmp_path):
    built = build.build()
    write_pdb(tmp_path / "a.pdb", built)
    write_psf(tmp_path / "a.psf", built, build.listed_terms(built))
    assert (tmp_path / "a.pdb").read_bytes() == (EXAMPLE / "deca_alanine.pdb").read_bytes()
    assert (tmp_path / "a.psf").read_bytes() == (EXAMPLE / "deca_alanine.psf").read_bytes()


def test_the_helix_is_right_handed_and_of_l_amino_acids(build):
    built = build.build()
    assert built.n_atoms == 104
    assert len(built.bonds) == 103
    assert abs(built.charges.sum()) < 1e-9
    at = {
        (int(r), str(n)): x for r, n, x in zip(built.residue_ids, built.names, built.positions, strict=True)
    }
    for residue in range(1, 11):
        n, ca, c, cb = (at[residue, name] for name in ("N", "CA", "C", "CB"))
        assert np.dot(np.cross(n - ca, c - ca), cb - ca) > 0
    for residue in range(1, 7):  # i to i + 4 hydrogen bonds
        assert np.linalg.norm(at[residue, "O"] - at[residue + 4, "HN"]) < 2.3


def test_the_psf_lists_every_bonded_term():
    terms = read_psf_terms(EXAMPLE / "deca_alanine.psf")
    assert [len(x) for x in (terms.angles, terms.dihedrals, terms.impropers)] == [183, 250, 22]


def test_there_are_40_whole_pulls():
    assert len(PULLS) == 40
    protocol = json.loads((EXAMPLE / "pulls" / "protocol.json").read_text())
    assert (protocol["n_steps"], protocol["spring_constant"], protocol["temperature"]) == (
        500_000,
        1.0,
        300.0,
    )


@pytest.mark.parametrize("path", PULLS, ids=lambda path: path.stem)
def test_the_table_belongs_to_the_frames(path, structure):
    """True times, the measured distance in every row, rigid X-H bonds, L residues throughout."""
    table = read_colvars_traj(path.with_suffix(".colvars.traj"))
    with DcdFile(path) as dcd:
        assert not dcd.notes
        np.testing.assert_allclose(dcd.times_ps, 5.0 * np.arange(201), rtol=1e-5)
        frames = dcd.read().astype(np.float64)
    where = {
        (int(r), str(n)): i
        for i, (r, n) in enumerate(zip(structure.residue_ids, structure.names, strict=True))
    }
    distance = np.linalg.norm(frames[:, where[10, "CA"]] - frames[:, where[1, "CA"]], axis=1)
    np.testing.assert_allclose(table.columns["end_to_end"], distance, atol=1e-4)
    np.testing.assert_allclose(table.columns["x0_end_to_end"], np.linspace(12, 34, 201))
    rigid = [pair for pair in structure.bonds.tolist() if "H" in structure.elements[pair]]
    first, second = np.array(rigid).T
    lengths = np.linalg.norm(frames[:, first] - frames[:, second], axis=-1)
    assert lengths.shape[1] == 53
    assert np.ptp(lengths, axis=0).max() < 1e-3
    for residue in range(1, 11):
        n, ca, c, cb = (frames[:, where[residue, name]] for name in ("N", "CA", "C", "CB"))
        assert (np.einsum("ij,ij->i", np.cross(n - ca, c - ca), cb - ca) > 0).all()


def test_the_work_is_the_integral_of_the_spring_s_force():
    """Frame by frame k (centre - CV) dcentre is a coarse sum of what was accumulated every 10 steps."""
    works = []
    for path in PULLS:
        columns = read_colvars_traj(path.with_suffix(".colvars.traj")).columns
        force = columns["x0_end_to_end"] - columns["end_to_end"]
        coarse = np.trapezoid(force, columns["x0_end_to_end"])
        assert columns["W_pull"][-1] == pytest.approx(coarse, abs=4.0)
        works.append((columns["W_pull"][-1], coarse))
    fine, rough = np.mean(works, axis=0)
    assert fine == pytest.approx(rough, abs=0.4)
    assert jarzynski_profile(np.array(works)[:, 0], 300.0) < fine
