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
from smdgen.view.labels import (
    CENTRES_FILE,
    MOST_STICKS,
    centres_file,
    has_backbone,
    has_centres,
    has_label,
    label_atoms,
)

if TYPE_CHECKING:
    from smdgen.geometry.cvs import CollectiveVariable
    from smdgen.io.structures.structure import Structure

#: PyMOL's command for a value between so many atoms.
LABEL_COMMANDS = {2: "distance", 3: "angle", 4: "dihedral"}

#: Longer movies keep one assignment of helix and sheet: renewing it at every frame would make them stutter.
FRAMES_TO_REASSIGN = 300

#: Carbon colours of the pulls, Okabe and Ito's, red, green and blue; real pulls are grey.
COLOURS = (
    "0x0072B2", "0xE69F00", "0x009E73", "0xCC79A7", "0x56B4E9", "0xD55E00", "0xF0E442", "0x332288",
)  # fmt: skip
REAL_COLOUR = "0x8C8C8C"


_PML_SCRIPT = """\
# Shows {what} in PyMOL:  pymol {script}
# Written by smdgen. Every path is taken from the folder of this file, so the folder can be moved.
python
import os, pymol
import numpy as np
from pymol import cmd

here = os.path.dirname(os.path.abspath(getattr(pymol, "__script__", "")))
topology, timestep_ps, label = {topology!r}, {timestep_ps!r}, {label!r}
pulls = {pulls!r}
files = {files!r}


def in_folder(name):
    return os.path.normpath(os.path.join(here, name))


missing = [name for name in files if not os.path.isfile(in_folder(name))]
if missing:
    print("smdgen: %s not found in %s; keep the files of a rollout together" % (missing[0], here))
    pulls = []


def cv_values(trajectory):
    path = in_folder(os.path.splitext(trajectory)[0] + ".colvars.traj")
    if not os.path.isfile(path):
        return []
    with open(path) as stream:
        return [float(line.split()[1]) for line in stream if line.strip() and not line.startswith("#")]


def add_caption(name, text, colour, line):
    # A text that keeps its place on the screen, one for each frame.
    cmd.pseudoatom(name, label=text[0], state=1)
    for state, words in enumerate(text[1:], 2):
        cmd.pseudoatom(name, label=words, state=state)
    cmd.hide("everything", name)
    cmd.show("labels", name)
    cmd.set("label_color", colour, name)
    cmd.alter(name, "s.label_relative_mode=1")
    cmd.alter(name, "s.label_screen_point=[-0.95, %.3f, 0.0]" % (-0.92 + 0.09 * line))
    cmd.alter(name, "s.label_placement_offset=[0.0, 0.0, 0.0]")
    cmd.set("label_position", [1, 0, 0], name)


for number, (name, trajectory, kind, colour) in enumerate(pulls):
    cmd.load(in_folder(topology), name)
    cmd.load_traj(in_folder(trajectory), name, state=1)
    cmd.hide("everything", name)
{style}{points}\
    times = [timestep_ps * frame for frame in range(cmd.count_states(name))]
    text = ["%s (%s), t = %.4g ps" % (name, kind, time) for time in times]
    if kind == "real" and not {timed}:
        text = ["%s (real, at the nearest CV)" % name] * len(times)
    for frame, value in enumerate(cv_values(trajectory)[: len(text)]):
        text[frame] += ", {cv_name} %.2f {cv_unit}" % value
    add_caption("caption_of_" + name, text, colour, 0 if kind == "real" else 1 + number % 8)
python end

set cartoon_transparency, 0.15
set stick_radius, 0.12
set all_states, 0
bg_color white
set label_size, 20
set dash_color, black
set ray_opaque_background, 1
set orthoscopic, 1
python
for name, trajectory, kind, colour in pulls:
    if "centres_of_" + name in cmd.get_names():
        cmd.color("0x8C8C8C" if kind == "real" else "red", "centres_of_" + name)
    cmd.color(colour, "%s and elem C" % name)
    cmd.color("0x3333CC", "%s and elem N" % name)
    cmd.color("0xCC3333", "%s and elem O" % name)
    cmd.color("0xB3B3B3", "%s and elem H" % name)


def fit_view():
    # All frames of the pulls that are shown, with room for the captions below.
    cmd.orient(" ".join(name for name, *_ in pulls), state=0)
    view, (width, height) = list(cmd.get_view()), cmd.get_viewport()
    turn = np.array(view[:9]).reshape(3, 3)
    points = []
    for name in (pulls[0][0], pulls[-1][0]):
        cmd.iterate_state(0, name, "points.append((x, y, z))", space={{"points": points}})
    points = np.array(points) @ turn
    low, high = points.min(0) - 1.5, points.max(0) + 1.5
    middle, half = (low + high) / 2, (high - low) / 2
    room = 0.10
    half_height = max(half[1] / (1 - room), half[0] * height / width)
    far = half_height / np.tan(np.radians(float(cmd.get("field_of_view")) / 2))
    reach = float(np.linalg.norm(half)) + 5
    view[9:15] = [0, room * half_height, -far, *(turn @ middle)]
    view[15:17] = [far - reach, far + reach]
    cmd.set_view(view)


if pulls:
    fit_view()
python end

mset 1 -{n_frames}
set movie_fps, 5
{reassign}frame 1
{hidden}python
if pulls:
    print("smdgen: {help_what} Play with the arrow at the bottom right.")
{help_others}\
python end
"""


def write_view_pml(
    path: Path,
    structure_file: Path,
    trajectories: Sequence[Path],
    cv: "CollectiveVariable",
    atom_names: Sequence[str],
    n_frames: int,
    real: Sequence[Path] = (),
    timestep_ps: float = 1.0,
    timed: bool = True,
) -> None:
    """Write a PyMOL script that loads pulls, each as one object, and labels the collective variable.

    Args:
        path: The script. Other paths are written relative to its folder.
        structure_file: PDB of the atoms in the trajectories.
        trajectories: DCD files of those atoms, one a pull. Where the variable joins centres of groups,
            their files lie beside them; values for the captions are those of its `.colvars.traj`.
        cv: Atoms are 0-based in the structure file.
        atom_names: (n_atoms,), names in the structure file, which decide how the model is drawn.
        n_frames: Frames of the longest pull.
        real: Real pulls, shown beside the first one.
        timestep_ps: Between two frames.
        timed: Whether frames of real pulls are those of the same times; else of the nearest CV.
    """
    folder = path.parent
    files = [*trajectories, *real]
    names = _object_names(files)
    pulls = [
        (
            name,
            _relative(file, folder),
            "real" if i >= len(trajectories) else "generated",
            REAL_COLOUR if i >= len(trajectories) else COLOURS[i % len(COLOURS)],
        )
        for i, (name, file) in enumerate(zip(names, files, strict=True))
    ]
    what = f"{len(trajectories)} pull{'s' * (len(trajectories) > 1)} of {n_frames} frames"
    backbone = has_backbone(atom_names)
    centres = []
    if has_centres(cv):
        centres = [path.with_name(CENTRES_FILE), *map(centres_file, files)]
    script = _PML_SCRIPT.format(
        what=what,
        script=path.name,
        topology=_relative(structure_file, folder),
        timestep_ps=timestep_ps,
        timed=timed,
        pulls=pulls,
        files=[_relative(file, folder) for file in (structure_file, *files, *centres)],
        label=cv.name,
        cv_name=cv.name,
        cv_unit=cv.unit,
        points=_points(cv, folder, path),
        style=_style(backbone, len(atom_names)),
        n_frames=n_frames,
        reassign=_reassign(n_frames) if backbone and n_frames <= FRAMES_TO_REASSIGN else "",
        hidden="".join(f"disable *{name}\n" for name in names[1 : len(trajectories)]),
        help_others="".join(map(_help_others, names[1 : len(trajectories)][:1])),
        help_what=what + ("; a real pull in grey." if real else "."),
    )
    with atomic_path(path) as temporary:
        temporary.write_text(script, encoding="utf-8")


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

    from smdgen.io.structures.structure import write_pdb

    half = np.abs(positions[..., :2]).max(axis=(0, 1)) + 2.0  # A, with room for the sticks
    height = int(min(max(width * half[1] / half[0], width / 2), max_height))
    half_height = max(float(half[1]), float(half[0]) * height / width)
    with tempfile.TemporaryDirectory(prefix="smdgen-") as name:
        folder = Path(name)
        for i, frame in enumerate(positions):
            write_pdb(folder / f"{i}.pdb", structure, frame)
        _add_bonds(folder / "0.pdb", structure)
        many = structure.n_atoms > MOST_STICKS and has_backbone([str(name) for name in structure.names])
        reach = float(np.abs(positions).max())
        script = _render_script(len(positions), width, height, half_height, reach, sticks=not many)
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


def _render_script(
    n_frames: int, width: int, height: int, half_height: float, reach: float, sticks: bool
) -> str:
    """All frames as states of one object, so that they share the bonds of the first one and the camera.

    The camera looks along -z at the origin from where `half_height` (A) just fits.
    """
    far = half_height / np.tan(np.radians(10.0))  # PyMOL's field of view is 20 degrees high
    view = [1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, -far, 0, 0, 0, far - reach - 5, far + reach + 5, -20]
    lines = ["set connect_mode, 1"]
    lines += [f"load {i}.pdb, frames, state={i + 1}" for i in range(n_frames)]
    lines += [
        "hide everything", "show cartoon", *(["show sticks"] if sticks else []), "set stick_radius, 0.18",
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
        name = name if name.startswith(("pull", "real_")) else f"pull_{name}"
        names.append(name if name not in names else f"{name}_{len(names)}")
    return names


def _relative(target: Path, folder: Path) -> str:
    return Path(os.path.relpath(target.absolute(), folder.absolute())).as_posix()


def _style(backbone: bool, n_atoms: int) -> str:
    """A cartoon where there is a backbone, and the sticks of a model in which they can be told apart."""
    lines = ['cmd.show("cartoon", name)'] if backbone else []
    if not backbone or n_atoms <= MOST_STICKS:
        lines.append('cmd.show("sticks", name)')
    return "".join(f"    {line}\n" for line in lines)


def _help_others(name: str) -> str:
    return f'    print("smdgen: `enable *{name}` shows another pull, `disable *{name}` hides it.")\n'


def _points(cv: "CollectiveVariable", folder: Path, script: Path) -> str:
    """Atoms or centres of the variable as spheres, joined by dashes; the number stands in the caption."""
    if not has_label(cv):
        return ""
    lines = []
    if has_centres(cv):
        topology = _relative(script.with_name(CENTRES_FILE), folder)
        lines += [
            "# The centres of mass of the variable's groups, from their own trajectory.",
            'points = "centres_of_" + name',
            f"cmd.load(in_folder({topology!r}), points)",
            'centres = os.path.join(os.path.dirname(trajectory), "centres_" + os.path.basename(trajectory))',
            "cmd.load_traj(in_folder(centres), points, state=1)",
        ]
        chosen, ranks = "points", tuple(range(len(cv.groups)))
    else:
        chosen, ranks = "name", label_atoms(cv)
    marked = "+".join(map(str, ranks))
    atoms = ", ".join(f'"%s and rank {rank}" % {chosen}' for rank in ranks)
    lines += [
        f'cmd.show("spheres", "%s and rank {marked}" % {chosen})',
        f'cmd.set("sphere_scale", 0.3, {chosen})',
        f'dashes = "{cv.name}_of_" + name',
        f"cmd.{LABEL_COMMANDS[len(cv.groups)]}(dashes, {atoms})",
        'cmd.hide("labels", dashes)',
    ]
    return "".join(f"    {line}\n" for line in lines)


def _reassign(n_frames: int) -> str:
    return (
        "# Helix and sheet are assigned anew at every frame.\n"
        f"python\nfor state in range(1, {n_frames} + 1):\n"
        '    cmd.mdo(state, "dss all, state=%d" % state)\npython end\n'
    )
