"""The real pulls beside the shipped model are held out from it; analyze compares its rollouts with them."""

import json
from pathlib import Path

import numpy as np

import smdgen
from smdgen.cli.app import main
from smdgen.config import AnalyzeConfig
from smdgen.dataset.dataset import open_dataset
from smdgen.stages.analyze import _dataset_path
from smdgen.store.headers import AutoencoderHeader, header_of
from smdgen.store.manifest import read_manifest
from smdgen.store.run_record import RunFolder
from tests.stages.test_simulate import EXAMPLE


def test_rollout_and_analyze_without_a_run_of_ones_own(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    start = str(EXAMPLE / "deca_alanine.pdb")
    assert main(["rollout", start, "--steps", "2", "--samples", "2"]) == 0
    assert "smdgen analyze" in capsys.readouterr().out
    assert main(["analyze", "--json"]) == 0
    report = json.loads((tmp_path / "smdgen-run/analysis/report.json").read_text())
    assert not any("another dataset" in note for note in report["notes"])
    folder = RunFolder(tmp_path / "smdgen-run")
    reference = open_dataset(_dataset_path(folder, AnalyzeConfig()))
    assert len(reference.of_split("test")) == 5
    (tmp_path / "smdgen-run").rename(tmp_path / "other")
    elsewhere = AnalyzeConfig(tuple((tmp_path / "other/rollout").glob("pull_*.dcd")))
    assert _dataset_path(folder, elsewhere) == reference.path
    manifest = read_manifest(reference.path.with_name("vae.safetensors"))
    assert reference.provenance["part_of"] == header_of(manifest, AutoencoderHeader).content_hash
    assert np.isfinite(reference.positions()).all()


def test_the_shipped_model_stays_small():
    """Each new version of it is in every clone for good (CONTRIBUTING.md)."""
    files = [path for path in (Path(smdgen.__file__).parent / "models").rglob("*") if path.is_file()]
    assert {path.name for path in files} == {"vae.safetensors", "lstm.safetensors", "reference.h5"}
    assert sum(path.stat().st_size for path in files) < 5e6
