"""The regions hold what is known of phi and psi, and outliers are counted by residue."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from smdgen.geometry.backbone import find_backbone
from smdgen.geometry.ramachandran import N_BINS, REGIONS, ramachandran_outliers, residue_kinds
from tests.tools.pulls import make_chain, make_pull, make_structure


def share(phi: float, psi: float, residue: str = "ALA", after: str = "ALA") -> tuple[float, list[int]]:
    """Outliers among the 8 residues of a made-up chain of one phi and psi, and their kinds."""
    names = np.repeat([residue if i % 2 else after for i in range(10)], 4)
    structure = replace(make_structure(), residue_names=names)
    x = torch.from_numpy(make_chain(np.full(10, phi), np.full(10, psi)))
    kinds = residue_kinds(find_backbone(structure))
    return float(ramachandran_outliers(x[None], find_backbone(structure))[0]), kinds[1:9].tolist()


def test_every_map_is_a_square_of_bins():
    for picture in REGIONS.values():
        rows = picture.split()
        assert {len(row) for row in rows} == {N_BINS} == {len(rows)}
        assert set("".join(rows)) == {"#", "."}


@pytest.mark.parametrize(
    ("phi", "psi", "allowed"),
    [
        (-63, -43, True),  # alpha helix
        (-120, 135, True),  # beta strand
        (-75, 145, True),  # polyproline II
        (57, 40, True),  # left-handed helix
        (60, 120, False),
        (150, 0, False),
        (0, 0, False),
        (100, 100, False),
    ],
)
def test_alanine(phi, psi, allowed):
    assert share(phi, psi) == (0.0 if allowed else 1.0, [0] * 8)


def test_glycine_is_its_own_mirror_image():
    """It has no CB, and the densities are made symmetric."""
    mask = np.array([list(row) for row in REGIONS["glycine"].split()]) == "#"
    assert (mask == mask[::-1, ::-1]).all()
    assert share(100, -170, "GLY", "GLY")[0] == 0.0
    assert share(100, -170)[0] == 1.0


def test_proline_has_one_phi_and_the_residue_before_it_no_bridge():
    kinds = list(REGIONS)
    outliers, found = share(-65, 140, "PRO", "ALA")
    assert outliers == 0.0
    assert [kinds[kind] for kind in found] == ["proline", "before proline"] * 4
    assert share(-130, 140, "PRO", "ALA")[0] == pytest.approx(0.5)  # only the prolines
    assert share(-90, 0)[0] == 0.0
    assert share(-90, 10, "PRO", "ALA")[0] == pytest.approx(0.5)  # only the residues before


def test_real_looking_pulls_have_few_outliers_and_mirrored_ones_many():
    backbone = find_backbone(make_structure())
    x = torch.from_numpy(make_pull(40, seed=3)).double()
    assert float(ramachandran_outliers(x, backbone).mean()) < 0.1
    assert float(ramachandran_outliers(x * torch.tensor([1, 1, -1]), backbone).mean()) > 0.4
    lonely = find_backbone(make_structure(1))
    assert bool(ramachandran_outliers(x[:, :4], lonely).isnan().all())
