"""What is in a file that smdgen wrote: a dataset, latents, a model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smdgen.about.facts import Description, Fact, counts, fact, size, some, span, typed
from smdgen.dataset.dataset import Dataset, open_dataset
from smdgen.dataset.splits import SPLITS
from smdgen.geometry import cvs
from smdgen.geometry.atoms import residue_numbers
from smdgen.geometry.cvs import CollectiveVariable
from smdgen.io.structures.atoms import structure_from_json
from smdgen.store.headers import (
    AutoencoderHeader,
    CheckpointHeader,
    CriticScore,
    DynamicsHeader,
    header_of,
)
from smdgen.store.latents import read_latents
from smdgen.store.manifest import Manifest, read_manifest, taken_apart
from smdgen.store.sealed_hdf5 import written_by

_KINDS_OF_TERMS = ("bonds", "angles", "torsions", "impropers", "urey_bradley")
_HASH_SHOWN = 16  # of 64 digits


def describe_dataset(path: Path) -> Description:
    """Pulls, splits, atoms, CV, labels, terms and where all came from.

    Raises:
        ArtifactError: It is damaged.
    """
    dataset = open_dataset(path)
    made = dataset.provenance
    pulls: dict[str, int] = {split: len(dataset.of_split(split)) for split in SPLITS}
    frames = dict.fromkeys(pulls, 0)
    for pull in dataset.pulls:
        frames[pull.split] += pull.n_frames
    terms = {kind: len(getattr(dataset.terms, kind)) for kind in _KINDS_OF_TERMS}
    runs = dataset.trajectories
    times = [dataset.times_ps[own[-1].stop - 1] - dataset.times_ps[own[0].start] for own in runs]
    return Description(
        path,
        "dataset of smdgen",
        (
            size(path),
            *(
                [fact("trajectories", len(runs), f"{len(runs)}, split into blocks")]
                if dataset.has_blocks
                else []
            ),
            counts("blocks" if dataset.has_blocks else "pulls", pulls),
            counts("frames", frames),
            span("length of a pull", times, "ps"),
            _atoms(dataset),
            _cv(dataset.cv, dataset.cv_values),
            _known(dataset, "centre", dataset.centre),
            _known(dataset, "work", dataset.work),
            fact("label files", sorted(set(made.get("labels", {}).values()))),
            Fact("bonded terms", f"{dataset.terms.source}: {_listed(terms)}", terms),
            fact("atom hash", dataset.structure.atom_hash, dataset.structure.atom_hash[:_HASH_SHOWN]),
            fact("content hash", dataset.content_hash, dataset.content_hash[:_HASH_SHOWN]),
            *_provenance(made),
        ),
    )


def describe_latents(path: Path) -> Description:
    """Frames, latent size, the autoencoder they came from.

    Raises:
        ArtifactError: They are damaged.
    """
    latents = read_latents(path)
    n_frames, latent_size = latents.means.shape
    return Description(
        path,
        "latents of smdgen",
        (
            size(path),
            fact("frames", n_frames),
            fact("latent size", latent_size),
            span("latents", latents.means, ""),
            fact("autoencoder", latents.vae_hash, latents.vae_hash[:_HASH_SHOWN]),
            fact("written by", f"smdgen {written_by(path, 'latents')}"),
        ),
    )


def describe_model(path: Path) -> Description:
    """Preset, sizes, how it was trained, what it belongs to.

    Raises:
        ArtifactError: It is no model, or damaged.
    """
    manifest = read_manifest(path)
    describers: dict[str, Callable[[Manifest], Sequence[Fact]]]
    describers = {"vae": _vae, "lstm": _lstm, "checkpoint": _checkpoint}
    names = {
        "vae": "autoencoder of smdgen",
        "lstm": "LSTM of smdgen",
        "checkpoint": "checkpoint of a training",
    }
    with taken_apart(path):
        own = describers[manifest.kind](manifest) if manifest.kind in describers else ()
    n_weights = sum(
        int(np.prod(shape)) for name, shape in manifest.shapes.items() if name.startswith(("weights.", "w:"))
    )
    return Description(
        path,
        names.get(manifest.kind, f"model of kind {manifest.kind}"),
        (
            size(path),
            fact("weights", n_weights, f"{n_weights:,}"),
            *own,
            fact("content hash", manifest.sha256, manifest.sha256[:_HASH_SHOWN]),
            fact("written by", f"smdgen {manifest.version}"),
        ),
    )


def _vae(manifest: Manifest) -> Sequence[Fact]:
    header = header_of(manifest, AutoencoderHeader)
    structure = structure_from_json(header.structure)
    cv = cvs.from_dict(header.cv)
    n_residues = int(residue_numbers(structure).max()) + 1
    names = some(dict.fromkeys(structure.names.tolist()))
    atoms = {"modelled": structure.n_atoms, "residues": n_residues}
    error, reach = header.validation_rmsd_A, header.training_radius_A
    return (
        fact("preset", header.preset),
        fact("sizes", header.sizes, _listed(header.sizes)),
        fact("epochs", header.epochs),
        fact("reconstruction", error, f"{error:.3f} A RMSD of validation frames"),
        fact("reach", reach, f"{reach:.2f} A from a training frame, for validation frames"),
        fact("atoms", atoms, f"{structure.n_atoms} ({names}) of {n_residues} residues"),
        fact("CV", header.cv, f"{cv.name} ({cv.kind}, {cv.unit})"),
        fact("bonded terms", header.terms),
        fact("settings", header.settings, _listed(header.settings)),
        fact("dataset", header.content_hash, header.content_hash[:_HASH_SHOWN]),
    )


def _lstm(manifest: Manifest) -> Sequence[Fact]:
    header = header_of(manifest, DynamicsHeader)
    return (
        fact("preset", header.preset),
        fact("sizes", header.sizes, _listed(header.sizes)),
        fact("epochs", header.epochs),
        *_critic(header.critic),
        fact("length of a pull", header.duration_ps, f"{header.duration_ps:.4g} ps"),
        fact("settings", header.settings, _listed(header.settings)),
        fact("autoencoder", header.vae_sha256, header.vae_sha256[:_HASH_SHOWN]),
        fact("dataset", header.content_hash, header.content_hash[:_HASH_SHOWN]),
    )


def _critic(score: CriticScore | None) -> tuple[Fact, ...]:
    """How well the critic told sampled frames from true ones; nothing for a model without one."""
    if score is None:
        return ()
    said = f"AUC {score.auc:.2f} on validation pulls, learned from {score.n_samples:,} sampled frames"
    return (fact("critic", asdict(score), said),)


def _checkpoint(manifest: Manifest) -> Sequence[Fact]:
    header = header_of(manifest, CheckpointHeader)
    return (
        fact("training", header.trains),
        fact("preset", header.preset),
        fact("epochs", header.epoch),
        fact("validation loss of the kept weights", header.best_loss),
    )


def _atoms(dataset: Dataset) -> Fact:
    made = dataset.provenance
    value = {
        "modelled": dataset.structure.n_atoms,
        "topology": made.get("n_topology_atoms"),
        "selection": made.get("selection"),
    }
    return fact("atoms", value, f"{value['modelled']} of {value['topology']}  ({value['selection']})")


def _cv(cv: CollectiveVariable, values: NDArray[np.float64]) -> Fact:
    low, high = float(values.min()), float(values.max())
    value = {"name": cv.name, "kind": cv.kind, "unit": cv.unit, "least": low, "largest": high}
    return Fact("CV", f"{cv.name} ({cv.kind}): {low:.2f} to {high:.2f} {cv.unit}", value)


def _known(dataset: Dataset, label: str, values: NDArray[np.float64] | None) -> Fact:
    """In how many trajectories a label is known."""
    runs = dataset.trajectories
    n_known = 0 if values is None else sum(bool(np.isfinite(values[own[0].start])) for own in runs)
    return fact(label, n_known, f"known in {n_known} of {len(runs)} pulls")


def _provenance(made: Mapping[str, Any]) -> list[Fact]:
    inputs = made.get("inputs", {})
    hashes = {path: entry["sha256"] for path, entry in inputs.items()}
    return [
        fact("command", made.get("command", []), typed(made.get("command", []))),
        fact("written by", {"smdgen": made.get("smdgen"), **made.get("libraries", {})}),
        fact("inputs", hashes, some(f"{Path(path).name} {digest[:8]}" for path, digest in hashes.items())),
    ]


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in values.items())
