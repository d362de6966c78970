"""Build the paper's 104-atom deca-alanine helix: deca_alanine.pdb and deca_alanine.psf beside this script.

Ten alanines with a neutral amine (NH2) start and an amide (CONH2) end, all phi -57 and psi -47 degrees.
Types and charges are those of CHARMM36 (residue ALA, patches NNEU and CT2) as OpenMM ships them in
charmm36.xml. The PSF lists no cross-terms (CMAP): the pulls it is compared with were made without them.

    python examples/deca_alanine/build.py
"""

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smdgen.io.structures.structure import PsfTerms, Structure, write_pdb, write_psf

N_RESIDUES = 10
PHI, PSI, OMEGA = -57.0, -47.0, 180.0  # degrees: the classical alpha helix
SEGMENT = "DECA"

#: Impropers by residue shift and name, central atom first. Source: residue ALA and patch CT2 of CHARMM36.
IMPROPERS = (
    ((0, -1, 0, 0), ("N", "C", "CA", "HN")),
    ((0, 0, 1, 0), ("C", "CA", "N", "O")),
    ((0, 0, 0, 0), ("C", "NT", "CA", "O")),
    ((0, 0, 0, 0), ("C", "CA", "NT", "O")),
    ((0, 0, 0, 0), ("NT", "C", "HT1", "HT2")),
    ((0, 0, 0, 0), ("NT", "C", "HT2", "HT1")),
)

Vector = NDArray[np.float64]

#: Type and charge by atom name. Source: charmm36.xml of OpenMM 8.6, residue ALA.
ALANINE = {
    "N": ("NH1", -0.47), "HN": ("H", 0.31), "CA": ("CT1", 0.07), "HA": ("HB1", 0.09), "CB": ("CT3", -0.27),
    "HB1": ("HA3", 0.09), "HB2": ("HA3", 0.09), "HB3": ("HA3", 0.09), "C": ("C", 0.51), "O": ("O", -0.51),
}  # fmt: skip

#: The same for the first residue. Source: patch NNEU.
NEUTRAL_START = {
    "N": ("NH2", -0.96),
    "HT1": ("H", 0.34),
    "HT2": ("H", 0.34),
    "CA": ("CT1", 0.19),
    "HA": ("HB1", 0.09),
}

#: The same for the last residue. Source: patch CT2.
AMIDE_END = {
    "C": ("CC", 0.55),
    "O": ("O", -0.55),
    "NT": ("NH2", -0.62),
    "HT1": ("H", 0.32),
    "HT2": ("H", 0.30),
}

MASSES = {"H": 1.008, "C": 12.011, "N": 14.007, "O": 15.999}

#: Bonds inside a residue, by name; those whose atoms a residue lacks do not apply.
BONDS = (
    ("N", "HN"), ("N", "CA"), ("CA", "HA"), ("CA", "CB"), ("CB", "HB1"), ("CB", "HB2"),
    ("CB", "HB3"), ("CA", "C"), ("C", "O"), ("C", "NT"), ("NT", "HT1"), ("NT", "HT2"),
)  # fmt: skip


def place(a: Vector, b: Vector, c: Vector, length: float, angle: float, torsion: float) -> Vector:
    """The point d with |cd| = length (A), angle bcd and torsion abcd (degrees).

    Source: J. Parsons et al., J. Comput. Chem. 26, 1063 (2005).
    """
    angle, torsion = math.radians(angle), math.radians(torsion)
    along = (c - b) / np.linalg.norm(c - b)
    normal = np.cross(b - a, along)
    normal /= np.linalg.norm(normal)
    side = np.cross(normal, along)
    local = (-math.cos(angle), math.sin(angle) * math.cos(torsion), math.sin(angle) * math.sin(torsion))
    point: Vector = c + length * (local[0] * along + local[1] * side + local[2] * normal)
    return point


def backbone() -> list[dict[str, Vector]]:
    """N, CA and C of every residue, and of the nitrogen that follows the last one; A."""
    chain = [np.array([0.0, 0.0, 0.0]), np.array([1.46, 0.0, 0.0])]
    chain.append(
        np.array([1.46 + 1.53 * math.cos(math.radians(69.0)), 1.53 * math.sin(math.radians(69.0)), 0.0])
    )
    for _ in range(N_RESIDUES):
        chain.append(place(*chain[-3:], 1.345, 116.5, PSI))
        chain.append(place(*chain[-3:], 1.46, 121.5, OMEGA))
        chain.append(place(*chain[-3:], 1.53, 111.0, PHI))
    return [dict(zip(("N", "CA", "C"), chain[3 * i : 3 * i + 3], strict=True)) for i in range(N_RESIDUES + 1)]


def residue_atoms(residues: list[dict[str, Vector]], i: int) -> dict[str, Vector]:
    """All atoms of residue i in the order in which they are written."""
    n, ca, c = (residues[i][name] for name in ("N", "CA", "C"))
    following = residues[i + 1]["N"]
    cb = place(n, c, ca, 1.54, 110.5, 122.5)
    atoms = {"N": n}
    if i == 0:
        atoms["HT1"] = place(c, ca, n, 1.01, 110.0, 60.0)
        atoms["HT2"] = place(c, ca, n, 1.01, 110.0, -60.0)
    else:
        before = residues[i - 1]["C"]
        atoms["HN"] = place(residues[i - 1]["CA"], before, n, 1.00, 119.0, 0.0)
    atoms |= {"CA": ca, "HA": place(n, c, ca, 1.08, 108.0, -119.0), "CB": cb}
    atoms |= {f"HB{k + 1}": place(n, ca, cb, 1.11, 110.0, 60.0 + 120.0 * k) for k in range(3)}
    atoms |= {"C": c, "O": place(following, ca, c, 1.23, 121.0, 180.0)}
    if i == N_RESIDUES - 1:
        atoms["NT"] = following
        atoms["HT1"] = place(ca, c, following, 1.00, 120.0, 0.0)
        atoms["HT2"] = place(ca, c, following, 1.00, 120.0, 180.0)
    return atoms


def parameters(i: int) -> dict[str, tuple[str, float]]:
    """Type and charge of the atoms of residue i."""
    table = dict(ALANINE)
    if i == 0:
        table |= NEUTRAL_START
    if i == N_RESIDUES - 1:
        table |= AMIDE_END
    return table


def build() -> Structure:
    """The whole molecule, its centre at the origin."""
    residues = backbone()
    atoms = [
        (i, name, point) for i in range(N_RESIDUES) for name, point in residue_atoms(residues, i).items()
    ]
    index = {(i, name): k for k, (i, name, _) in enumerate(atoms)}
    bonds = [
        (index[i, a], index[i, b])
        for i in range(N_RESIDUES)
        for a, b in BONDS
        if (i, a) in index and (i, b) in index
    ]
    bonds += [(index[i, "C"], index[i + 1, "N"]) for i in range(N_RESIDUES - 1)]
    bonds += [(index[0, "N"], index[0, hydrogen]) for hydrogen in ("HT1", "HT2")]
    elements = [name[0] for _, name, _ in atoms]
    table = [parameters(i)[name] for i, name, _ in atoms]
    positions = np.array([point for _, _, point in atoms])
    n_atoms = len(atoms)
    return Structure(
        names=np.array([name for _, name, _ in atoms]),
        residue_names=np.full(n_atoms, "ALA"),
        residue_ids=np.array([i + 1 for i, _, _ in atoms]),
        insertion_codes=np.full(n_atoms, ""),
        chain_ids=np.full(n_atoms, "A"),
        segment_ids=np.full(n_atoms, SEGMENT),
        elements=np.array(elements),
        masses=np.array([MASSES[element] for element in elements]),
        bonds=np.array(sorted(tuple(sorted(bond)) for bond in bonds)),
        positions=positions - positions.mean(axis=0),
        charges=np.array([charge for _, charge in table]),
        types=np.array([kind for kind, _ in table]),
    )


def listed_terms(structure: Structure) -> PsfTerms:
    """The terms that psfgen would list: all angles and dihedrals, and CHARMM's impropers; no cross-terms."""
    neighbours: list[list[int]] = [[] for _ in range(structure.n_atoms)]
    for i, j in structure.bonds.tolist():
        neighbours[i].append(j)
        neighbours[j].append(i)
    angles = [(i, j, k) for j, near in enumerate(neighbours) for i in near for k in near if i < k]
    dihedrals = [
        (i, j, k, m)
        for j, k in structure.bonds.tolist()
        for i in neighbours[j]
        for m in neighbours[k]
        if i != k and m != j
    ]
    place = {
        (int(r), str(n)): i
        for i, (r, n) in enumerate(zip(structure.residue_ids, structure.names, strict=True))
    }
    impropers = []
    for residue in range(1, N_RESIDUES + 1):
        for shifts, names in IMPROPERS:
            atoms = [place.get((residue + shift, name)) for shift, name in zip(shifts, names, strict=True)]
            if None not in atoms:
                impropers.append(atoms)
    return PsfTerms(
        bonds=structure.bonds,
        angles=np.array(sorted(angles)),
        dihedrals=np.array(sorted(dihedrals)),
        impropers=np.array(impropers),
        cross_terms=np.empty((0, 8), dtype=np.int64),
    )


def main() -> None:
    """Write both files."""
    folder = Path(__file__).resolve().parent
    structure = build()
    write_pdb(folder / "deca_alanine.pdb", structure)
    write_psf(folder / "deca_alanine.psf", structure, listed_terms(structure))


if __name__ == "__main__":
    main()
