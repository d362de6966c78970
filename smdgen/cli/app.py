"""The commands in pipeline order: flags in, settings out; the stage of the same name does the work."""

import copy
import functools
import importlib
import inspect
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, get_args

import typer

import smdgen
from smdgen.about.settings import Setting, as_toml, settings_of
from smdgen.cli import console, habits, options
from smdgen.config import (
    STAGES,
    AnalyzeConfig,
    PrepareConfig,
    RelaxConfig,
    RolloutConfig,
    SimulateConfig,
    TrainLstmConfig,
    TrainVaeConfig,
    stage_name,
)
from smdgen.config_file import load_settings
from smdgen.errors import ConfigError
from smdgen.progress import Silent
from smdgen.training import distributed

app = typer.Typer(
    name="smdgen",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Commands share a run folder (--run, default smdgen-run), so you never have to repeat a path.",
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
    distributed.exit_process(main())


def stage(
    config_type: type[Any], *examples: str, run_folder: bool = True, trains: bool = False
) -> Callable[[Callable[..., None]], None]:
    """Make a command of a function whose parameters are settings, each with its flag.

    Only its signature and its docstring count: meaning and default of a flag come from the setting of the
    same name. The shared options are added. The stage's module is imported only when the command runs,
    because torch, ProDy, MDTraj and OpenMM cost seconds each.

    Args:
        config_type: The settings the stage takes; their name is the command's and the module's.
        *examples: Lines for the end of the command's help.
        run_folder: Whether it reads or writes the run folder.
        trains: Whether it trains a network, which some more options go with.
    """
    name, settings = stage_name(config_type), {item.name: item for item in settings_of(config_type)}
    left_out = {"seed", "force"} - settings.keys()
    if not run_folder:
        left_out.add("run")

    def register(flags: Callable[..., None]) -> None:
        functions: list[Any] = [flags, *([_training_options] if trains else []), _shared_options]
        parameters = [
            _with_help(item, settings)
            for function in functions
            for item in inspect.signature(function).parameters.values()
            if item.name not in left_out
        ]

        @functools.wraps(flags)
        def command(**values: Any) -> int:
            given = {key: _given(value) for key, value in values.items() if key in settings}
            config = load_settings(config_type, values["config"], **given)
            try:
                return _run_stage(name, config, values)
            except KeyboardInterrupt as error:  # here, because Typer drops what it says was kept
                return console.exit_code_of(error)

        command.__signature__ = inspect.Signature(parameters, return_annotation=int)  # type: ignore[attr-defined]
        epilog = "Examples:\n\n" + "\n\n".join(examples)
        app.command(name, epilog=epilog)(command)

    return register


def _with_help(parameter: inspect.Parameter, settings: Mapping[str, Setting]) -> inspect.Parameter:
    """A parameter whose flag tells meaning and default of its setting, if it is one."""
    if parameter.name not in settings:
        return parameter
    kind, flag = get_args(parameter.annotation)
    flag = copy.copy(flag)  # several commands share it
    flag.help = settings[parameter.name].help
    return parameter.replace(annotation=Annotated[kind, flag])


def _given(value: Any) -> Any:
    """A list as a tuple; None where nothing was given, so that a TOML file may say it."""
    return (tuple(value) or None) if isinstance(value, list) else value


def _shared_options(
    *,
    run: options.Run = options.RUN_FOLDER,
    config: options.ConfigFile = None,
    seed: options.Seed = None,
    force: options.Force = None,
    dry_run: options.DryRun = False,
    quiet: options.Quiet = False,
    json: options.Json = False,
) -> None:
    """What every command takes."""


def _training_options(
    *,
    preset: options.PresetOption = None,
    epochs: options.Number = None,
    batch_size: options.Number = None,
    hidden_size: options.Number = None,
    device: options.Device = None,
    threads: options.Number = None,
    quick: Annotated[bool | None, typer.Option("--quick")] = None,
    resume: Annotated[bool | None, typer.Option("--resume")] = None,
) -> None:
    """What both training commands take."""


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
    structure: Annotated[Path, typer.Argument(metavar="STRUCTURE")],
    coordinates: Annotated[Path | None, typer.Argument(metavar="COORDINATES")] = None,
    parameters: options.Parameters = None,
    forcefield: options.ForceField = None,
    pulled: Annotated[str | None, typer.Option("--cv", metavar="TEXT")] = None,
    start_centre: Annotated[float | None, typer.Option("--from", metavar="A")] = None,
    end_centre: Annotated[float | None, typer.Option("--to", metavar="A")] = None,
    duration_ps: Annotated[float | None, typer.Option("--duration", metavar="PS")] = None,
    spring_constant: Annotated[float | None, typer.Option("--spring", metavar="K")] = None,
    temperature: Annotated[float | None, typer.Option(metavar="K")] = None,
    solvent: Annotated[Literal["vacuum", "obc2"] | None, typer.Option(metavar="vacuum|obc2")] = None,
    replicas: options.Number = None,
    frames: options.Number = None,
    workers: options.Number = None,
    dask: options.Dask = None,
    output: options.Output = None,
) -> None:
    """Pull a structure with OpenMM: constant-velocity steered MD, one DCD and one Colvars log per pull.

    If pulls made with the same settings exist, continues with the first missing one.
    """


@stage(
    PrepareConfig,
    "smdgen prepare traj.dcd",
    'smdgen prepare pull_*.dcd --top system.psf --select "name N CA C O" '
    '--cv "d=distance(resid 1 and name CA; resid 10 and name CA)"',
)
def prepare(
    trajectories: Annotated[list[Path], typer.Argument(metavar="TRAJECTORY")],
    topology: options.Topology = None,
    parameters: options.Parameters = None,
    forcefield: options.ForceField = None,
    select: Annotated[str | None, typer.Option(metavar="TEXT")] = None,
    cv: Annotated[str | None, typer.Option(metavar="TEXT")] = None,
    stride: options.Number = None,
    salvage: Annotated[bool | None, typer.Option("--salvage")] = None,
    expect_sha256: Annotated[Path | None, typer.Option("--expect-sha256", metavar="FILE")] = None,
    workers: options.Number = None,
    dask: options.Dask = None,
) -> None:
    """Read pulls, check them and store what the networks learn from, split by pull."""


@stage(TrainVaeConfig, "smdgen train-vae", "smdgen train-vae --preset paper --run paper-run", trains=True)
def train_vae(
    *,
    latent_size: options.Number = None,
    energy_weight: Annotated[float | None, typer.Option(metavar="W")] = None,
) -> None:
    """Train the variational autoencoder: frames to latent vectors, with TorchMD energies in the loss."""


@stage(TrainLstmConfig, "smdgen train-lstm", "smdgen train-lstm --preset paper --run paper-run", trains=True)
def train_lstm() -> None:
    """Train the LSTM that moves through the latent space, from one state of a pull to the next."""


@stage(
    RolloutConfig,
    "smdgen rollout start.pdb --steps 10",
    "smdgen rollout start.pdb --steps 10 --to 30 --samples 8 --seed 1",
    "smdgen rollout start.pdb --schedule schedule.csv",
)
def rollout(
    start: Annotated[Path | None, typer.Argument(metavar="START")] = None,
    steps: options.Number = None,
    target: Annotated[float | None, typer.Option("--to", metavar="VALUE")] = None,
    schedule: Annotated[Path | None, typer.Option(metavar="FILE")] = None,
    samples: options.Number = None,
    output: options.Output = None,
    device: options.Device = None,
) -> None:
    """Generate new pulls from a start structure and write them for VMD and PyMOL.

    Without a trained run folder it uses the model shipped with smdgen, if the structure fits it.
    """


@stage(
    RelaxConfig,
    "smdgen relax start.pdb",
    "smdgen relax system.psf other-rollout --params par_all36m_prot.prm --params top_all36_prot.rtf",
)
def relax(
    start: Annotated[Path, typer.Argument(metavar="START")],
    rollout: Annotated[Path | None, typer.Argument(metavar="ROLLOUT")] = None,
    parameters: options.Parameters = None,
    forcefield: options.ForceField = None,
) -> None:
    """Minimise each frame of a rollout in a full force field, with all atoms of the start.

    The generated atoms are tied to their positions. Writes into the folder of the rollout; its pulls stay as
    they are.
    """


@stage(AnalyzeConfig, "smdgen analyze", "smdgen analyze other.dcd --top other.pdb --output other-analysis")
def analyze(
    trajectories: Annotated[list[Path] | None, typer.Argument(metavar="TRAJECTORY")] = None,
    topology: options.Topology = None,
    output: options.Output = None,
) -> None:
    """Compare generated pulls with held-out ones: tables, figures, a report."""


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


@app.command(
    "config", epilog="Examples:\n\nsmdgen config > settings.toml\n\nsmdgen config train-vae train-lstm"
)
def settings_file(
    commands: Annotated[
        list[str] | None,
        typer.Argument(metavar="COMMAND", help="Commands whose settings to print. Default: all."),
    ] = None,
) -> int:
    """Print a TOML file of all settings with their meanings and defaults, for --config."""
    stages = {stage_name(kind): kind for kind in STAGES}
    for name in commands or ():
        if name not in stages:
            raise ConfigError(f"{name} has no settings; expected {', '.join(stages)}")
    console.show_text(as_toml([stages[name] for name in commands or stages]))
    return 0
