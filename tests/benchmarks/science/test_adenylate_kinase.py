"""Real files through `prepare`; skipped without the package that ships them (extra `realdata`)."""

import importlib.util

import pytest

from benchmarks.science import adenylate_kinase
from smdgen.dataset.dataset import open_dataset

needs_files = pytest.mark.skipif(
    importlib.util.find_spec(adenylate_kinase.PACKAGE) is None, reason="extra `realdata` is not installed"
)


@needs_files
def test_the_way_from_closed_to_open_is_prepared_and_another_order_of_atoms_refused(tmp_path, capfd):
    assert adenylate_kinase.main([str(tmp_path), "--prepare"]) == 0
    said = capfd.readouterr().out
    assert "adk_gbis_tmd-fast1_NAMD.dcd with adk.psf: exit code 2\n" in said
    assert "4AKE HSD 134 CB - 4AKE HSD 134 CG is 3.64 A long" in said
    dataset = open_dataset(tmp_path / "smdgen-run" / "dataset.h5")
    assert dataset.structure.n_atoms == 4 * 214 - 1, "the oxygens of the last residue are OT1 and OT2"
    assert dataset.cv_values[[0, -1]].round(1).tolist() == [21.0, 30.5]
    assert not (tmp_path / "refused").exists()


def test_without_the_package_one_line_says_how_to_get_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(adenylate_kinase, "PACKAGE", "no_such_package")
    assert adenylate_kinase.main([str(tmp_path / "new")]) == 2
    assert capsys.readouterr().err.splitlines() == [
        'no_such_package is not installed; run: pip install -e ".[realdata]"'
    ]
    assert not (tmp_path / "new").exists()
