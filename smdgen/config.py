"""Settings of every stage: one frozen dataclass each, every field with its meaning and range."""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from smdgen.errors import ConfigError

#: What every random generator in use takes.
MAX_SEED = 2**31 - 1


@dataclass(frozen=True)
class Range:
    """The finite numbers that a setting may have.

    Attributes:
        least: The smallest one.
        most: The largest one.
        excluded: Whether the smallest one is not among them.
    """

    least: float = -math.inf
    most: float = math.inf
    excluded: bool = False

    def __contains__(self, value: float) -> bool:
        """Whether a setting may be this number."""
        above = value > self.least if self.excluded else value >= self.least
        return above and value <= self.most and abs(value) < math.inf  # not so for NaN

    def __str__(self) -> str:
        """In words, for messages and `--help`."""
        if self.excluded:
            return f"a number above {self.least:g}"
        if math.isfinite(self.most):
            return f"a number from {self.least:g} to {self.most:.10g}"
        return f"{self.least:g} or more" if math.isfinite(self.least) else "a finite number"


#: No value: the setting has to be given, or never had another value for "not set".
_NONE = object()


def setting(
    meaning: str,
    default: Any = _NONE,
    *,
    allowed: Range | None = None,
    unset: str = "",
    example: Any = None,
    once: Any = _NONE,
    flag: str = "",
) -> Any:
    """A field of a settings class, with the words that `--help`, docs/cli.md and `smdgen config` share.

    Args:
        meaning: What it is for, in sentences.
        default: Without one it is not set (None) where `unset` or `once` say so, else it has to be given.
        allowed: The numbers it may be.
        unset: What happens where it is not set.
        example: A value that a TOML file could have where there is no default.
        once: What meant "not set" in earlier versions; a TOML file may still say so.
        flag: Its flag, where that has another name.
    """
    words = {"meaning": meaning, "allowed": allowed, "unset": unset, "example": example, "flag": flag}
    if once is not _NONE:
        words["once"] = once
    if default is _NONE:
        if not (unset or "once" in words):
            return dataclasses.field(metadata=words)
        default = None
    return dataclasses.field(default=default, metadata=words)


@dataclass(frozen=True)
class Settings:
    """Settings of one command; to make them with a number out of its range raises a ConfigError."""

    def __post_init__(self) -> None:
        """Refuse numbers out of their ranges."""
        for field in dataclasses.fields(self):
            value, allowed = getattr(self, field.name), field.metadata["allowed"]
            if allowed is not None and value is not None and value not in allowed:
                name = field.metadata["flag"] or field.name
                raise ConfigError(f"{name} is {value}, expected {allowed}")


# Ranges, and what settings of several commands have in common.
_COUNT, _FROM_ZERO, _POSITIVE = Range(1), Range(0), Range(0, excluded=True)
_SEEDS, _SHARE, _REST_LENGTH = Range(0, MAX_SEED), Range(0, 1), Range(0, 10_000)  # A; no molecule is longer
_OWN_COUNT: dict[str, Any] = {"once": 0, "allowed": _COUNT}
_OWN_RATE: dict[str, Any] = {"once": 0.0, "allowed": _POSITIVE}
_OWN_WEIGHT: dict[str, Any] = {"once": -1.0, "allowed": _FROM_ZERO}
_CV: dict[str, Any] = {"example": "d=distance(resid 1 and name CA; resid 10 and name CA)", "once": ""}
_DASK: dict[str, Any] = {
    "meaning": "Address of a Dask scheduler whose workers share the work, in place of `workers`.",
    "unset": "none", "example": "tcp://host:8786", "once": "",
}  # fmt: skip
_DEVICE: dict[str, Any] = {"meaning": "Where to compute: auto, cpu or cuda.", "default": "auto"}
_FORCE: dict[str, Any] = {"meaning": "Replace outputs that exist.", "default": False}
_FORCEFIELD = "Force field for a structure without its own: charmm36, amber14, or an OpenMM XML file."
_OUTPUT = "Folder for the results."
_PARAMETERS: dict[str, Any] = {
    "meaning": "CHARMM parameter files (prm, rtf, str) that go with a PSF, or one System XML of OpenMM.",
    "default": (), "example": ["par.prm"],
}  # fmt: skip
_RESUME: dict[str, Any] = {"meaning": "Continue an interrupted training.", "default": False}
_SEED: dict[str, Any] = {"meaning": "Seed of all random numbers.", "default": 0, "allowed": _SEEDS}
_THREADS: dict[str, Any] = {
    "meaning": "CPU threads of torch.", "unset": "one below 500 atoms, else torch's own choice",
    "example": 1, **_OWN_COUNT,
}  # fmt: skip
_TOPOLOGY = "PSF, prmtop, PDB, mmCIF or GRO that names the atoms."


@dataclass(frozen=True)
class SimulateConfig(Settings):
    """Constant-velocity steered MD of one structure."""

    structure: Path = setting("Structure to pull: PDB, mmCIF, PSF or prmtop.", example="start.pdb")
    coordinates: Path | None = setting(
        "Positions for a PSF or prmtop.", unset="those of the structure", example="start.pdb"
    )
    parameters: tuple[Path, ...] = setting(
        **_PARAMETERS, unset="the only such file beside the PSF that describes it"
    )
    forcefield: str | None = setting(
        _FORCEFIELD, unset="charmm36 where there are no parameter files", example="charmm36", once=""
    )
    cmap: bool = setting("Use the force field's CMAP terms.", True)
    pulled: str | None = setting(
        "Distance to pull along, as distance(selection; selection).", unset="first to last CA", **_CV
    )
    start_centre: float | None = setting(
        "Rest length of the spring at the start, A.",
        unset="that of the structure",
        example=12.0,
        allowed=_REST_LENGTH,
        flag="--from",
    )
    end_centre: float | None = setting(
        "Rest length of the spring at the end, A.",
        unset="as pulls in the output folder have it; without such it has to be given",
        example=34.0,
        allowed=_REST_LENGTH,
        flag="--to",
    )
    duration_ps: float = setting("Length of one pull, ps.", 1000.0, allowed=_POSITIVE, flag="--duration")
    spring_constant: float = setting(
        "Spring constant K, kcal/mol/A^2; E = K/2 (d - centre)^2.", 1.0, allowed=_POSITIVE, flag="--spring"
    )
    temperature: float = setting("Temperature, K.", 300.0, allowed=_POSITIVE)
    friction_per_ps: float = setting("Friction of the Langevin integrator, 1/ps.", 1.0, allowed=_POSITIVE)
    timestep_fs: float = setting("Time step, fs.", 2.0, allowed=_POSITIVE)
    constraints: str = setting("hbonds (bonds to hydrogen are rigid) or none.", "hbonds")
    solvent: Literal["vacuum", "obc2"] = setting("Solvent model: obc2 (implicit) or vacuum.", "obc2")
    replicas: int = setting("Number of pulls; pull i uses seed + i.", 1, allowed=_COUNT)
    frames: int = setting("Frames per pull.", 201, allowed=Range(2))
    equilibration_ps: float = setting(
        "Equilibration with a resting spring before each pull, ps.", 0.0, allowed=_FROM_ZERO
    )
    minimisation_steps: int = setting("Most minimisation steps before each pull.", 500, allowed=_FROM_ZERO)
    seed: int = setting(**_SEED | {"default": 1, "allowed": Range(1, MAX_SEED)})
    workers: int | None = setting(
        "Parallel pulls.", unset="one per core, one on a GPU", example=4, **_OWN_COUNT
    )
    dask: str | None = setting(**_DASK)
    platform: str | None = setting(
        "OpenMM platform.", unset="by the size of the system", example="CPU", once=""
    )
    threads: int | None = setting(
        "CPU threads per pull, on the CPU platform.",
        unset="one below 300 atoms, else the cores shared evenly",
        example=1,
        **_OWN_COUNT,
    )
    output: Path = setting("Folder of the pulls.", Path("pulls"))
    force: bool = setting(**_FORCE)


@dataclass(frozen=True)
class PrepareConfig(Settings):
    """From trajectories and a topology to the dataset."""

    trajectories: tuple[Path, ...] = setting(
        "Trajectories, one file per pull: DCD, XTC, TRR, NetCDF, H5, multi-model PDB.", example=["pull_1.dcd"]
    )
    topology: Path | None = setting(_TOPOLOGY, unset="the one beside each trajectory", example="system.psf")
    parameters: tuple[Path, ...] = setting(**_PARAMETERS, unset="none")
    forcefield: str = setting(_FORCEFIELD, "charmm36")
    select: str = setting("Atoms to model, a selection as in VMD or ProDy.", "protein and name N CA C O")
    cv: str | None = setting(
        "Collective variable: name=distance(selection; selection), or angle, dihedral, gyration, rmsd.",
        unset="distance from the first to the last CA",
        **_CV,
    )
    stride: int = setting("Keep every n-th frame.", 1, allowed=_COUNT)
    seed: int = setting("Seed of the split into training, validation and test pulls.", 0, allowed=_SEEDS)
    validation_share: float = setting(
        "Share of the pulls that choose the best weights.", 0.15, allowed=_SHARE
    )
    test_share: float = setting("Share of the pulls that no training sees.", 0.25, allowed=_SHARE)
    salvage: bool = setting("Keep the intact frames that precede the damage in a DCD or NetCDF file.", False)
    expect_sha256: Path | None = setting(
        "List of checksums, as sha256sum writes it, that every input must match.",
        unset="none",
        example="SHA256SUMS",
    )
    workers: int = setting("Processes that read trajectories.", 1, allowed=_COUNT)
    dask: str | None = setting(**_DASK)
    label_units: str | None = setting(
        "Units of Colvars and PLUMED tables: length, energy and time.",
        unset="those that fit the values",
        example="A kcal/mol ps",
        once="",
    )
    force: bool = setting(**_FORCE)


@dataclass(frozen=True)
class TrainVaeConfig(Settings):
    """Stage 1: the latent space."""

    preset: str = setting("paper: the published method; default: ours, which is more accurate.", "default")
    epochs: int | None = setting("Passes over the training frames.", **_OWN_COUNT)
    batch_size: int | None = setting("Frames per batch.", **_OWN_COUNT)
    latent_size: int | None = setting(
        "Size of the latent space.", unset="one per internal coordinate, at most 512", **_OWN_COUNT
    )
    hidden_size: int | None = setting(
        "Width of the hidden layers.", unset="2 per internal coordinate, 256 to 1024", **_OWN_COUNT
    )
    learning_rate: float | None = setting("Highest learning rate of Adam.", **_OWN_RATE)
    kl_weight: float | None = setting("Weight of the KL divergence in the loss.", **_OWN_WEIGHT)
    energy_weight: float | None = setting("Weight of the TorchMD energies in the loss.", **_OWN_WEIGHT)
    cartesian_weight: float | None = setting(
        "Weight of the CV and of distances between atoms in the loss.", **_OWN_WEIGHT
    )
    seed: int = setting(**_SEED)
    device: str = setting(**_DEVICE)
    precision: Literal["float32", "float64"] = setting("Precision of the network.", "float32")
    threads: int | None = setting(**_THREADS)
    memory_gb: float = setting(
        "Frames of a split up to this size stay in memory (GB); larger ones are read as needed.",
        2.0,
        allowed=_FROM_ZERO,
    )
    quick: bool = setting("An eighth of the epochs, for a first look.", False)
    resume: bool = setting(**_RESUME)
    force: bool = setting(**_FORCE)


@dataclass(frozen=True)
class TrainLstmConfig(Settings):
    """Stage 2: the dynamics in the latent space."""

    preset: str | None = setting(
        "paper: the published method; default: ours, which is more accurate.",
        unset="that of the autoencoder",
        example="default",
    )
    epochs: int | None = setting(
        "Epochs of 40 batches of new sequences, fewer where there are few frames; with preset paper "
        "passes over the training sequences.",
        **_OWN_COUNT,
    )
    batch_size: int | None = setting("Sequences per batch; large proteins take fewer.", **_OWN_COUNT)
    hidden_size: int | None = setting(
        "Width of the LSTM.", unset="the size of the latent space", **_OWN_COUNT
    )
    learning_rate: float | None = setting("Highest learning rate; wide layers take less.", **_OWN_RATE)
    critic_samples: int | None = setting(
        "Most next frames sampled for the critic of the default preset; 0: no critic.",
        unset="8000, fewer with fewer epochs",
        example=8000,
        allowed=_FROM_ZERO,
    )
    quick: bool = setting("An eighth of the epochs and critic samples, for a first look.", False)
    seed: int = setting(**_SEED)
    device: str = setting(**_DEVICE)
    threads: int | None = setting(**_THREADS)
    resume: bool = setting(**_RESUME)
    force: bool = setting(**_FORCE)


@dataclass(frozen=True)
class RolloutConfig(Settings):
    """New pulls from a start structure."""

    start: Path | None = setting(
        "Structure to start from: PDB, mmCIF, GRO, or a PSF or prmtop with coordinates beside it.",
        unset="a held-out pull of the run",
        example="start.pdb",
    )
    steps: int | None = setting(
        "New frames per pull.", unset="10, or as many as the schedule has", example=10, **_OWN_COUNT
    )
    target: float | None = setting(
        "Target CV, in A or degrees.",
        unset="where the training pulls end",
        example=30.0,
        allowed=Range(),
        flag="--to",
    )
    schedule: Path | None = setting(
        "Table of step and CV to follow, in place of a target.", unset="none", example="schedule.csv"
    )
    samples: int = setting("Pulls to generate.", 8, allowed=_COUNT)
    seed: int = setting(**_SEED)
    output: Path | None = setting(_OUTPUT, unset="rollout in the run folder", example="my-rollout")
    device: str = setting(**_DEVICE)
    force: bool = setting(**_FORCE)


@dataclass(frozen=True)
class RelaxConfig(Settings):
    """Frames of a rollout, minimised with all atoms of its start."""

    start: Path = setting("The start of the rollout, a file with all its atoms.", example="start.pdb")
    rollout: Path | None = setting(
        "Folder of the pulls.", unset="rollout in the run folder", example="my-rollout"
    )
    parameters: tuple[Path, ...] = setting(**_PARAMETERS, unset="none")
    forcefield: str = setting(_FORCEFIELD, "charmm36")
    force: bool = setting(**_FORCE)


@dataclass(frozen=True)
class AnalyzeConfig(Settings):
    """Generated pulls beside the held-out ones."""

    trajectories: tuple[Path, ...] = setting(
        "Generated trajectories to judge.", (), unset="the rollout of the run", example=["pull_000.dcd"]
    )
    topology: Path | None = setting(
        _TOPOLOGY, unset="the one beside the trajectories", example="topology.pdb"
    )
    output: Path | None = setting(_OUTPUT, unset="analysis in the run folder", example="my-analysis")
    force: bool = setting(**_FORCE)


#: The settings of every command that reads a TOML file.
STAGES = (
    SimulateConfig,
    PrepareConfig,
    TrainVaeConfig,
    TrainLstmConfig,
    RolloutConfig,
    RelaxConfig,
    AnalyzeConfig,
)


def stage_name(config_type: type[Any]) -> str:
    """`TrainVaeConfig` -> `train-vae`."""
    name = config_type.__name__.removesuffix("Config")
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")
