"""Chemical elements of atoms, from their masses or from the names of atoms and residues."""

import re

import numpy as np
from numpy.typing import NDArray

#: Standard atomic weights, dalton, up to uranium. Source: IUPAC 2021, abridged to five figures.
ATOMIC_WEIGHTS = {
    "H": 1.008, "HE": 4.0026, "LI": 6.94, "BE": 9.0122, "B": 10.81, "C": 12.011, "N": 14.007, "O": 15.999,
    "F": 18.998, "NE": 20.180, "NA": 22.990, "MG": 24.305, "AL": 26.982, "SI": 28.085, "P": 30.974,
    "S": 32.06, "CL": 35.45, "AR": 39.95, "K": 39.098, "CA": 40.078, "SC": 44.956, "TI": 47.867,
    "V": 50.942, "CR": 51.996, "MN": 54.938, "FE": 55.845, "CO": 58.933, "NI": 58.693, "CU": 63.546,
    "ZN": 65.38, "GA": 69.723, "GE": 72.630, "AS": 74.922, "SE": 78.971, "BR": 79.904, "KR": 83.798,
    "RB": 85.468, "SR": 87.62, "Y": 88.906, "ZR": 91.224, "NB": 92.906, "MO": 95.95, "RU": 101.07,
    "RH": 102.91, "PD": 106.42, "AG": 107.87, "CD": 112.41, "IN": 114.82, "SN": 118.71, "SB": 121.76,
    "TE": 127.60, "I": 126.90, "XE": 131.29, "CS": 132.91, "BA": 137.33, "LA": 138.91, "CE": 140.12,
    "PR": 140.91, "ND": 144.24, "SM": 150.36, "EU": 151.96, "GD": 157.25, "TB": 158.93, "DY": 162.50,
    "HO": 164.93, "ER": 167.26, "TM": 168.93, "YB": 173.05, "LU": 174.97, "HF": 178.49, "TA": 180.95,
    "W": 183.84, "RE": 186.21, "OS": 190.23, "IR": 192.22, "PT": 195.08, "AU": 196.97, "HG": 200.59,
    "TL": 204.38, "PB": 207.2, "BI": 208.98, "TH": 232.04, "U": 238.03,
}  # fmt: skip

#: Residue names of proteins: PDB, CHARMM and Amber spellings, and the caps.
PROTEIN_RESIDUES = frozenset(
    """ALA ARG ASN ASP CYS GLN GLU GLY HIS ILE LEU LYS MET PHE PRO SER THR TRP TYR VAL
    HSD HSE HSP HID HIE HIP CYX CYM CYS2 ASH ASPP GLH GLUP LYN LSN LYSN MSE SEC PYL HYP SEP TPO PTR AIB
    ACE NME NMA NH2 CT2 CT3 NHE ALAD DALA ASPH GLUH HISD HISE HISH HISP TYM SERD ARGN ORN NLE
    NALA CALA NARG CARG NASN CASN NASP CASP NCYS CCYS NCYX CCYX NGLN CGLN NGLU CGLU NGLY CGLY NHID CHID
    NHIE CHIE NHIP CHIP NILE CILE NLEU CLEU NLYS CLYS NMET CMET NPHE CPHE NPRO CPRO NSER CSER NTHR CTHR
    NTRP CTRP NTYR CTYR NVAL CVAL""".split()
)

#: Groups that close a chain; their atoms may be called CA or C too, but they are no amino acids.
CAPS = frozenset(["ACE", "NME", "NMA", "NH2", "NHE", "CT2", "CT3"])

WATER_RESIDUES = frozenset("HOH WAT TIP3 TIP4 TIP5 TP3M TP4M SPC SPCE SOL DOD H2O OH2 TIP".split())

#: Ions by residue and atom name as CHARMM, Amber and the PDB spell them.
_IONS = {
    "SOD": "NA", "NA": "NA", "NA+": "NA", "CLA": "CL", "CL": "CL", "CL-": "CL", "POT": "K", "K": "K",
    "K+": "K",
    "CAL": "CA", "CA": "CA", "CA2+": "CA", "MG": "MG", "MG2+": "MG", "ZN": "ZN", "ZN2": "ZN", "CES": "CS",
    "CES+": "CS", "LIT": "LI", "RUB": "RB", "BAR": "BA", "CAD": "CD", "MN": "MN", "FE": "FE", "FE2": "FE",
    "CU": "CU", "NI": "NI", "BR": "BR", "IOD": "I", "HG": "HG", "CO": "CO",
}  # fmt: skip

_TWO_LETTER = ("CL", "BR", "ZN", "MG", "MN", "FE", "SE", "SI", "LI", "RB")
_ORGANIC = "HCNOPSF"


def masses_of(elements: NDArray[np.str_]) -> NDArray[np.float64]:
    """(n,), dalton. Mass of each element; 0 where it is unknown."""
    return np.array([ATOMIC_WEIGHTS.get(element.upper(), 0.0) for element in elements], dtype=np.float64)


def elements_of_masses(
    masses: NDArray[np.float64],
    names: NDArray[np.str_],
    residue_names: NDArray[np.str_],
    bonds: NDArray[np.int64] | None = None,
) -> NDArray[np.str_]:
    """Element of each atom by its mass, where the mass is that of an element; else by its name.

    Hydrogens made heavy (1.5 to 4.1 dalton and a name that begins with H) are hydrogens still, and what
    they gained is given back to the atoms they are bonded to (hydrogen mass repartitioning); without bonds
    the names decide.

    Args:
        masses: (n,), dalton.
        names: (n,) atom names.
        residue_names: (n,).
        bonds: (n_bonds, 2); None if unknown.

    Source: C. W. Hopkins et al., J. Chem. Theory Comput. 11, 1864 (2015).
    """
    heavy = (masses > 1.5) & (masses < 4.5) & np.char.startswith(np.char.lstrip(names, "0123456789"), "H")
    pairs = np.zeros((0, 2), dtype=np.int64) if bonds is None else np.unique(np.sort(bonds, axis=1), axis=0)
    restored = masses.copy()
    for one, other in (pairs.T, pairs.T[::-1]):
        gained = heavy[one] & ~heavy[other]
        np.add.at(restored, other[gained], masses[one[gained]] - ATOMIC_WEIGHTS["H"])
    guessed = np.array(
        [guess_element(name, residue) for name, residue in zip(names, residue_names, strict=True)],
        dtype="<U2",
    )
    own, given_back = _nearest_element(masses), _nearest_element(restored)
    # Some hydrogens are heavy although their partners kept their mass.
    is_unmoved = (given_back == "") | ((own == guessed) & (own != ""))
    found = np.where(is_unmoved, own, given_back)
    by_name = (found == "") | (heavy.any() and not len(pairs))
    return np.where(heavy, "H", np.where(by_name, guessed, found))


def _nearest_element(masses: NDArray[np.float64]) -> NDArray[np.str_]:
    """(n,). Element of each mass, dalton; '' where none has it."""
    symbols = np.array([symbol.capitalize() for symbol in ATOMIC_WEIGHTS])
    weights = np.array([*ATOMIC_WEIGHTS.values()])
    nearest = np.abs(masses[:, None] - weights).argmin(axis=1) if len(masses) else np.zeros(0, dtype=int)
    fits = np.abs(masses - weights[nearest]) < 0.06 + 0.002 * weights[nearest]
    return np.where(fits, symbols[nearest], "")


def is_virtual_site(name: str, residue_name: str) -> bool:
    """Whether an atom is a massless site: the fourth point of water, a lone pair."""
    is_of_water = residue_name in WATER_RESIDUES and re.fullmatch(r"M|OM|MW\d?", name) is not None
    return is_of_water or name[:2] in ("EP", "LP")


def guess_element(name: str, residue_name: str) -> str:
    """Element of an atom from its own name and its residue's; '' if nothing fits.

    In a protein CA is a carbon, CD a carbon and HG a hydrogen; in an ion residue CA is calcium.
    """
    atom, residue = name.strip().upper(), residue_name.strip().upper()
    if residue in _IONS and (atom in _IONS or atom == residue):
        return _IONS.get(atom, _IONS[residue]).capitalize()
    if is_virtual_site(atom, residue):
        return ""
    letters = re.sub(r"^[0-9*']+", "", atom)
    if residue in PROTEIN_RESIDUES or residue in WATER_RESIDUES:
        if letters.startswith("SE") and residue in ("MSE", "SEC"):
            return "Se"
        return letters[0] if letters[:1] in tuple(_ORGANIC) else ""
    for symbol in _TWO_LETTER:
        if letters.startswith(symbol):
            return symbol.capitalize()
    return letters[0] if letters[:1] in tuple(_ORGANIC + "IK") else ""
