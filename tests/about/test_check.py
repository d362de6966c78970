"""`smdgen check`: right here, and it sees what is wrong."""

import json

import numpy as np
import pytest

from smdgen.about import check
from smdgen.cli.app import main


def test_a_sound_installation_passes(capsys):
    assert main(["check", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {name for name, item in found.items() if item["state"] == "failed"} == set()
    energies = found["energies"]["value"]
    assert energies["torchmd"] == pytest.approx(energies["openmm"], abs=check.TOLERANCE)
    assert energies["torchmd"] > 10, "the peptide is bent away from its minimum"
    assert found["DCD round trip"]["value"]["largest_difference_A"] < 1e-3
    assert found["packages"]["value"]["torch"]


def test_wrong_energies_a_wrong_reader_and_a_missing_package_fail(monkeypatch, capsys):
    monkeypatch.setattr("smdgen.forcefield.system.build_system", lambda *_, **__: None)
    monkeypatch.setattr(check, "_by_torchmd", lambda *_: (90.0, np.zeros((33, 3))))
    monkeypatch.setattr(check, "_by_openmm", lambda *_: (90.0002, np.zeros((33, 3))))
    monkeypatch.setattr(check, "_read_by_mdtraj", lambda *_: np.zeros((7, 33, 3)))
    monkeypatch.setattr("importlib.metadata.requires", lambda _: ["no-such-package>=1"])
    monkeypatch.setattr(check, "_torch_devices", lambda: 1 / 0)
    assert main(["check"]) == 1
    rows = dict(line.strip().split("  ", 1) for line in capsys.readouterr().out.splitlines())
    failed = {name for name, text in rows.items() if "failed: " in text}
    assert failed == {"packages", "torch devices", "DCD round trip", "energies"}
    assert "no-such-package not installed" in rows["packages"]
