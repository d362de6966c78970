"""The commands in pipeline order: flags in, settings out; the stage of the same name does the work."""

import functools
import importlib
import inspect
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

import typer

import smdgen
from smdgen.cli import console, habits, options
from smdgen.config import (
    AnalyzeConfig,
    PrepareConfig,
    RelaxConfig,
    RolloutConfig,
    SimulateConfig,
    TrainLstmConfig,
    TrainVaeConfig,
    load_settings,
    stage_name,
)
from smdgen.progress import Silent
from smdgen.training import distributed

app = typer.Typer(
    name="smdgen",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Commands share a run folder (--run, default smdgen-run), so no path is typed twice.",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code: 0 done, 1 failed, 2 wrong usage or input, 130 interrupted."""
    console.prepare_streams()
    try:
        command = typer.main.get_command(app)
        arguments = sys.argv[1:] if arguments is None else arguments
        if wrong := habits.misread_word(command, arguments):
            console.show_error(wrong)
            return console.EXIT_USAGE
        return int(command.main(args=arguments, prog_name="smdgen", standalone_mode=False) or 0)
    except Exception as error:
        if hasattr(error, "format_message"):  # what Typer says about a wrong flag or a missing argument
            return console.show_usage_error(error)
        return console.exit_code_of(error)


def run() -> NoReturn:
    """The command `smdgen`: `main`, then the end of the process."""
    distributed.leave(main())


def stage(
    config_type: type[Any], *examples: str, run_folder: bool = True, trains: bool = False
) -> Callable[[Callable[..., dict[str, Any]]], None]:
    """Make a command of a function that turns its flags into settings.

    The shared options are added to the function's own. The stage's module is imported only when the
    command runs, because torch, ProDy, MDTraj and OpenMM cost seconds each.

    Args:
        config_type: The settings the stage takes; their name is the command's and the module's.
        *examples: Lines for the end of the command's help.
        run_folder: Whether it reads or writes the run folder.
        trains: Whether it trains a network, which some more options go with.
    """
    name = stage_name(config_type)
    left_out = {"seed", "force"} - set(inspect.signature(config_type).parameters)
    if not run_folder:
        left_out.add("run")

    def register(flags_to_settings: Callable[..., dict[str, Any]]) -> None:
        own = inspect.signature(flags_to_settings)
        training = list(inspect.signature(_training_options).parameters.values()) if trains else []
        shared = [item for item in _shared_parameters() if item.name not in left_out]
        taken = {"seed", "force", *(item.name for item in training)}

        @functools.wraps(flags_to_settings)
        def command(**values: Any) -> int:
            flags = flags_to_settings(**{key: values[key] for key in own.parameters})
            settings = {key: value for key, value in values.items() if key in taken}
            config = load_settings(config_type, values["config"], **settings, **flags)
            try:
                return _run_stage(name, config, values)
            except KeyboardInterrupt as error:  # here, because Typer drops what it says was kept
                return console.exit_code_of(error)

        command.__signature__ = own.replace(  # type: ignore[attr-defined]
            parameters=[*own.parameters.values(), *training, *shared], return_annotation=int
        )
        epilog = "Examples:\n\n" + "\n\n".join(examples)
        app.command(name, epilog=epilog)(command)

    return register


def _shared_parameters() -> list[inspect.Parameter]:
    """`--run`, `--config`, `--seed`, `--force`, `--dry-run`, `--quiet` and `--json`, for every command."""

    def shared(
        *,
        run: options.Run = options.RUN_FOLDER,
        config: options.ConfigFile = None,
        seed: options.Seed = None,
        force: options.Force = None,
        dry_run: options.DryRun = False,
        quiet: options.Quiet = False,
        json: options.Json = False,
    ) -> None:
        """Only its signature counts."""

    return list(inspect.signature(shared).parameters.values())


def _training_options(
    *,
    preset: options.PresetOption = None,
    epochs: options.Epochs = None,
    batch_size: options.BatchSize = None,
    hidden_size: options.HiddenSize = None,
    device: options.Device = None,
    threads: options.Threads = None,
    quick: options.Quick = None,
    resume: options.Resume = None,
) -> None:
    """What both training commands take, each named as its setting; only the signature counts."""


def _run_stage(name: str, config: Any, shared: Mapping[str, Any]) -> int:
    """Import the stage, run it with progress on standard error, show its result."""
    began = time.monotonic()
    run_dir = shared.get("run", options.RUN_FOLDER)
    if distributed.rank() > 0:  # of a training on several processes the first one speaks
        importlib.import_module(f"smdgen.stages.{name.replace('-', '_')}").run(config, run_dir, Silent())
        return 0
    with console.open_progress(quiet=shared["quiet"]) as progress:
        module = importlib.import_module(f"smdgen.stages.{name.replace('-', '_')}")
        if shared["dry_run"]:
            plan = getattr(module, "plan", None)
            console.show_plan(config, plan(config, run_dir) if plan else [])
            return 0
        result = module.run(config, run_dir, progress)
    console.show_result(
        result, as_json=shared["json"], quiet=shared["quiet"], seconds=time.monotonic() - began
    )
    return int(getattr(result, "exit_code", 0))


def _show_version(wanted: bool) -> None:
    if wanted:
        console.show_line(f"smdgen {smdgen.__version__}")
        raise typer.Exit


@app.callback()
def smdgen_command(
    version: Annotated[  # noqa: ARG001 - its callback does the work
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Learn steered-MD pulls of a protein and generate new ones that open in VMD and PyMOL."""
    if not sys.warnoptions:
        warnings.simplefilter("ignore")  # what libraries tell developers; python -W default shows it


@stage(
    SimulateConfig,
    "smdgen simulate start.pdb --to 34 --replicas 40",
    "smdgen simulate da.psf da.pdb --params par_all22_prot.inp --from 12 --to 34 --duration 1000",
    run_folder=False,
)
def simulate(
    structure: Annotated[Path, typer.Argument(metavar="STRUCTURE", help="PDB, PSF or prmtop.")],
    coordinates: Annotated[
        Path | None, typer.Argument(metavar="COORDINATES", help="Positions for a PSF or prmtop.")
    ] = None,
    params: options.Parameters = None,
    forcefield: options.ForceField = None,
    cv: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT", help="Pulled distance(selection; selection); default: first to last CA."
        ),
    ] = None,
    start: Annotated[
        float | None,
        typer.Option("--from", metavar="A", help="Restraint centre at the start; default: as found."),
    ] = None,
    end: Annotated[
        float | None, typer.Option("--to", metavar="A", help="Restraint centre at the end; has to be given.")
    ] = None,
    duration: Annotated[float | None, typer.Option(metavar="PS", help="Length of one pull.")] = None,
    spring: Annotated[
        float | None, typer.Option(metavar="K", help="Spring constant, kcal/mol/A^2, E = K/2 (d - centre)^2.")
    ] = None,
    temperature: Annotated[float | None, typer.Option(metavar="K", help="Kelvin.")] = None,
    solvent: Annotated[
        Literal["vacuum", "obc2"] | None, typer.Option(metavar="vacuum|obc2", help="Surroundings.")
    ] = None,
    replicas: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Number of pulls; pull i uses seed + i.")
    ] = None,
    frames: Annotated[int | None, typer.Option(metavar="N", min=2, help="Frames a pull.")] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Pulls at a time; default: one a core.")
    ] = None,
    dask: options.Dask = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="DIR", help="Folder of the pulls; default: pulls."),
    ] = None,
) -> dict[str, Any]:
    """Pull a structure with OpenMM: constant-velocity steered MD, one DCD and one Colvars log a pull.

    Goes on at the first missing pull when pulls of the same settings are there.
    """
    return {
        "structure": structure,
        "coordinates": coordinates,
        "parameters": _tuple(params),
        "forcefield": forcefield,
        "pulled": cv,
        "start_centre": start,
        "end_centre": end,
        "duration_ps": duration,
        "spring_constant": spring,
        "temperature": temperature,
        "solvent": solvent,
        "replicas": replicas,
        "frames": frames,
        "workers": workers,
        "dask": dask,
        "output": output,
    }


@stage(
    PrepareConfig,
    "smdgen prepare traj.dcd",
    'smdgen prepare pull_*.dcd --top system.psf --select "name N CA C O" '
    '--cv "d=distance(resid 1 and name CA; resid 10 and name CA)"',
)
def prepare(
    trajectories: Annotated[list[Path], typer.Argument(metavar="TRAJECTORY", help="One file a pull.")],
    top: options.Topology = None,
    params: options.Parameters = None,
    forcefield: options.ForceField = None,
    select: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Atoms to model, as in VMD or ProDy; default: backbone."),
    ] = None,
    cv: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="name=distance(selection; selection), or angle, dihedral, gyration, rmsd; "
            "default: first to last CA.",
        ),
    ] = None,
    stride: Annotated[int | None, typer.Option(metavar="N", min=1, help="Take every n-th frame.")] = None,
    salvage: Annotated[
        bool | None, typer.Option("--salvage", help="Take the whole frames before the damage of a DCD.")
    ] = None,
    expect_sha256: Annotated[
        Path | None,
        typer.Option("--expect-sha256", metavar="FILE", help="Sums that every input must have (sha256sum)."),
    ] = None,
    workers: options.Workers = None,
    dask: options.Dask = None,
) -> dict[str, Any]:
    """Read pulls, check them and store what the networks learn from, split by pull."""
    return {
        "trajectories": tuple(trajectories),
        "topology": top,
        "parameters": _tuple(params),
        "forcefield": forcefield,
        "select": select,
        "cv": cv,
        "stride": stride,
        "salvage": salvage,
        "expect_sha256": expect_sha256,
        "workers": workers,
        "dask": dask,
    }


@stage(TrainVaeConfig, "smdgen train-vae", "smdgen train-vae --preset paper --run paper-run", trains=True)
def train_vae(
    *,
    latent_size: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Numbers a frame is encoded in.")
    ] = None,
    energy_weight: Annotated[
        float | None, typer.Option(metavar="W", min=0.0, help="Weight of the TorchMD energy loss.")
    ] = None,
) -> dict[str, Any]:
    """Train the variational autoencoder: frames to latent vectors, with TorchMD energies in the loss."""
    return {"latent_size": latent_size, "energy_weight": energy_weight}


@stage(TrainLstmConfig, "smdgen train-lstm", "smdgen train-lstm --preset paper --run paper-run", trains=True)
def train_lstm() -> dict[str, Any]:
    """Train the LSTM that moves through the latent space, from one state of a pull to the next."""
    return {}


@stage(
    RolloutConfig,
    "smdgen rollout start.pdb --steps 10",
    "smdgen rollout start.pdb --steps 10 --to 30 --samples 8 --seed 1",
    "smdgen rollout start.pdb --schedule schedule.csv",
)
def rollout(
    start: Annotated[
        Path | None,
        typer.Argument(
            metavar="START", help="PDB, mmCIF, GRO or coordinates to start from; default: a held-out pull."
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="New frames; default: 10, or as the schedule says.")
    ] = None,
    to: Annotated[
        float | None, typer.Option("--to", metavar="VALUE", help="CV to end at; default: as the pulls go.")
    ] = None,
    schedule: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Table of step against CV to follow, in place of --to."),
    ] = None,
    samples: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Pulls to generate; default: 8.")
    ] = None,
    output: options.Output = None,
    device: options.Device = None,
) -> dict[str, Any]:
    """Generate new pulls from a start structure and write them for VMD and PyMOL.

    Without a trained run folder it uses the model shipped with smdgen, if the structure fits it.
    """
    return {
        "start": start,
        "steps": steps,
        "target": to,
        "schedule": schedule,
        "samples": samples,
        "output": output,
        "device": device,
    }


@stage(
    RelaxConfig,
    "smdgen relax start.pdb",
    "smdgen relax system.psf other-rollout --params par_all36m_prot.prm --params top_all36_prot.rtf",
)
def relax(
    start: Annotated[
        Path, typer.Argument(metavar="START", help="The start of the rollout, a file with all its atoms.")
    ],
    folder: Annotated[
        Path | None, typer.Argument(metavar="ROLLOUT", help="Folder of its pulls; default: that of the run.")
    ] = None,
    params: options.Parameters = None,
    forcefield: options.ForceField = None,
) -> dict[str, Any]:
    """Minimise each frame of a rollout in a full force field, with all atoms of the start.

    The generated atoms are tied to their positions. Writes into the folder of the rollout; its pulls stay as
    they are.
    """
    return {"start": start, "rollout": folder, "parameters": _tuple(params), "forcefield": forcefield}


@stage(AnalyzeConfig, "smdgen analyze", "smdgen analyze other.dcd --top other.pdb --output other-analysis")
def analyze(
    trajectories: Annotated[
        list[Path] | None, typer.Argument(metavar="TRAJECTORY", help="Default: the rollouts of the run.")
    ] = None,
    top: options.Topology = None,
    output: options.Output = None,
) -> dict[str, Any]:
    """Compare generated pulls with held-out ones: tables, figures, a report."""
    return {"trajectories": _tuple(trajectories), "topology": top, "output": output}


@app.command(
    epilog="Examples:\n\nsmdgen info traj.dcd system.psf\n\nsmdgen info smdgen-run --json",
)
def info(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE", help="Trajectory, structure, dataset, latents, model or run folder."),
    ],
    json: options.Json = False,
) -> int:
    """Say what is in files and run folders: counts, times, cells, where it came from, what comes next."""
    from smdgen.about.info import describe

    exit_code, found = 0, []
    for path in files:
        try:
            description = describe(path)
        except Exception as error:
            exit_code = max(exit_code, console.exit_code_of(error))
            found.append({"file": path, "error": str(error)})
            continue
        found.append(description.as_json())
        if not json:
            console.show_description(f"{path}: {description.kind}", description.summary(), description.hints)
    if json:
        console.show_json(found)
    return exit_code


@app.command(epilog="Examples:\n\nsmdgen check\n\nsmdgen check --json")
def check(json: options.Json = False) -> int:
    """Check the installation: packages, devices, a DCD round trip, energies against OpenMM, viewers."""
    with console.open_progress(quiet=json) as progress:
        from smdgen.about.check import run_checks

        checks = run_checks(progress)
    if json:
        console.show_json({item.name: {"state": item.state, "value": item.value} for item in checks})
    else:
        console.show_table([(item.name, f"{item.state}: {item.text}") for item in checks])
    return console.EXIT_FAILED if any(item.state == "failed" for item in checks) else 0


def _tuple(values: Sequence[Path] | None) -> tuple[Path, ...] | None:
    """None where nothing was given, so that a TOML file may say it."""
    return tuple(values) if values else None
