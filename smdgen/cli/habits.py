"""What users of other programs type, in the words of this one."""

import dataclasses
import difflib
import re
from collections.abc import Sequence
from typing import Any

from smdgen.config import STAGES, stage_name

#: Flags of this program by what others call them; of several, those that the command has.
_FLAGS = {
    "top": "psf pdb prmtop parm parm7 topology structure struct s tpr gro cif",
    "params": "par prm parameters toppar",
    "forcefield": "ff force-field",
    "select": "sel selection atoms",
    "cv": "colvar colvars collective-variable reaction-coordinate coordinate",
    "stride": "skip every",
    "from": "begin start start-centre b",
    "to": "target end stop e",
    "samples": "n num number count nsamples n-samples num-samples",
    "replicas": "n num number count nreplicas n-replicas pulls",
    "steps": "n nsteps n-steps num-steps length frames",
    "epochs": "n nepochs n-epochs",
    "frames": "nframes n-frames",
    "device": "gpu cuda cpu",
    "output": "out outdir out-dir output-dir dir folder",
    "run": "rundir run-dir workdir out outdir output output-dir o",
    "workers": "j jobs np nproc nprocs ncpus nworkers n-workers cores",
    "threads": "j nt ncpus cores",
    "force": "overwrite y yes",
    "temperature": "temp",
    "duration": "time ps length velocity speed steps nsteps n-steps num-steps",
    "spring": "k kappa spring-constant force-constant",
    "config": "c conf settings toml config-file",
    "version": "v",
    "quiet": "silent",
    "batch-size": "batch bs",
    "hidden-size": "hidden width",
    "latent-size": "latent latent-dim",
    "energy-weight": "energy",
    "resume": "restart continue append cpi",
    "seed": "random-seed",
    "dry-run": "dryrun test",
}
#: Words for what every command takes without a flag.
_FILES = (
    "f i in input dcd xtc trr nc traj trajectory trajectories psf pdb structure start s file files".split()
)
#: Flags that a command had, and what takes their place.
_MOVED_FLAGS = {
    ("rollout", "relax"): "a command of its own minimises the frames of a rollout: `smdgen relax START`",
    ("rollout", "params"): "parameter files are for `smdgen relax START --params FILE`",
}
#: Settings of a TOML file by what others call them.
_SETTINGS = {"lr": "learning_rate", "timestep": "timestep_fs", "dt": "timestep_fs", "kl": "kl_weight"}


def misread_word(command: Any, arguments: Sequence[str]) -> str:
    """What is wrong with a long word after a single dash, which would be read as `-t op`; empty if none is.

    Args:
        command: The group of all commands.
        arguments: What was typed.
    """
    name = next((word for word in arguments if word in command.commands), "")
    chosen = command.commands[name] if name else command
    short = {flag[1]: option for option in _options(chosen) for flag in option.opts if flag[1] != "-"}
    for word in arguments:
        if word == "--":
            break
        found = re.fullmatch(r"-([A-Za-z][\w-]+)(=.*)?", word)
        if not found or all(letter in short and short[letter].is_flag for letter in found[1]):
            continue
        advice = _meant(chosen, found[1], guess=found[1][0] not in short)
        if advice or found[1][0] not in short:
            dashed = advice or "long flags begin with two dashes"
            return f"-{found[1]} is not a flag of `{_path(name)}`; {dashed} ({_path(name)} --help)"
    return ""


def usage_message(error: Any) -> str:
    """What Typer says about a wrong flag or value, in plain words and with the flag that was meant."""
    flag = getattr(error, "option_name", None)
    context = getattr(error, "ctx", None)
    if flag and context is not None and type(error).__name__ == "NoSuchOption":
        advice = _meant(context.command, flag.lstrip("-"))
        return f"no flag {flag}" + (f"; {advice}" if advice else "")
    message = str(error.format_message()).rstrip(".")
    cause = error.__cause__
    problems = cause.errors() if hasattr(cause, "errors") else []
    return message.replace(error.message.rstrip("."), _plain(problems[0])) if problems else message


def _plain(problem: dict[str, Any]) -> str:
    """One of pydantic's findings, as Typer uses it to read values."""
    kind, found = problem["type"], problem["input"]
    if kind.startswith("int"):
        return f"expected a whole number, found {found!r}"
    if kind.startswith(("float", "finite")):
        return f"expected a number, found {found!r}"
    return str(problem["msg"]).removeprefix("Value error, ").rstrip(".")


def _meant(command: Any, word: str, *, guess: bool = True) -> str:
    """Advice on a flag that the command does not have; empty where nothing comes near."""
    word = word.lower().replace("_", "-")
    if moved := _MOVED_FLAGS.get((command.name, word)):
        return moved
    flags = [flag[2:] for option in _options(command) for flag in option.opts if flag.startswith("--")]
    known = [flag for flag in flags if word in _FLAGS.get(flag, "").split()]
    known = [word] if word in flags else known
    if not known and word in _FILES:
        names = [item.metavar or item.name.upper() for item in command.params if _is_argument(item)]
        if names:
            return f"{names[0].strip('[]').removesuffix('...')} is named without a flag"
    if not known and len(word) > 1:
        known = [flag for flag in flags if flag.startswith(word)]
    setting = _SETTINGS.get(word, word.replace("-", "_"))
    if not known and setting in _settings(command.name):
        return f"{setting} is a setting for a TOML file (--config)"
    if not known and guess:
        known = difflib.get_close_matches(word, flags, 2)
    return f"did you mean {' or '.join(f'--{flag}' for flag in known)}?" if known else ""


def _settings(command: str | None) -> list[str]:
    """The settings of a command that a TOML file may hold."""
    fields = [dataclasses.fields(kind) for kind in STAGES if stage_name(kind) == command]
    return [field.name for own in fields for field in own]


def _options(command: Any) -> list[Any]:
    return [item for item in command.params if not _is_argument(item)]


def _is_argument(item: Any) -> bool:
    return bool(item.param_type_name == "argument")


def _path(name: str) -> str:
    return f"smdgen {name}".strip()
