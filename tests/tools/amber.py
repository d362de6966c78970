"""A prmtop written by hand: two chains of a backbone with water after them."""

from pathlib import Path

import numpy as np

from tests.tools.pulls import make_structure

N_RESIDUES, N_WATER = 4, 10

#: k (kcal/mol/A^2) and r0 (A), k (kcal/mol/rad^2) and theta0 (degrees) by names of atoms.
BONDS = {
    "N CA": (337, 1.449),
    "CA C": (317, 1.522),
    "C O": (570, 1.229),
    "C N": (490, 1.335),
    "O H": (553, 0.957),
}
ANGLES = {"N CA C": (63, 110.1), "CA C O": (80, 120.4), "CA C N": (70, 116.6), "O C N": (80, 122.9),
          "C N CA": (50, 121.9), "H O H": (100, 104.52)}  # fmt: skip
#: k (kcal/mol), periodicity, phase (degrees); the last is Amber's improper, a torsion with the centre third.
TORSIONS = [(0.85, 2, 180.0), (2.5, 2, 180.0), (0.27, 1, 0.0), (10.5, 2, 180.0)]


def write_prmtop(path: Path) -> Path:
    """Write the file."""
    chain = make_structure(N_RESIDUES)
    n_chain = chain.n_atoms
    names = [*chain.names, *chain.names, *(["O", "H1", "H2"] * N_WATER)]
    elements = [*chain.elements, *chain.elements, *(["O", "H", "H"] * N_WATER)]
    bonds, angles, torsions = [], [], []
    for start in (0, n_chain):
        bonds += [(i + start, j + start) for i, j in chain.bonds.tolist()]
        n, ca, c, o = (start + 4 * np.arange(N_RESIDUES) + k for k in range(4))
        angles += [*zip(n, ca, c, strict=True), *zip(ca, c, o, strict=True)]
        for i in range(N_RESIDUES - 1):
            angles += [(ca[i], c[i], n[i + 1]), (o[i], c[i], n[i + 1]), (c[i], n[i + 1], ca[i + 1])]
            torsions += [(n[i], ca[i], c[i], n[i + 1], 1), (ca[i], c[i], n[i + 1], ca[i + 1], 2)]
            torsions += [(c[i], n[i + 1], ca[i + 1], c[i + 1], 3), (ca[i], n[i + 1], -c[i], -o[i], 4)]
    oxygen = 2 * n_chain + 3 * np.arange(N_WATER)
    bonds += [(i, i + k) for i in oxygen for k in (1, 2)]
    angles += [(i + 1, i, i + 2) for i in oxygen]
    kinds = [name[0] if name[0] == "H" else name for name in names]

    def kind(table, atoms):
        words = [kinds[atom] for atom in atoms]
        keys = [*table]
        return 1 + next(keys.index(k) for k in (" ".join(words), " ".join(words[::-1])) if k in keys)

    def has_h(atoms):
        return any(elements[atom] == "H" for atom in atoms)

    listed = {
        "BONDS": [(*atoms, kind(BONDS, atoms)) for atoms in bonds],
        "ANGLES": [(*atoms, kind(ANGLES, atoms)) for atoms in angles],
        "DIHEDRALS": torsions,
    }
    split = {
        f"{name}_{end}": [row for row in rows if has_h(map(abs, row[:-1])) == (end == "INC_HYDROGEN")]
        for name, rows in listed.items()
        for end in ("INC_HYDROGEN", "WITHOUT_HYDROGEN")
    }
    size = {name: len(rows) for name, rows in split.items()}
    first = [*range(1, 2 * n_chain, 4), *(oxygen + 1)]
    counts = [size[f"{kind}_{end}"] for kind in listed for end in ("INC_HYDROGEN", "WITHOUT_HYDROGEN")]
    pointers = [len(names), 1, *counts, 0, 0, len(names), len(first), *counts[1::2]]
    pointers += [len(BONDS), len(ANGLES), len(TORSIONS), 1, *([0] * 9), 4, 0, 0]
    masses = {"C": 12.01, "N": 14.01, "O": 16.0, "H": 1.008}
    sections = {
        "TITLE": ["by hand"], "POINTERS": pointers, "ATOM_NAME": names,
        "CHARGE": [0.0] * len(names), "MASS": [masses[element] for element in elements],
        "ATOM_TYPE_INDEX": [1] * len(names), "NUMBER_EXCLUDED_ATOMS": [1] * len(names),
        "NONBONDED_PARM_INDEX": [1],
        "RESIDUE_LABEL": ["ALA"] * (2 * N_RESIDUES) + ["WAT"] * N_WATER, "RESIDUE_POINTER": first,
        "BOND_FORCE_CONSTANT": [float(k) for k, _ in BONDS.values()],
        "BOND_EQUIL_VALUE": [float(r) for _, r in BONDS.values()],
        "ANGLE_FORCE_CONSTANT": [float(k) for k, _ in ANGLES.values()],
        "ANGLE_EQUIL_VALUE": [float(np.radians(a)) for _, a in ANGLES.values()],
        "DIHEDRAL_FORCE_CONSTANT": [k for k, _, _ in TORSIONS],
        "DIHEDRAL_PERIODICITY": [float(n) for _, n, _ in TORSIONS],
        "DIHEDRAL_PHASE": [float(np.radians(p)) for _, _, p in TORSIONS],
        "SCEE_SCALE_FACTOR": [1.2] * len(TORSIONS), "SCNB_SCALE_FACTOR": [2.0] * len(TORSIONS),
        "SOLTY": [0.0], "LENNARD_JONES_ACOEF": [1e5], "LENNARD_JONES_BCOEF": [1e2],
    }  # fmt: skip
    for name, rows in split.items():
        sections[name] = [value for row in rows for value in (*(3 * int(a) for a in row[:-1]), row[-1])]
    sections |= {
        "EXCLUDED_ATOMS_LIST": [0] * len(names), "HBOND_ACOEF": [], "HBOND_BCOEF": [], "HBCUT": [],
        "AMBER_ATOM_TYPE": kinds, "TREE_CHAIN_CLASSIFICATION": ["BLA"] * len(names),
        "RADIUS_SET": ["none"], "RADII": [1.5] * len(names), "SCREEN": [0.8] * len(names),
    }  # fmt: skip
    lines = ["%VERSION  VERSION_STAMP = V0001.000  DATE = 01/01/01  00:00:00"]
    for name, values in sections.items():
        lines += [f"%FLAG {name}", *_formatted(values)]
    path.write_text("\n".join(lines) + "\n")
    return path


def _formatted(values: list) -> list[str]:
    """The format of a section and its lines."""
    if values and isinstance(values[0], str):
        label, per_line, words = "20a4", 20, [f"{value:<4.4}" for value in values]
    elif values and isinstance(values[0], float):
        label, per_line, words = "5E16.8", 5, [f"{value:16.8E}" for value in values]
    else:
        label, per_line, words = "10I8", 10, [f"{value:8d}" for value in values]
    rows = ["".join(words[i : i + per_line]) for i in range(0, len(words), per_line)]
    return [f"%FORMAT({label})", *(rows or [""])]
