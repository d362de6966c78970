"""What `simulate` settles before the first step: the system, the pulled distance, the protocol."""

import dataclasses
import hashlib
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smdgen.config import MAX_SEED, SimulateConfig
from smdgen.errors import ConfigError, TopologyError
from smdgen.forcefield.charmm_files import parameter_files_beside
from smdgen.forcefield.platforms import SMALL_SYSTEM, choose_platform
from smdgen.forcefield.rebuild import rebuild
from smdgen.forcefield.system import (
    DEFAULT_FORCEFIELD,
    MolecularSystem,
    another_that_fits,
    build_system,
    file_kind,
    residue_rows,
)
from smdgen.geometry.cvs import CollectiveVariable, end_to_end, parse_cv, to_dict
from smdgen.io.kinds import coordinate_kind
from smdgen.io.structures.coordinate_checks import check_coordinates
from smdgen.io.structures.selection import read_selections
from smdgen.io.structures.structure import (
    Structure,
    match_atoms,
    place_atoms,
    read_structure,
    select_atoms,
)
from smdgen.steered_md.folder import PROTOCOL_FILE, known_protocol
from smdgen.steered_md.pull import PulledDistance, PullProtocol, add_restraint, divisor_at_most
from smdgen.steered_md.replicas import PullJob

#: A/ns. A faster spring is noted; the fastest in tutorials (of vacuum) is ten times as fast.
FASTEST = 100.0

#: The restraint centre jumps at least this often; the accumulated work is exact for any value.
_MAX_STEPS_PER_MOVE = 10

#: A. In the advice to give a target.
_EXAMPLE_PULL = 10.0


@dataclass(frozen=True)
class PullPlan:
    """Everything settled before the first step."""

    structure: Structure
    job: PullJob
    cv: CollectiveVariable
    identity: dict[str, Any]  # what pulls of one set have in common; kept beside them
    parameters: tuple[Path, ...]  # files of the user that describe the forces
    notes: tuple[str, ...]


def _check(config: SimulateConfig) -> None:
    """Refuse settings that do not go together before anything is read."""
    if config.seed + config.replicas > MAX_SEED:
        raise ConfigError(f"seed = {config.seed} is too large; seed + replicas must stay below {MAX_SEED}")
    read_selections(config.pulled)


def plan_pulls(config: SimulateConfig) -> PullPlan:
    """Read the input and settle the system, the protocol and the resources.

    Raises:
        ConfigError: A setting out of range, or a selection that matches nothing.
        TopologyError: A structure that cannot be read or that the force field does not describe.
        TrajectoryError: Coordinates that cannot be those of the structure.
    """
    _check(config)
    structure, given, notes = _start(config)
    end_centre, how = _target(config, structure, given)
    config, whose = _with_parameters(config, structure)
    built, structure, positions, more = _build(config, structure, given)
    check_coordinates(positions[None], structure)
    cv = _pulled(config, structure)
    distance = _distance(cv)
    system = _to_xml(built.system)
    add_restraint(built.system, distance)
    protocol = _protocol(config, distance.value(positions), end_centre)
    platform = _platform(config, structure.n_atoms)
    identity = {
        "cv": to_dict(cv),
        "forces": [built.source, *built.notes, config.solvent, config.constraints],
        "atoms": structure.atom_hash,
        "start_hash": hashlib.sha256(given.tobytes()).hexdigest()[:16],
        "system_hash": hashlib.sha256(re.sub(' openmmVersion="[^"]*"', "", system).encode()).hexdigest()[:16],
        "seed": config.seed,
        **dataclasses.asdict(protocol),
    }
    job = PullJob(
        _to_xml(built.system),
        positions,
        distance,
        protocol,
        config.seed,
        platform,
        _threads(config, platform, structure.n_atoms),
    )
    hasty = _speed_notes(protocol)
    told = (*hasty, *structure.notes, *notes, *how, *whose, *more, *built.notes)
    return PullPlan(structure, job, cv, identity, config.parameters, told)


def _start(config: SimulateConfig) -> tuple[Structure, NDArray[np.float64], list[str]]:
    """The structure, its positions (n_atoms, 3) in A, and where they are from.

    They are those of `coordinates`, of the structure itself, or of a PDB of the same name.
    """
    structure = read_structure(config.structure)
    source = config.coordinates
    notes = []
    if structure.cell is not None:
        notes.append(f"the box of {config.structure} is ignored: pulls run without box and cutoff")
    if source is None and structure.positions is None:
        source = Path(config.structure).with_suffix(".pdb")
        if not source.is_file():
            raise TopologyError(
                f"{config.structure} has no coordinates; "
                "name a PDB, a trajectory, an Amber restart, a .coor or CRD file after it, as in "
                "`smdgen simulate x.psf x.pdb`"
            )
        notes.append(f"coordinates from {source.name}")
    if source is None:
        assert structure.positions is not None
        return structure, np.asarray(structure.positions, dtype=np.float64), notes
    if source.is_file() and coordinate_kind(source) == "PDB":
        found = read_structure(source)
        assert found.positions is not None
        return structure, np.asarray(found.positions[match_atoms(structure, found)], dtype=np.float64), notes
    positions, cut_notes = place_atoms(structure, source)
    return structure, np.asarray(positions, dtype=np.float64), [*notes, *cut_notes]


def _target(
    config: SimulateConfig, structure: Structure, positions: NDArray[np.float64]
) -> tuple[float, list[str]]:
    """Where the centre ends: as given, or as the pulls of the output folder have it; and a note."""
    if config.end_centre is not None:
        return config.end_centre, []
    found = _kept(config).get("end_centre")
    if isinstance(found, int | float):
        return float(found), [f"--to {found:g}, as the pulls in {config.output} have it ({PROTOCOL_FILE})"]
    cv = _pulled(config, structure)
    now = _distance(cv).value(positions)
    raise ConfigError(
        f"--to is missing: {cv.name} is {now:.1f} A in the start structure; give the distance to pull to, "
        f"for instance --to {now + _EXAMPLE_PULL:.0f} for {_EXAMPLE_PULL:g} A more"
    )


def _kept(config: SimulateConfig) -> dict[str, Any]:
    """What the pulls that the output folder has and that stay have in common; empty if there are none."""
    return {} if config.force else known_protocol(config.output)


def _with_parameters(config: SimulateConfig, structure: Structure) -> tuple[SimulateConfig, list[str]]:
    """With the only parameter file beside a PSF that describes it, if there is one.

    Raises:
        ConfigError: Several files describe it.
    """
    psf = structure.path
    if config.parameters or config.forcefield or psf is None or file_kind(structure) != "psf":
        return config, []
    if _kept(config).get("forces", [""])[:1] == [f"force field {DEFAULT_FORCEFIELD}"]:
        return config, []  # pulls of that force field continue
    fitting, others = parameter_files_beside(psf, structure)
    names = ", ".join(file.name for file in fitting or others)
    if len(fitting) > 1:
        raise ConfigError(
            f"{names}: each of these files beside {psf.name} describes it; "
            f"choose one with --params, or OpenMM's own with --forcefield {DEFAULT_FORCEFIELD}"
        )
    if fitting:
        note = f"parameters from {names} beside {psf.name}, not OpenMM's (--forcefield {DEFAULT_FORCEFIELD})"
        return dataclasses.replace(config, parameters=tuple(fitting)), [note]
    if others:
        note = f"{names} beside {psf.name}: not used, because it needs more; name all its files with --params"
        return config, [note]
    return config, []


def _distance(cv: CollectiveVariable) -> PulledDistance:
    return PulledDistance(cv.groups[0], cv.groups[1], cv.weights[0], cv.weights[1])


def _build(
    config: SimulateConfig, structure: Structure, positions: NDArray[np.float64]
) -> tuple[MolecularSystem, Structure, NDArray[np.float64], list[str]]:
    """The system; a PDB that the force field does not fit gets its missing atoms first."""

    def build(of: Structure) -> MolecularSystem:
        return build_system(
            of,
            config.parameters,
            config.forcefield or DEFAULT_FORCEFIELD,
            config.solvent,
            cmap=config.cmap,
            constraints=config.constraints,
        )

    try:
        return build(structure), structure, positions, []
    except TopologyError as error:
        if config.parameters or file_kind(structure):
            raise
        if "H" in structure.elements:
            raise _with_advice(error, structure, config) from None
    completed = _complete(structure, positions)
    assert completed.positions is not None
    n_new = completed.n_atoms - structure.n_atoms
    note = f"{n_new} atoms that {config.structure} lacks, hydrogens above all, were added by PDBFixer"
    try:
        return build(completed), completed, np.asarray(completed.positions), [note]
    except TopologyError as error:
        told = TopologyError(f"with all hydrogens added, {error}")
        raise _with_advice(told, completed, config) from None


def _with_advice(error: TopologyError, structure: Structure, config: SimulateConfig) -> TopologyError:
    """The error with the force field that fits, as Amber's does for ACE and NME caps."""
    other = another_that_fits(structure, config.forcefield or DEFAULT_FORCEFIELD)
    return TopologyError(f"{error}. --forcefield {other} fits") if other else error


def _complete(structure: Structure, positions: NDArray[np.float64]) -> Structure:
    """The structure with all hydrogens and missing heavy atoms, under its own chains and residue numbers."""
    from openmm import app, unit

    rebuilt = rebuild(structure, positions, list(range(structure.n_atoms)))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "completed.pdb"
        with file.open("w", encoding="utf-8") as stream:
            app.PDBFile.writeFile(rebuilt.topology, rebuilt.positions * unit.angstrom, stream, keepIds=True)
        completed = read_structure(file)
    first_atoms = np.unique(residue_rows(structure), return_index=True)[1]
    source = first_atoms[[atom.residue.index for atom in rebuilt.topology.atoms()]]
    labels = ("chain_ids", "segment_ids", "residue_ids", "insertion_codes")  # PDBFixer counts its own
    own = {field: getattr(structure, field)[source] for field in labels}
    return dataclasses.replace(completed, path=None, **own)


def _pulled(config: SimulateConfig, structure: Structure) -> CollectiveVariable:
    """The pulled distance; its groups are indices into the structure."""
    every = np.arange(structure.n_atoms)
    if config.pulled:
        cv = parse_cv(config.pulled, structure, every, select_atoms)
        if cv.kind != "distance":
            raise ConfigError(
                f"--cv {config.pulled!r} is a {cv.kind}; only a distance(sel; sel) can be pulled"
            )
    else:
        protein = select_atoms(structure, "protein")
        found = end_to_end(structure, protein)
        groups = tuple(tuple(int(protein[atom]) for atom in group) for group in found.groups)
        cv = dataclasses.replace(found, groups=groups)
    shared = sorted(set(cv.groups[0]) & set(cv.groups[1]))
    if shared:
        raise ConfigError(
            f"the two groups of {config.pulled!r} share {len(shared)} atoms; choose groups to pull apart"
        )
    return cv


def _protocol(config: SimulateConfig, start_value: float, end_centre: float) -> PullProtocol:
    timestep_ps = config.timestep_fs / 1000
    n_intervals = config.frames - 1
    steps_per_frame = max(1, round(config.duration_ps / timestep_ps / n_intervals))
    return PullProtocol(
        start_centre=start_value if config.start_centre is None else config.start_centre,
        end_centre=end_centre,
        spring_constant=config.spring_constant,
        n_steps=steps_per_frame * n_intervals,
        steps_per_frame=steps_per_frame,
        steps_per_move=divisor_at_most(steps_per_frame, _MAX_STEPS_PER_MOVE),
        timestep_ps=timestep_ps,
        temperature=config.temperature,
        friction_per_ps=config.friction_per_ps,
        minimisation_steps=config.minimisation_steps,
        equilibration_steps=round(config.equilibration_ps / timestep_ps),
    )


def _speed_notes(protocol: PullProtocol) -> list[str]:
    """A pull so fast that its work is friction: published pulls take 1 to 100 A/ns, vacuum tutorials 1000."""
    duration_ns = protocol.n_steps * protocol.timestep_ps / 1000
    speed = abs(protocol.end_centre - protocol.start_centre) / duration_ns
    if speed <= FASTEST:
        return []
    return [
        f"the spring moves at {speed:.3g} A/ns; usual pulls take 1 to {FASTEST:.0f} A/ns, and at such speed "
        "the work is mostly friction and the structure does not follow; a longer --duration helps"
    ]


def _platform(config: SimulateConfig, n_atoms: int) -> str:
    import openmm

    names = [openmm.Platform.getPlatform(i).getName() for i in range(openmm.Platform.getNumPlatforms())]
    if not config.platform:
        return choose_platform(n_atoms, config.solvent != "vacuum", names)
    if config.platform not in names:
        raise ConfigError(f"platform {config.platform!r} is not there; this OpenMM has {', '.join(names)}")
    return config.platform


def _to_xml(system: Any) -> str:
    import openmm

    return str(openmm.XmlSerializer.serialize(system))


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def n_workers(config: SimulateConfig, platform: str, n_missing: int) -> int:
    """Parallel pulls: one a core, but one at a time on a GPU."""
    natural = _cores() if platform in ("Reference", "CPU") else 1
    return min(config.workers or natural, n_missing)


def _threads(config: SimulateConfig, platform: str, n_atoms: int) -> int:
    """Threads a pull; only the CPU platform uses more than one, and only for large systems."""
    if config.threads:
        return config.threads
    if platform != "CPU" or n_atoms < SMALL_SYSTEM:
        return 1
    return max(1, _cores() // n_workers(config, platform, config.replicas))
