"""The dataset of a run: pulls of the modelled atoms with their CV, in one H5MD file."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from smdgen import __version__
from smdgen.dataset.splits import SPLITS, Split
from smdgen.errors import ArtifactError
from smdgen.forcefield.bonded_terms import Terms, terms_from_arrays, terms_to_arrays
from smdgen.geometry import cvs
from smdgen.geometry.cvs import CollectiveVariable
from smdgen.io.structures.atoms import Structure, structure_from_json, structure_to_json
from smdgen.store.sealed_hdf5 import create_sealed, open_sealed, read_seal

KIND = "dataset"
_TRAJECTORY = "particles/trajectory"
_OWN = "smdgen"
_DATASET_MARGIN = 1 << 20  # bytes, for the headers of HDF5


@dataclass(frozen=True)
class Pull:
    """One pull: frames `start` to `stop` (exclusive) of the store."""

    name: str
    start: int
    stop: int
    split: Split
    source: str

    @property
    def n_frames(self) -> int:
        """Number of frames."""
        return self.stop - self.start


@dataclass(frozen=True)
class Dataset:
    """An open dataset; positions stay on disk until they are asked for.

    Per-frame arrays have shape (n_frames,); `centre` and `work` are NaN in pulls that have none.
    """

    path: Path
    structure: Structure
    terms: Terms
    cv: CollectiveVariable
    pulls: tuple[Pull, ...]
    times_ps: NDArray[np.float64]  # as the trajectory has it
    cv_values: NDArray[np.float64]  # the CV's own unit
    centre: NDArray[np.float64] | None  # the CV's own unit
    work: NDArray[np.float64] | None  # kcal/mol
    content_hash: str
    provenance: dict[str, Any]
    _seal: bytes
    _offset: int

    @property
    def n_frames(self) -> int:
        """Number of frames of all pulls."""
        return len(self.times_ps)

    def of_split(self, split: Split) -> tuple[Pull, ...]:
        """The pulls of one split."""
        return tuple(pull for pull in self.pulls if pull.split == split)

    def is_block(self, pull: Pull) -> bool:
        """Whether a pull is one of several blocks of a trajectory, and so covers a part of the way only."""
        return bool(pull.source) and sum(other.source == pull.source for other in self.pulls) > 1

    @property
    def has_blocks(self) -> bool:
        """Whether any pull is such a block."""
        return any(map(self.is_block, self.pulls))

    @property
    def trajectories(self) -> tuple[tuple[Pull, ...], ...]:
        """Pulls as they were simulated: blocks of one trajectory together, in the order of its frames."""
        found: dict[str, list[Pull]] = {}
        for number, pull in enumerate(self.pulls):
            found.setdefault(pull.source or str(number), []).append(pull)
        return tuple(tuple(sorted(own, key=lambda pull: pull.start)) for own in found.values())

    def positions(self, frames: slice | NDArray[np.int64] | Pull | None = None) -> NDArray[np.float32]:
        """Positions of some frames, read from the file now.

        Args:
            frames: A slice, (n,) indices in any order, a pull, or None for all.

        Returns:
            (n, n_atoms, 3), A.

        Raises:
            ArtifactError: The file was replaced or changed since it was opened, or holds no numbers there.
        """
        indices = self._indices(frames)
        if read_seal(self.path, KIND) != self._seal:
            raise ArtifactError(f"{self.path} was replaced while it was in use; run the command again")
        out = np.empty((len(indices), self.structure.n_atoms, 3), dtype="<f4")
        frame_size = out.itemsize * 3 * self.structure.n_atoms
        with self.path.open("rb", buffering=0) as stream:
            for first, last in _runs(indices):
                stream.seek(self._offset + int(indices[first]) * frame_size)
                _fill(stream, out[first:last], self.path)
        if not np.isfinite(out).all():
            raise ArtifactError(
                f"{self.path} has positions that are not numbers (NaN), which `smdgen prepare` never writes; "
                "run it again"
            )
        return out

    def _indices(self, frames: slice | NDArray[np.int64] | Pull | None) -> NDArray[np.int64]:
        every = np.arange(self.n_frames)
        if isinstance(frames, Pull):
            return every[frames.start : frames.stop]
        chosen: NDArray[np.int64] = every if frames is None else every[frames]
        return chosen


class DatasetWriter:
    """Takes positions chunk by chunk, then everything else; see `create_dataset`."""

    def __init__(self, file: h5py.File, n_frames: int, structure: Structure) -> None:
        """Lay out the file."""
        self._file = file
        self._n_frames = n_frames
        self._structure = structure
        self._filled = 0
        self._digest = hashlib.sha256()
        file.attrs["kind"] = KIND
        _write_h5md_header(file)
        shape = (n_frames, structure.n_atoms, 3)
        self._positions = file.create_dataset(f"{_TRAJECTORY}/position/value", shape, "<f4")
        self._positions.attrs["unit"] = "Angstrom"

    def append(self, positions: NDArray[np.float32]) -> None:
        """Add frames: (n, n_atoms, 3), A."""
        chunk = np.ascontiguousarray(positions, dtype="<f4")
        assert chunk.shape[1:] == self._positions.shape[1:], "positions of other atoms"
        self._positions[self._filled : self._filled + len(chunk)] = chunk
        self._digest.update(chunk.tobytes())
        self._filled += len(chunk)

    def finish(
        self,
        *,
        terms: Terms,
        cv: CollectiveVariable,
        pulls: Sequence[Pull],
        times_ps: NDArray[np.float64],
        cv_values: NDArray[np.float64],
        centre: NDArray[np.float64] | None = None,
        work: NDArray[np.float64] | None = None,
        provenance: Mapping[str, Any] | None = None,
    ) -> None:
        """Write all but the positions; arguments as the fields of `Dataset`."""
        assert self._filled == self._n_frames, f"{self._filled} frames given, {self._n_frames} announced"
        assert [pull.start for pull in pulls] == [0, *(pull.stop for pull in pulls[:-1])]
        assert pulls[-1].stop == self._n_frames, "pulls that do not cover the frames"
        steps = np.concatenate([np.arange(pull.n_frames) for pull in pulls])
        _write_axes(self._file, self._n_frames, steps, np.asarray(times_ps, "<f8"))
        columns = {"cv": cv_values, "centre": centre, "work": work}
        units = {"cv": cv.unit, "centre": cv.unit, "work": "kcal mol-1"}
        for name, values in columns.items():
            if values is not None:
                assert values.shape == (self._n_frames,), name
                _write_observable(self._file, name, values, units[name])
        own = self._file.create_group(_OWN)
        _write_text(own, "structure", structure_to_json(self._structure))
        _write_text(own, "cv", json.dumps(cvs.to_dict(cv), sort_keys=True))
        _write_text(own, "pulls", json.dumps([asdict(pull) for pull in pulls]))
        for name, array in terms_to_arrays(terms).items():
            own[f"terms/{name}"] = array
        own.attrs["atom_hash"] = self._structure.atom_hash
        own.attrs["content_sha256"] = _content_hash(self._file, self._digest.hexdigest())
        _write_text(own, "provenance", json.dumps(dict(provenance or {}), sort_keys=True))


@contextmanager
def create_dataset(path: Path, n_frames: int, n_pulls: int, structure: Structure) -> Iterator[DatasetWriter]:
    """A writer whose file appears at `path`, whole, when the block ends well.

    Args:
        path: The file.
        n_frames: Frames of all pulls.
        n_pulls: Number of pulls; with `n_frames` it says how much disk space is taken at once.
        structure: The modelled atoms.

    Raises:
        ArtifactError: The disk is full or the folder cannot be written to.
    """
    per_frame = structure.n_atoms * 3 * 4 + 6 * 8
    text = len(structure_to_json(structure).encode())
    reserve = n_frames * per_frame + 4 * text + n_pulls * 4096 + _DATASET_MARGIN
    with create_sealed(path, KIND, reserve) as file:
        yield DatasetWriter(file, n_frames, structure)


def write_dataset(
    path: Path,
    *,
    structure: Structure,
    positions: NDArray[np.float32],
    pulls: Sequence[Pull],
    **more: Any,
) -> None:
    """Write a dataset from arrays in memory; `more` as `DatasetWriter.finish` takes it.

    Raises:
        ArtifactError: The disk is full or the folder cannot be written to.
    """
    with create_dataset(path, len(positions), len(pulls), structure) as writer:
        writer.append(positions)
        writer.finish(pulls=pulls, **more)


def open_dataset(path: Path) -> Dataset:
    """Open a dataset; its checksum is checked, and all but the positions is read.

    Raises:
        ArtifactError: Missing, not a dataset, damaged, or newer than this program.
    """
    seal = read_seal(path, KIND)
    with open_sealed(path, KIND) as file:
        stored = file[f"{_TRAJECTORY}/position/value"]
        own = file[_OWN]
        dataset = Dataset(
            path=Path(path),
            structure=structure_from_json(_read_text(own, "structure")),
            terms=terms_from_arrays({name: item[()] for name, item in own["terms"].items()}),
            cv=cvs.from_dict(json.loads(_read_text(own, "cv"))),
            pulls=tuple(Pull(**entry) for entry in json.loads(_read_text(own, "pulls"))),
            times_ps=file[f"{_TRAJECTORY}/position/time"][:],
            cv_values=file["observables/cv/value"][:],
            centre=_read_observable(file, "centre"),
            work=_read_observable(file, "work"),
            content_hash=str(own.attrs["content_sha256"]),
            provenance=json.loads(_read_text(own, "provenance")),
            _seal=seal,
            _offset=stored.id.get_offset() or 0,
        )
        whole = stored.shape == (dataset.n_frames, dataset.structure.n_atoms, 3) and stored.dtype == "<f4"
        if not whole or not dataset._offset or not _fits(dataset):
            raise ArtifactError(
                f"{path}: its parts do not fit each other; run `smdgen prepare` again, with --force"
            )
    return dataset


def _fits(dataset: Dataset) -> bool:
    """Whether labels, pulls and CV are those of as many frames and atoms."""
    n_frames, n_atoms = dataset.n_frames, dataset.structure.n_atoms
    labels = [dataset.times_ps, dataset.cv_values, dataset.centre, dataset.work]
    return (
        all(x is None or (x.shape == (n_frames,) and x.dtype.kind == "f") for x in labels)
        and bool(np.isfinite(dataset.times_ps).all() and np.isfinite(dataset.cv_values).all())
        and len(dataset.pulls) > 0
        and all(0 <= pull.start < pull.stop <= n_frames and pull.split in SPLITS for pull in dataset.pulls)
        and all((np.diff(dataset.times_ps[pull.start : pull.stop]) > 0).all() for pull in dataset.pulls)
        and all(0 <= atom < n_atoms for group in dataset.cv.groups for atom in group)
        and isinstance(dataset.provenance, dict)
    )


def _runs(indices: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Ranges of `indices` that are neighbours on disk: first and last + 1."""
    if len(indices):
        breaks = (np.flatnonzero(np.diff(indices) != 1) + 1).tolist()
        yield from zip([0, *breaks], [*breaks, len(indices)], strict=True)


def _fill(stream: Any, out: NDArray[np.float32], path: Path) -> None:
    view = memoryview(out.reshape(-1).data).cast("B")
    while len(view):
        n_read = stream.readinto(view)
        if not n_read:
            raise ArtifactError(f"{path} was cut short while it was in use; run the command again")
        view = view[n_read:]


def _write_h5md_header(file: h5py.File) -> None:
    """The H5MD groups that say who wrote the file. Source: H5MD 1.1, www.nongnu.org/h5md."""
    header = file.create_group("h5md")
    header.attrs["version"] = np.array([1, 1], dtype="<i4")
    header.create_group("author").attrs["name"] = "smdgen user"
    creator = header.create_group("creator")
    creator.attrs["name"] = "smdgen"
    creator.attrs["version"] = __version__
    box = file.create_group(f"{_TRAJECTORY}/box")
    box.attrs["dimension"] = 3
    box.attrs["boundary"] = ["none", "none", "none"]


def _write_axes(
    file: h5py.File, n_frames: int, steps: NDArray[np.int64], times_ps: NDArray[np.float64]
) -> None:
    """Step (frame within the pull) and time of the positions, shared with the observables."""
    group = file[f"{_TRAJECTORY}/position"]
    assert times_ps.shape == (n_frames,)
    group["step"] = steps.astype("<i8")
    group["time"] = times_ps
    group["time"].attrs["unit"] = "ps"


def _write_observable(file: h5py.File, name: str, values: NDArray[np.float64], unit: str) -> None:
    group = file.create_group(f"observables/{name}")
    position = file[f"{_TRAJECTORY}/position"]
    group["value"] = np.asarray(values, "<f8")
    group["value"].attrs["unit"] = unit
    group["step"] = position["step"][:]
    group["time"] = position["time"][:]
    group["time"].attrs["unit"] = "ps"


def _read_observable(file: h5py.File, name: str) -> NDArray[np.float64] | None:
    path = f"observables/{name}/value"
    return file[path][:] if path in file else None


def _write_text(group: h5py.Group, name: str, text: str) -> None:
    content = text.encode("utf-8")
    group.create_dataset(name, data=np.bytes_(content), dtype=h5py.string_dtype("utf-8", len(content) or 1))


def _read_text(group: h5py.Group, name: str) -> str:
    content: bytes = group[name][()]
    return content.decode("utf-8")


def _content_hash(file: h5py.File, positions_hash: str) -> str:
    """SHA-256 over every dataset's name, type, shape and bytes: what a model learned from.

    The versions, the command line and the paths the pulls were read from are left out, so that the same
    data give the same hash wherever they lie.
    """
    digest = hashlib.sha256(positions_hash.encode())

    def add(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.shape and len(item.shape) == 3:
            return  # the positions, hashed as they came
        if isinstance(item, h5py.Dataset) and name == f"{_OWN}/pulls":
            pulls = [{**pull, "source": ""} for pull in json.loads(item[()])]
            digest.update(f"\n{name} {json.dumps(pulls, sort_keys=True)}\n".encode())
        elif isinstance(item, h5py.Dataset):
            digest.update(f"\n{name} {item.dtype.str} {item.shape}\n".encode())
            digest.update(np.asarray(item[()]).tobytes())

    file.visititems(add)
    return digest.hexdigest()
