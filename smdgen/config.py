"""Settings of every stage: one frozen dataclass each, presets, and TOML files that may fill them."""

import dataclasses
import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

from smdgen.errors import ConfigError
from smdgen.files import require_regular_file

Preset = Literal["paper", "default"]

#: What every random generator in use takes.
MAX_SEED = 2**31 - 1


@dataclass(frozen=True)
class SimulateConfig:
    """Constant-velocity steered MD of one structure."""

    structure: Path
    coordinates: Path | None = None
    parameters: tuple[Path, ...] = ()
    forcefield: str = ""  # empty: the parameter file beside a PSF, else charmm36
    cmap: bool = True
    pulled: str = ""  # a distance as for `prepare --cv`; empty: first to last CA
    start_centre: float | None = None  # A; None: the value of the start structure
    end_centre: float | None = None  # A; has to be given
    duration_ps: float = 1000.0
    spring_constant: float = 1.0  # kcal/mol/A^2, E = k/2 (d - d0)^2
    temperature: float = 300.0  # K
    friction_per_ps: float = 1.0
    timestep_fs: float = 2.0
    constraints: str = "hbonds"
    solvent: Literal["vacuum", "obc2"] = "obc2"
    replicas: int = 1
    frames: int = 201
    equilibration_ps: float = 0.0
    minimisation_steps: int = 500
    seed: int = 1
    workers: int = 0  # 0: one a core
    dask: str = ""  # address of a Dask scheduler, in place of workers
    platform: str = ""  # empty: chosen by the size of the system
    threads: int = 0
    output: Path = Path("pulls")
    force: bool = False


@dataclass(frozen=True)
class PrepareConfig:
    """From trajectories and a topology to the dataset."""

    trajectories: tuple[Path, ...]
    topology: Path | None = None
    parameters: tuple[Path, ...] = ()
    forcefield: str = "charmm36"
    select: str = "protein and name N CA C O"
    cv: str = ""  # "d=distance(sel; sel)"; empty: first to last CA
    stride: int = 1
    seed: int = 0
    validation_share: float = 0.15
    test_share: float = 0.25
    salvage: bool = False
    expect_sha256: Path | None = None  # a list of sums as sha256sum writes them
    workers: int = 1  # processes that read trajectories
    dask: str = ""  # address of a Dask scheduler, in place of workers
    label_units: str = ""  # of Colvars and PLUMED tables, as "A kcal/mol ps"; empty: by their values
    force: bool = False


@dataclass(frozen=True)
class TrainVaeConfig:
    """Stage 1: the latent space."""

    preset: Preset = "default"
    epochs: int = 0  # 0: the preset's own
    batch_size: int = 0  # 0: the preset's own
    latent_size: int = 0  # 0: the preset's own
    hidden_size: int = 0  # 0: the preset's own
    learning_rate: float = 0.0  # 0: the preset's own
    kl_weight: float = -1.0  # below 0: the preset's own
    energy_weight: float = -1.0  # below 0: the preset's own
    cartesian_weight: float = -1.0  # below 0: the preset's own
    seed: int = 0
    device: str = "auto"
    precision: Literal["float32", "float64"] = "float32"
    threads: int = 0  # 0: one below 500 atoms, else torch's own choice
    memory_gb: float = 2.0  # frames of a split up to this size are kept in memory, larger ones read as needed
    quick: bool = False  # an eighth of the epochs, for a first look
    resume: bool = False
    force: bool = False


@dataclass(frozen=True)
class TrainLstmConfig:
    """Stage 2: the dynamics in the latent space."""

    preset: Preset | None = None  # None: the autoencoder's own
    epochs: int = 0  # 0: the preset's own, fewer if there are few frames
    batch_size: int = 0  # 0: the preset's own
    hidden_size: int = 0  # 0: the preset's own
    learning_rate: float = 0.0  # 0: the preset's own
    critic_samples: int = 8000  # most next frames sampled for the critic of the default preset; 0: no critic
    quick: bool = False  # an eighth of the epochs and samples, for a first look
    seed: int = 0
    device: str = "auto"
    threads: int = 0
    resume: bool = False
    force: bool = False


@dataclass(frozen=True)
class RolloutConfig:
    """New pulls from a start structure."""

    start: Path | None = None
    steps: int = 0  # 0: those of the schedule file, else 10
    target: float | None = None
    schedule: Path | None = None
    samples: int = 8
    seed: int = 0
    output: Path | None = None
    device: str = "auto"
    force: bool = False


@dataclass(frozen=True)
class RelaxConfig:
    """Frames of a rollout, minimised with all atoms of its start."""

    start: Path
    rollout: Path | None = None  # folder of the pulls; None: that of the run
    parameters: tuple[Path, ...] = ()
    forcefield: str = "charmm36"
    force: bool = False


@dataclass(frozen=True)
class AnalyzeConfig:
    """Generated pulls beside the held-out ones."""

    trajectories: tuple[Path, ...] = ()
    topology: Path | None = None
    output: Path | None = None
    force: bool = False


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

#: Settings that a command had, and what takes their place.
_MOVED = {
    ("rollout", name): "frames are minimised by `smdgen relax` now: put it under [relax]"
    for name in ("relax", "parameters", "forcefield")
}

Config = TypeVar("Config", bound=Any)


def load_settings(config_type: type[Config], path: Path | None, **flags: Any) -> Config:
    """Settings of one stage from its defaults, a TOML file and the flags; flags win.

    Args:
        config_type: One of the dataclasses of this module.
        path: A TOML file with keys at the top level or under a table with the stage's name
            (`[simulate]`, `[train-vae]`); None for none.
        **flags: Values given on the command line; None means not given.

    Raises:
        ConfigError: The file is missing, is no TOML, or has a key the stage does not know.
    """
    values = {} if path is None else _read_table(config_type, path)
    values.update({name: value for name, value in flags.items() if value is not None})
    try:
        config: Config = config_type(**values)
    except TypeError as error:
        raise ConfigError(f"{stage_name(config_type)}: {error}") from error
    seed = getattr(config, "seed", 0)
    if not 0 <= seed <= MAX_SEED:
        raise ConfigError(f"seed is {seed}, expected a number from 0 to {MAX_SEED}")
    return config


def stage_name(config_type: type[Any]) -> str:
    """`TrainVaeConfig` -> `train-vae`."""
    name = config_type.__name__.removesuffix("Config")
    return "".join(f"-{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("-")


def _read_table(config_type: type[Any], path: Path) -> dict[str, Any]:
    require_regular_file(path, "settings in a TOML file", ConfigError)
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text; save it as UTF-8 or leave --config out") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not valid TOML ({error}); mend it or leave --config out") from error
    table = _own_table(document, stage_name(config_type), path)
    fields = {field.name: field for field in dataclasses.fields(config_type)}
    for name in sorted(set(table) - set(fields)):
        if advice := _MOVED.get((stage_name(config_type), name)):
            raise ConfigError(f"{path}: {name} is no setting of {stage_name(config_type)}; {advice}")
    unknown = sorted(set(table) - set(fields))
    if unknown:
        raise ConfigError(
            f"{path}: unknown setting {', '.join(unknown)}; "
            f"{stage_name(config_type)} knows {', '.join(sorted(fields))}"
        )
    return {name: _convert(fields[name], value, path) for name, value in table.items()}


def _own_table(document: dict[str, Any], stage: str, path: Path) -> dict[str, Any]:
    """The settings of one stage: its table, or a file without tables."""
    stages = [stage_name(kind) for kind in STAGES]
    tables = {key: value for key, value in document.items() if key in stages or isinstance(value, dict)}
    for name, table in tables.items():
        if name not in stages:
            raise ConfigError(f"{path}: no command is named {name}; expected a table of {', '.join(stages)}")
        if not isinstance(table, dict):
            raise ConfigError(f"{path}: {name} = {table!r}, expected a table, which begins with [{name}]")
    loose = sorted(set(document) - set(tables))
    if tables and loose:
        raise ConfigError(
            f"{path}: {', '.join(loose)} stands before the tables; put it into those of its commands"
        )
    return dict(tables.get(stage, {})) if tables else document


#: Types of settings, and what they are called to users.
_TYPE_NAMES: dict[str, tuple[type, str]] = {
    "int": (int, "a whole number"),
    "float": (float, "a number"),
    "str": (str, "a text in quotes"),
    "bool": (bool, "true or false"),
}


def _words(kind: Any) -> tuple[Any, ...]:
    """The words a `Literal` allows; none for another type."""
    return get_args(kind) if get_origin(kind) is Literal else ()


def _convert(field: "dataclasses.Field[Any]", value: Any, path: Path) -> Any:
    """A TOML value in the type of the field; relative paths are taken from the file's folder."""
    kind = str(field.type)
    allowed = [word for part in (field.type, *get_args(field.type)) for word in _words(part)]
    if allowed and value not in allowed:
        raise ConfigError(
            f"{path}: {field.name} = {value!r}, expected one of {', '.join(map(repr, allowed))}"
        )
    if "Path" in kind:
        items = value if "tuple[" in kind and isinstance(value, list) else [value]
        if not all(isinstance(item, str) for item in items):
            raise ConfigError(f"{path}: {field.name} = {value!r}, expected a path in quotes")
        paths = tuple(path.parent / item for item in items)
        return paths if "tuple[" in kind else paths[0]
    if "float" in kind and type(value) is int:
        value = float(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{path}: {field.name} = {value}, expected a finite number")
    for word, (python_type, meaning) in _TYPE_NAMES.items():
        if word in kind and "Literal" not in kind and type(value) is not python_type:
            found = str(value).lower() if isinstance(value, bool) else repr(value)
            raise ConfigError(f"{path}: {field.name} = {found}, expected {meaning}")
    return value
