"""Which steps of a run folder are done, whether they belong together, and what comes next."""

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smdgen.about.facts import Description, Fact, fact, size, typed
from smdgen.dataset.dataset import open_dataset
from smdgen.dataset.splits import SPLITS
from smdgen.errors import ArtifactError, ConfigError
from smdgen.files import read_json, sha256_file
from smdgen.store.checkpoints import Unfinished, checkpoint_of, is_finished, unfinished
from smdgen.store.headers import AutoencoderHeader, DynamicsHeader, header_of
from smdgen.store.latents import read_latents
from smdgen.store.manifest import read_manifest
from smdgen.store.run_record import RunFolder

#: Steps in order, and what is typed for each in a fresh folder.
_STEPS = {
    "prepare": "prepare TRAJECTORY...",
    "train-vae": "train-vae",
    "train-lstm": "train-lstm",
    "rollout": "rollout --steps 10",
    "analyze": "analyze",
}

#: What is read of an entry of record.json.
_ENTRY = {"command", "argv", "version", "when", "seconds", "inputs"}


@dataclass(frozen=True)
class _State:
    """How far one step is."""

    word: str  # "done", "stopped", "not done", "out of date", "damaged"
    text: str


_NOT_DONE = _State("not done", "")


def describe_run(path: Path) -> Description:
    """The steps of a run folder.

    Raises:
        ConfigError: The folder holds nothing of a run.
    """
    folder = RunFolder(path)
    files = (folder.dataset, folder.vae, folder.latents, folder.lstm, folder.record_file, folder.rollout)
    if not any(file.exists() for file in files):
        raise ConfigError(
            f"{path} is a folder without any file of a run; name a run folder, or the files in it"
        )
    is_busy = folder.is_locked()
    stopped = {} if is_busy else _stopped(folder)
    states = _states(folder, stopped)
    own = [entry for entry in folder.entries() if entry.keys() >= _ENTRY and "elsewhere" not in entry]
    last = {entry["command"]: entry for entry in own}
    steps = tuple(_step(name, states[name], last.get(name)) for name in _STEPS)
    following = next((name for name in _STEPS if states[name].word != "done"), None)
    hints: tuple[str, ...] = ()
    if following in stopped:
        hints = (_resuming(folder, following, stopped[following]),)
    elif following is not None:
        force = "" if states[following] is _NOT_DONE else " --force"
        hints = (folder.next_command(_STEPS[following] + force),)
    if is_busy:
        hints = ()
    notes = ["another smdgen command is writing to it now"] * is_busy
    notes += ["record.json is damaged"] if folder.record_file.exists() and not last else []
    checkpoints = [model.stem for model in (folder.vae, folder.lstm) if checkpoint_of(model).exists()]
    notes += [
        f"{name} was stopped after {found.text}: `{_resuming(folder, name, found)}` continues"
        for name, found in stopped.items()
    ]
    return Description(
        path,
        "run folder of smdgen",
        (size(path), *steps, fact("checkpoints", checkpoints)),
        tuple(notes),
        hints,
    )


def _states(folder: RunFolder, stopped: Iterable[str]) -> dict[str, _State]:
    """The state of every step; a network that a stopped training left is "stopped", not "done"."""
    states = dict.fromkeys(_STEPS, _NOT_DONE)
    for name, state in _checked(folder):
        model = {"train-vae": folder.vae, "train-lstm": folder.lstm}.get(name)
        is_partial = name in stopped and model is not None and not is_finished(model)
        states[name] = _State("stopped", state.text) if is_partial and state.word == "done" else state
    return states


def _checked(folder: RunFolder) -> Iterator[tuple[str, _State]]:
    """The state of every step of which there are files, in order."""
    dataset_hash = vae_hash = None
    if folder.dataset.exists():
        state, dataset_hash = _guarded(_dataset, folder)
        yield "prepare", state
    if folder.vae.exists() or folder.latents.exists():
        state, vae_hash = _guarded(_autoencoder, folder, dataset_hash)
        yield "train-vae", state
    if folder.lstm.exists():
        state, _ = _guarded(_lstm, folder, vae_hash)
        yield "train-lstm", state
    rollouts = sorted(folder.rollout.glob("pull_*.dcd"))
    if rollouts:
        stale = _is_of_others(folder.rollout / "rollout.json", "models", [folder.vae, folder.lstm])
        text = f"{len(rollouts)} pulls" + ("; the networks are newer" if stale else "")
        yield "rollout", _State("out of date" if stale else "done", text)
    if (folder.analysis / "report.json").exists():
        stale = not rollouts or _is_of_others(folder.analysis / "report.json", "trajectories", rollouts)
        text = "it is of other pulls than those in rollout" if stale else str(folder.analysis / "report.md")
        yield "analyze", _State("out of date" if stale else "done", text)


def _stopped(folder: RunFolder) -> dict[str, Unfinished]:
    """Trainings that were stopped and can be continued, by command."""
    found = {"train-vae": unfinished(folder.vae), "train-lstm": unfinished(folder.lstm)}
    sources = {"train-vae": _dataset, "train-lstm": _autoencoder}
    return {
        name: state
        for name, state in found.items()
        if state is not None and _guarded(sources[name], folder)[1] == state.made_from
    }


def _resuming(folder: RunFolder, name: str, stopped: Unfinished) -> str:
    """The line that continues a training: as it was typed, where that is known."""
    typed_line = shlex.join(stopped.command) if name in stopped.command else folder.next_command(name)
    return f"{typed_line} --resume"


def _guarded(look: Any, folder: RunFolder, *made_from: str | None) -> tuple[_State, str | None]:
    """State and content hash of a step; a damaged file is its state."""
    try:
        found: tuple[_State, str | None] = look(folder, *made_from)
    except ArtifactError as error:
        return _State("damaged", str(error)), None
    return found


def _dataset(folder: RunFolder) -> tuple[_State, str]:
    dataset = open_dataset(folder.dataset)
    counts = ", ".join(f"{len(dataset.of_split(split))} {split}" for split in SPLITS)
    n_runs = len(dataset.trajectories)
    pulls = f"{n_runs} pull{'s' * (n_runs > 1)}" + f" in {len(dataset.pulls)} blocks" * dataset.has_blocks
    text = f"{pulls} ({counts}), {dataset.n_frames} frames, {dataset.structure.n_atoms} atoms"
    return _State("done", text), dataset.content_hash


def _autoencoder(folder: RunFolder, dataset_hash: str | None = None) -> tuple[_State, str]:
    manifest = read_manifest(folder.require(folder.vae, "train-vae"))
    latents = read_latents(folder.require(folder.latents, "train-vae"))
    header = header_of(manifest, AutoencoderHeader)
    text = f"preset {header.preset}, {_epochs(header)}, reconstruction {header.validation_rmsd_A:.3f} A"
    if latents.vae_hash != manifest.sha256:
        return _State("out of date", f"{text}; latents.h5 is of another autoencoder"), manifest.sha256
    if header.content_hash != dataset_hash:
        return _State("out of date", f"{text}; it was trained on another dataset.h5"), manifest.sha256
    return _State("done", text), manifest.sha256


def _lstm(folder: RunFolder, vae_hash: str | None) -> tuple[_State, str]:
    manifest = read_manifest(folder.lstm)
    header = header_of(manifest, DynamicsHeader)
    text = f"preset {header.preset}, {_epochs(header)}, pulls of {header.duration_ps:.4g} ps"
    if header.vae_sha256 != vae_hash:
        return _State("out of date", f"{text}; it was trained on another vae.safetensors"), manifest.sha256
    return _State("done", text), manifest.sha256


def _epochs(header: AutoencoderHeader | DynamicsHeader) -> str:
    """`40 epochs`, or `2 of 40 epochs` of a training that was stopped."""
    epochs, asked = header.epochs, header.settings.get("epochs", 0)
    return f"{epochs} of {asked:g} epochs" if epochs < asked else f"{epochs} epochs"


def _is_of_others(report: Path, inputs: str, files: list[Path]) -> bool:
    """Whether results were made from other files than these; their own report says from which.

    Args:
        report: A JSON file beside the results.
        inputs: Its entry with SHA-256 by name.
        files: What they should have been made from.
    """
    found = read_json(report)
    made_from = found.get(inputs) if isinstance(found, dict) else None
    now = {file.name: sha256_file(file) for file in files if file.is_file()}
    return isinstance(made_from, dict) and made_from != now and bool(now)


def _step(name: str, state: _State, entry: dict[str, Any] | None) -> Fact:
    text = f"{state.word}: {state.text}" if state.text else state.word
    value = {"state": state.word, "what": state.text}
    if entry is not None:
        text += f"\n{entry['when']}, {entry['seconds']:.1f} s, smdgen {entry['version']}: "
        text += typed(entry["argv"])
        value |= {key: entry[key] for key in ("argv", "version", "when", "seconds", "inputs")}
    return Fact(name, text, value)
