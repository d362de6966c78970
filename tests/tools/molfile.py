"""VMD's own file readers, driven through the copies that PyMOL's extension module holds.

So a test reads a file exactly as VMD's `mol new` and `mol addfile` would. The structures are those of
VMD's molfile_plugin.h.
"""

import contextlib
import ctypes
import importlib.util
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray


class _Plugin(ctypes.Structure):
    _fields_ = (
        ("abiversion", ctypes.c_int),
        *((name, ctypes.c_char_p) for name in ("type", "name", "prettyname", "author")),
        *((name, ctypes.c_int) for name in ("majorv", "minorv", "is_reentrant")),
        ("extension", ctypes.c_char_p),
        *((name, ctypes.c_void_p) for name in ("open", "structure", "bonds", "timestep", "close")),
    )


class _Atom(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_char * 16),
        ("type", ctypes.c_char * 16),
        ("residue_name", ctypes.c_char * 8),
        ("residue_id", ctypes.c_int),
        ("segment", ctypes.c_char * 8),
        *((name, ctypes.c_char * 2) for name in ("chain", "altloc", "insertion")),
        *((name, ctypes.c_float) for name in ("occupancy", "beta", "mass", "charge", "radius")),
        ("atomic_number", ctypes.c_int),
    )


class _Timestep(ctypes.Structure):
    _fields_ = (
        ("positions", ctypes.POINTER(ctypes.c_float)),
        ("velocities", ctypes.POINTER(ctypes.c_float)),
        *((name, ctypes.c_float) for name in ("a", "b", "c", "alpha", "beta", "gamma")),
        ("time", ctypes.c_double),
    )


@dataclass(frozen=True)
class VmdMolecule:
    """What VMD sees in a structure file."""

    atoms: list[dict[str, Any]]
    bonds: list[tuple[int, int]]  # 0-based


def read_structure_as_vmd(path: Path, kind: str) -> VmdMolecule:
    """Atoms and bonds as the plugin `kind` (psf, pdb, parm7) gives them to VMD."""
    plugin = _load(kind)
    with _quiet():
        handle, n_atoms = _open(plugin, path)
        atoms, flags = (_Atom * n_atoms)(), ctypes.c_int(0)
        read = _function(plugin.structure, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
        assert read(handle, ctypes.addressof(flags), ctypes.addressof(atoms)) == 0
        bonds = _read_bonds(plugin, handle) if plugin.bonds else []
        _function(plugin.close, ctypes.c_void_p)(handle)
    names = [field[0] for field in _Atom._fields_]
    return VmdMolecule([{name: _text(getattr(atom, name)) for name in names} for atom in atoms], bonds)


def read_frames_as_vmd(path: Path, kind: str = "dcd") -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """(n_frames, n_atoms, 3), A, and (n_frames, 6) cells as VMD would load them."""
    plugin = _load(kind)
    frames, cells = [], []
    with _quiet():
        handle, n_atoms = _open(plugin, path)
        read = _function(plugin.timestep, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)
        while True:
            positions = np.zeros((n_atoms, 3), np.float32)
            step = _Timestep(positions=positions.ctypes.data_as(ctypes.POINTER(ctypes.c_float)))
            if read(handle, n_atoms, ctypes.addressof(step)) != 0:
                break
            frames.append(positions)
            cells.append([getattr(step, name) for name in ("a", "b", "c", "alpha", "beta", "gamma")])
        _function(plugin.close, ctypes.c_void_p)(handle)
    return np.array(frames), np.array(cells)


def _load(kind: str) -> _Plugin:
    found = importlib.util.find_spec("pymol")
    if found is None or found.origin is None:
        pytest.skip("VMD's readers come with PyMOL, which is not installed")
    modules = sorted(Path(found.origin).parent.glob("_cmd*.so"))
    if not modules:
        pytest.skip("PyMOL's extension module is not a shared library here")
    library = ctypes.CDLL(str(modules[0]))
    plugins: list[Any] = []
    register = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(_Plugin))
    collect = register(lambda _, plugin: plugins.append(plugin) or 0)
    try:
        getattr(library, f"molfile_{kind}plugin_init")()
        getattr(library, f"molfile_{kind}plugin_register")(None, collect)
    except AttributeError:
        pytest.skip(f"PyMOL here has no {kind} plugin of VMD's")
    plugin: _Plugin = plugins[0].contents
    return plugin


def _function(address: int, *arguments: Any) -> Any:
    return ctypes.CFUNCTYPE(ctypes.c_int, *arguments)(address)


def _open(plugin: _Plugin, path: Path) -> tuple[int, int]:
    n_atoms = ctypes.c_int(0)
    opener = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)(plugin.open)
    handle = opener(str(path).encode(), plugin.name, ctypes.addressof(n_atoms))
    assert handle, f"VMD cannot open {path}"
    return handle, n_atoms.value


def _read_bonds(plugin: _Plugin, handle: int) -> list[tuple[int, int]]:
    count, n_types = ctypes.c_int(0), ctypes.c_int(0)
    first, second, types = (ctypes.POINTER(ctypes.c_int)() for _ in range(3))
    orders, names = ctypes.POINTER(ctypes.c_float)(), ctypes.c_void_p()
    outputs = (count, first, second, orders, types, n_types, names)
    read = _function(plugin.bonds, *[ctypes.c_void_p] * 8)
    assert read(handle, *(ctypes.addressof(output) for output in outputs)) == 0
    return [(first[i] - 1, second[i] - 1) for i in range(count.value)]


def _text(value: Any) -> Any:
    return value.decode("latin-1") if isinstance(value, bytes) else value


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the plugins print to C's stdout out of the test report."""
    sys.stdout.flush()
    with tempfile.TemporaryFile() as sink:
        kept = os.dup(1)
        os.dup2(sink.fileno(), 1)
        try:
            yield
        finally:
            ctypes.CDLL(None).fflush(None)
            os.dup2(kept, 1)
            os.close(kept)
