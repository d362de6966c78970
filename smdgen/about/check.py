"""Whether the installation works: packages, devices, a DCD round trip, energies against OpenMM."""

import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

import smdgen
from smdgen.io.structures.structure import read_structure
from smdgen.io.trajectories.dcd import DcdFile, write_dcd
from smdgen.progress import Progress
from smdgen.store.manifest import read_manifest
from smdgen.units import ANGSTROM_PER_NM, KJ_PER_KCAL

if TYPE_CHECKING:
    from smdgen.forcefield.system import MolecularSystem

#: Largest difference between TorchMD's and OpenMM's bonded energies (kcal/mol) and forces (kcal/mol/A).
TOLERANCE = 1e-4

_MODELS = Path(smdgen.__file__).parent / "models"
_TINY = Path(__file__).with_name("alanine3.pdb")
_BONDED = ("HarmonicBondForce", "HarmonicAngleForce", "PeriodicTorsionForce", "CustomTorsionForce")
_SHIFT = 0.05  # A, by which atoms are moved so that no term rests at its minimum


@dataclass(frozen=True)
class Check:
    """One thing looked at."""

    name: str
    state: Literal["ok", "failed", "found", "not found"]
    text: str
    value: Any  # plain, for JSON


def run_checks(progress: Progress) -> tuple[Check, ...]:
    """Look at everything; what fails is a result, never an exception."""
    looks: dict[str, Callable[[], Check]] = {
        "python": _python,
        "packages": _packages,
        "threads": _threads,
        "torch devices": _torch_devices,
        "OpenMM platforms": _openmm_platforms,
        "DCD round trip": _dcd_round_trip,
        "energies": _energies,
        "shipped model": _shipped_models,
        "VMD": lambda: _program("VMD", "vmd"),
        "PyMOL": lambda: _program("PyMOL", "pymol"),
    }
    progress.start("checking", total=len(looks))
    checks = []
    for name, look in looks.items():
        checks.append(_guarded(name, look))
        progress.advance(note=name)
    return tuple(checks)


def _guarded(name: str, look: Callable[[], Check]) -> Check:
    try:
        return look()
    except Exception as error:
        text = " ".join(f"{type(error).__name__}: {error}".split())
        return Check(name, "failed", text, text)


def _python() -> Check:
    version, machine = platform.python_version(), platform.platform()
    return Check("python", "ok", f"{version} on {machine}", {"version": version, "machine": machine})


def _packages() -> Check:
    """Everything that smdgen needs, by its own metadata, is installed."""
    needed = [line for line in importlib.metadata.requires("smdgen") or () if "extra ==" not in line]
    versions: dict[str, str | None] = {"smdgen": smdgen.__version__}
    for line in needed:
        name = re.split(r"[^\w.-]", line, maxsplit=1)[0]
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    missing = [name for name, version in versions.items() if version is None]
    text = ", ".join(f"{name} {version}" for name, version in versions.items() if version)
    if missing:
        text = f"{', '.join(missing)} not installed; install smdgen again; found {text}"
    return Check("packages", "failed" if missing else "ok", text, versions)


def _threads() -> Check:
    import torch

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    openmp = os.environ.get("OMP_NUM_THREADS")
    value = {"cores": cores, "torch": torch.get_num_threads(), "OMP_NUM_THREADS": openmp}
    text = f"{cores} cores, {value['torch']} of torch, OMP_NUM_THREADS {openmp or 'not set'}"
    return Check("threads", "ok", text, value)


def _torch_devices() -> Check:
    """Each device adds two numbers."""
    import torch

    names = ["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))]
    for name in names:
        assert float(torch.ones(2, device=name).sum()) == 2.0, f"{name} adds wrongly"
    known = {name: torch.cuda.get_device_name(name) for name in names[1:]}
    text = ", ".join(["cpu", *(f"{name} ({model})" for name, model in known.items())])
    return Check("torch devices", "ok", text if known else "cpu (no CUDA device)", {"cpu": "", **known})


def _openmm_platforms() -> Check:
    import openmm

    names = [openmm.Platform.getPlatform(i).getName() for i in range(openmm.Platform.getNumPlatforms())]
    failures = list(openmm.Platform.getPluginLoadFailures())
    text = ", ".join(names) + (f" ({len(failures)} plugins not loaded)" if failures else "")
    return Check("OpenMM platforms", "ok", text, {"platforms": names, "not_loaded": failures})


def _dcd_round_trip() -> Check:
    """What we write, we and MDTraj read back: coordinates and times."""
    positions = np.random.default_rng(0).normal(scale=20.0, size=(7, 33, 3)).astype(np.float32)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "check.dcd"
        write_dcd(path, positions, timestep_ps=0.002, steps_per_frame=500)
        with DcdFile(path) as dcd:
            ours, times = dcd.read(), dcd.times_ps
        theirs = _read_by_mdtraj(path, positions.shape[1])
    if not np.array_equal(ours, positions) or not np.allclose(times, np.arange(7)):
        return Check("DCD round trip", "failed", "other coordinates or times were read than written", None)
    off = float(np.abs(theirs - positions).max()) if theirs.shape == positions.shape else np.inf
    state: Literal["ok", "failed"] = "ok" if off < 1e-3 else "failed"
    text = f"7 frames of 33 atoms written and read, bit for bit; MDTraj reads them {off:.1e} A apart"
    return Check("DCD round trip", state, text, {"largest_difference_A": off})


def _read_by_mdtraj(path: Path, n_atoms: int) -> NDArray[np.float32]:
    """(n_frames, n_atoms, 3), A, in the guarded process, since MDTraj prints to C's standard output."""
    import subprocess
    import sys

    code = (
        "import sys, numpy, mdtraj.formats as f\n"
        "with f.DCDTrajectoryFile(sys.argv[1]) as d: numpy.save(sys.argv[2], d.read()[0])\n"
    )
    saved = path.with_suffix(".npy")
    subprocess.run([sys.executable, "-c", code, str(path), str(saved)], check=True, capture_output=True)
    read: NDArray[np.float32] = np.load(saved)
    return read.reshape(-1, n_atoms, 3)


def _energies() -> Check:
    """Bonded energies and forces of a tiny peptide by TorchMD and by OpenMM."""
    from smdgen.forcefield.system import build_system

    structure = read_structure(_TINY)
    assert structure.positions is not None
    shifts = np.random.default_rng(0).normal(scale=_SHIFT, size=structure.positions.shape)
    system = build_system(structure, cmap=False, constraints="none")
    ours, theirs = (by(system, structure.positions + shifts) for by in (_by_torchmd, _by_openmm))
    off = {
        "energy_kcal_mol": abs(ours[0] - theirs[0]),
        "force_kcal_mol_A": float(np.abs(ours[1] - theirs[1]).max()),
    }
    state: Literal["ok", "failed"] = "ok" if max(off.values()) <= TOLERANCE else "failed"
    text = (
        f"bonded energy of {structure.n_atoms} atoms {ours[0]:.5f} by TorchMD, {theirs[0]:.5f} by OpenMM, "
        f"kcal/mol; forces {off['force_kcal_mol_A']:.1e} kcal/mol/A apart"
    )
    value = {"torchmd": ours[0], "openmm": theirs[0], "largest_difference": off}
    return Check("energies", state, text, value)


def _by_torchmd(built: "MolecularSystem", x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """Energy, kcal/mol, and forces (n_atoms, 3), kcal/mol/A."""
    import torch

    from smdgen.forcefield.bonded_terms import bonded_terms
    from smdgen.forcefield.energy import BondedEnergy

    bonds = [(first.index, second.index) for first, second in built.topology.bonds()]
    terms = bonded_terms(built.system, bonds, np.arange(len(x)))
    positions = torch.from_numpy(x[None]).requires_grad_()
    energy = BondedEnergy(terms, dtype=torch.float64).energy(positions).total().sum()
    energy.backward()
    assert positions.grad is not None
    return float(energy.detach()), -positions.grad[0].numpy()


def _by_openmm(built: "MolecularSystem", x: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
    """The same from OpenMM's Reference platform."""
    import openmm

    for force in built.system.getForces():
        force.setForceGroup(1 if force.__class__.__name__ in _BONDED else 0)
    reference = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(built.system, openmm.VerletIntegrator(0.001), reference)
    context.setPositions(x / ANGSTROM_PER_NM)
    state = context.getState(getEnergy=True, getForces=True, groups={1})
    energy = state.getPotentialEnergy()._value / KJ_PER_KCAL
    forces = np.asarray(state.getForces(asNumpy=True)._value) / KJ_PER_KCAL / ANGSTROM_PER_NM
    return float(energy), forces


def _shipped_models() -> Check:
    """The models that `rollout` falls back on are whole."""
    models = sorted(_MODELS.rglob("*.safetensors"))
    hashes = {path.relative_to(_MODELS).as_posix(): read_manifest(path).sha256 for path in models}
    if not hashes:
        return Check("shipped model", "failed", f"no models in {_MODELS}; install smdgen again", {})
    return Check("shipped model", "ok", f"{', '.join(hashes)} are whole", hashes)


def _program(name: str, command: str) -> Check:
    """A viewer; smdgen works without it."""
    place = shutil.which(command)
    if place is None and importlib.util.find_spec(command) is not None:
        place = f"python -m {command}"
    if place is None:
        return Check(name, "not found", "results can be looked at elsewhere", None)
    return Check(name, "found", place, place)
