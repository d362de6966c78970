"""PyMOL: the script that shows pulls in it, and pictures of frames when it is installed."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from smdgen.files import atomic_path
from smdgen.view.labels import cv_atoms, has_backbone, label_atoms

if TYPE_CHECKING:
    from smdgen.data.structure import Structure
    from smdgen.physics.cvs import CollectiveVariable

#: PyMOL's command for a value between so many atoms.
LABEL_COMMANDS = {2: "distance", 3: "angle", 4: "dihedral"}

#: Longer movies keep one assignment of helix and sheet: renewing it at every frame would make them stutter.
FRAMES_TO_REASSIGN = 300

_LOAD = """\
# Shows {what} in PyMOL:  pymol {script}
# Written by smdgen. Every path is taken from the folder of this file, so the folder can be moved.
python
import os, pymol
from pymol import cmd
here = os.path.dirname(os.path.abspath(getattr(pymol, "__script__", "")))
for name, trajectory in {objects!r}:
    cmd.load(os.path.normpath(os.path.join(here, {topology!r})), name)
    cmd.load_traj(os.path.normpath(os.path.join(here, trajectory)), name, state=1)
python end
"""

_STYLE = """\
# Turn every frame onto the first one of its pull, on the screen only.
{fits}
hide everything
{cartoon}show sticks
set stick_radius, 0.12
set cartoon_transparency, 0.15
util.cbag
set all_states, 0
bg_color white
set label_color, black
set dash_color, orange
set ray_opaque_background, 1
{labels}
# The view fits every frame: with state=1 the stretched ones would be cut off.
orient all, state=0
zoom all, 2, state=0, complete=1

mset 1 -{n_frames}
set movie_fps, 5
{reassign}frame 1
{hidden}python
print("smdgen: {help_what} Play with the arrow at the bottom right. Click a name to show or hide it.")
python end
"""


def write_view_pml(
    path: Path,
    structure_file: Path,
    trajectories: Sequence[Path],
    cv: "CollectiveVariable | None",
    atom_names: Sequence[str],
    n_frames: int,
) -> None:
    """Write a PyMOL script that loads pulls, each as one object, and labels the collective variable.

    Args:
        path: The script. Other paths are written relative to its folder.
        structure_file: PDB of the atoms in the trajectories.
        trajectories: DCD files of those atoms, one a pull.
        cv: Atoms are 0-based in the structure file; None for no label.
        atom_names: (n_atoms,), names in the structure file, which decide how the model is drawn.
        n_frames: Frames of the longest pull.
    """
    folder = path.parent
    names = _object_names(trajectories)
    objects = [
        (name, _relative(trajectory, folder)) for name, trajectory in zip(names, trajectories, strict=True)
    ]
    what = f"{len(names)} pull{'s' * (len(names) > 1)} of {n_frames} frames"
    cartoon = has_backbone(atom_names)
    load = _LOAD.format(
        what=what, script=path.name, objects=objects, topology=_relative(structure_file, folder)
    )
    style = _STYLE.format(
        fits="\n".join(f"intra_fit {name}, 1" for name in names),
        cartoon="show cartoon\n" if cartoon else "",
        labels=_labels(names, cv, len(atom_names)),
        n_frames=n_frames,
        reassign=_reassign(n_frames) if cartoon and n_frames <= FRAMES_TO_REASSIGN else "",
        hidden="".join(f"disable {name}\n" for name in names[1:]) + _hidden_labels(names, cv),
        help_what=f"{what}.",
    )
    with atomic_path(path) as temporary:
        temporary.write_text(load + style, encoding="utf-8")


def render_frames(
    structure: "Structure", positions: NDArray[np.floating], width: int = 240, max_height: int = 720
) -> list[NDArray[np.float32]] | None:
    """Ray-traced pictures of frames, all from the same side and at the same scale.

    Args:
        structure: The atoms of the frames, with their bonds.
        positions: (n_frames, n_atoms, 3), A. Centred, and turned as they are to be seen: x to the
            right, y up.
        width: Of a picture, pixels.
        max_height: Of a picture, pixels; less if the frames need less.

    Returns:
        (height, width, 4) from 0 to 1, one a frame; None when PyMOL is not installed or drew nothing.
    """
    command = _command()
    if command is None:
        return None
    from matplotlib.image import imread

    from smdgen.data.structure import write_pdb

    half = np.abs(positions[..., :2]).max(axis=(0, 1)) + 2.0  # A, with room for the sticks
    height = int(min(max(width * half[1] / half[0], width / 2), max_height))
    half_height = max(float(half[1]), float(half[0]) * height / width)
    with tempfile.TemporaryDirectory(prefix="smdgen-") as name:
        folder = Path(name)
        for i, frame in enumerate(positions):
            write_pdb(folder / f"{i}.pdb", structure, frame)
        _add_bonds(folder / "0.pdb", structure)
        script = _render_script(len(positions), width, height, half_height, float(np.abs(positions).max()))
        (folder / "render.pml").write_text(script, encoding="utf-8")
        try:
            subprocess.run(
                [*command, "-cq", "render.pml"], cwd=folder, timeout=60 + 5 * len(positions),
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
            )  # fmt: skip
            # Its exit status is 0 even after errors, so only the pictures tell.
            return [np.asarray(imread(folder / f"{i}.png"), np.float32) for i in range(len(positions))]
        except (OSError, subprocess.TimeoutExpired):
            return None


def _command() -> list[str] | None:
    if importlib.util.find_spec("pymol") is not None:
        return [sys.executable, "-m", "pymol"]
    found = shutil.which("pymol")
    return None if found is None else [found]


def _add_bonds(pdb: Path, structure: "Structure") -> None:
    """The real bonds, so that none is guessed from the distances of a broken frame."""
    lines = [f"CONECT{i + 1:5d}{j + 1:5d}" for i, j in structure.bonds.tolist() if j < 99_999]
    text = pdb.read_text(encoding="latin-1").removesuffix("END\n")
    pdb.write_text("\n".join([text.rstrip("\n"), *lines, "END"]) + "\n", encoding="latin-1")


def _render_script(n_frames: int, width: int, height: int, half_height: float, reach: float) -> str:
    """All frames as states of one object, so that they share the bonds of the first one and the camera.

    The camera looks along -z at the origin from where `half_height` (A) just fits.
    """
    far = half_height / np.tan(np.radians(10.0))  # PyMOL's field of view is 20 degrees high
    view = [1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, -far, 0, 0, 0, far - reach - 5, far + reach + 5, -20]
    lines = ["set connect_mode, 1"]
    lines += [f"load {i}.pdb, frames, state={i + 1}" for i in range(n_frames)]
    lines += [
        "hide everything", "show cartoon", "show sticks", "set stick_radius, 0.18",
        "util.cbag", "color grey60, elem C", "set cartoon_color, skyblue", "set cartoon_transparency, 0.2",
        "bg_color white", "set ray_opaque_background, 1", "set ray_shadows, 0", "set depth_cue, 0",
        f"viewport {width}, {height}", f"set_view ({', '.join(f'{number:.4f}' for number in view)})",
    ]  # fmt: skip
    for i in range(n_frames):
        lines += [
            f"dss frames, state={i + 1}", f"frame {i + 1}",
            f"png {i}.png, width={width}, height={height}, ray=1",
        ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _object_names(trajectories: Sequence[Path]) -> list[str]:
    """Names PyMOL takes as they are, no two alike, none of its own words."""
    names: list[str] = []
    for trajectory in trajectories:
        name = re.sub(r"[^A-Za-z0-9_]", "_", trajectory.stem)
        name = name if name.startswith("pull") else f"pull_{name}"
        names.append(name if name not in names else f"{name}_{len(names)}")
    return names


def _relative(target: Path, folder: Path) -> str:
    return Path(os.path.relpath(target.absolute(), folder.absolute())).as_posix()


def _labels(names: Sequence[str], cv: "CollectiveVariable | None", n_atoms: int) -> str:
    """The collective variable's own atoms by rank, which is the 0-based order of the file."""
    if cv is None:
        return ""
    lines = []
    marked = "+".join(map(str, cv_atoms(cv, n_atoms)))
    if marked:
        lines += [f"show spheres, rank {marked}", "set sphere_scale, 0.3", f"color orange, rank {marked}"]
    atoms = label_atoms(cv)
    for name in names if atoms else ():
        chosen = ", ".join(f"{name} and rank {atom}" for atom in atoms)
        lines.append(f"{LABEL_COMMANDS[len(atoms)]} {_label_name(name, cv)}, {chosen}")
    return "".join(f"{line}\n" for line in lines)


def _hidden_labels(names: Sequence[str], cv: "CollectiveVariable | None") -> str:
    if cv is None or not label_atoms(cv):
        return ""
    return "".join(f"disable {_label_name(name, cv)}\n" for name in names[1:])


def _label_name(name: str, cv: "CollectiveVariable") -> str:
    return f"{cv.name}_of_{name}"


def _reassign(n_frames: int) -> str:
    return (
        "# Helix and sheet are assigned anew at every frame.\n"
        f"python\nfor state in range(1, {n_frames} + 1):\n"
        '    cmd.mdo(state, "dss all, state=%d" % state)\npython end\n'
    )
