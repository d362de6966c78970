"""The script that shows pulls in VMD: `vmd -e view.vmd`."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from smdgen.files import atomic_path, sha256_file
from smdgen.view.labels import CENTRES_FILE, MOST_STICKS, centres_file, has_backbone, has_centres, label_atoms

if TYPE_CHECKING:
    from smdgen.geometry.cvs import CollectiveVariable

#: Pulls of fewer frames than this are shown as they are; smoothing would hide their steps.
FRAMES_TO_SMOOTH = 50

#: VMD's name of a label that joins so many atoms.
LABEL_KINDS = {2: "Bonds", 3: "Angles", 4: "Dihedrals"}

_TCL_SCRIPT = """\
# Shows {what} in VMD:  vmd -e {script}   or in its console:  source {script}
# Written by smdgen. If the folder was moved, `source` this file, or go to its folder for `vmd -e`.

# `vmd -e` does not say where the script lies, as `source` does. So its folder is the current one or the
# one the pulls were written to, if the script there shows the same pulls.
proc smdgen_folder {{}} {{
    set known [file dirname [file normalize [info script]]]
    if {{[info script] ne ""}} {{ return $known }}
    foreach folder [list [pwd] {home}] {{
        set script [file join $folder {script}]
        if {{![file isfile $script]}} continue
        set stream [open $script]
        set text [read $stream]
        close $stream
        if {{[string first {{pulls {mark}}} $text] >= 0}} {{ return $folder }}
    }}
    return ""
}}

proc smdgen_view {{here}} {{
    set topology [file join $here {topology}]
    set trajectories [list {trajectories}]

    foreach name [list {files}] {{
        if {{[file isfile [file join $here $name]]}} continue
        puts "smdgen: error: $name not found in $here; keep the files of a rollout together"
        return
    }}

    # Averages shown frames over 2n+1 neighbours; on the screen only, labels and tables stay exact.
    set smoothing {smoothing}

    set molecules {{}}
    foreach {{file kind centres}} $trajectories {{
        set mol [mol new $topology type {topology_type} waitfor all]
        # The structure file's own frame would shift every row of the CV table.
        animate delete all
        mol addfile [file join $here $file] type dcd first 0 last -1 step 1 waitfor all $mol
        set name [file rootname [file tail $file]]
        mol rename $mol $name
        mol delrep 0 $mol
        if {{$kind eq "real"}} {{
{real_representations}\
        }} else {{
{representations}\
        }}
{labels}\
        # Every pull is loaded; the first generated and the real one are shown.
        if {{[llength $molecules] > 0 && $kind ne "real"}} {{ foreach one $own {{ mol off $one }} }}
        lappend molecules $mol
    }}
    mol top [lindex $molecules 0]
{hidden}    display projection Orthographic
    display depthcue off
    axes location Off
    color Display Background white
    color Labels {label_kind} black
    label textsize 1.2
    label textthickness 2

    # Fit the view to the last frame, where a pull is longest, then play from the first.
    animate goto end
    display resetview
    animate goto start
    animate style Loop
    animate speed 0.5

    puts "smdgen: {help_what}"
    puts "smdgen: play with the arrow at the bottom right of VMD Main; the D column shows and hides pulls."
{help_label}\
    puts "smdgen: Extensions > Analysis > Colvars Dashboard opens the .colvars.in beside each pull."
}}

# One command, so that nothing goes on where the pulls are not found.
if {{[smdgen_folder] eq ""}} {{
    set next "cd to its folder, then: source {script}"
    puts "smdgen: error: the pulls of this script are not where they were written; $next"
}} else {{
    smdgen_view [smdgen_folder]
}}
"""


def write_view_vmd(
    path: Path,
    structure_file: Path,
    trajectories: Sequence[Path],
    cv: "CollectiveVariable",
    atom_names: Sequence[str],
    n_frames: int,
    real: Sequence[Path] = (),
    home: Path | None = None,
) -> None:
    """Write a VMD script that loads pulls, each as one molecule, and labels the collective variable.

    Args:
        path: The script. Other paths are written relative to its folder.
        structure_file: PDB or PSF of the atoms in the trajectories.
        trajectories: DCD files of those atoms, one a pull. Where the variable joins centres of groups,
            their files lie beside them.
        cv: Atoms are 0-based in the structure file.
        atom_names: (n_atoms,), names in the structure file, which decide how the model is drawn.
        n_frames: Frames of the longest pull.
        real: Real pulls, shown beside the first one.
        home: The folder that the script's own will be once all files are written; None: the one it has now.
    """
    folder = path.parent
    what = f"{len(trajectories)} pull{'s' * (len(trajectories) > 1)} of {n_frames} frames"
    n_points = len(cv.groups)
    kind = LABEL_KINDS.get(n_points, "Bonds")
    centres, atoms = has_centres(cv), label_atoms(cv)
    labelled = centres or bool(atoms)
    loaded = [(file, "generated") for file in trajectories] + [(file, "real") for file in real]
    needed = [structure_file, *(file for file, _ in loaded)]
    if centres:
        needed += [path.with_name(CENTRES_FILE), *(centres_file(file) for file, _ in loaded)]
    script = _TCL_SCRIPT.format(
        what=what,
        script=tcl_word(path.name),
        home=tcl_word((home or folder).absolute().as_posix()),
        mark=_mark([structure_file, *(file for file, _ in loaded)]),
        topology=_relative(structure_file, folder),
        topology_type="psf" if structure_file.suffix.lower() == ".psf" else "pdb",
        trajectories=" ".join(
            f"{_relative(file, folder)} {word} {_relative(centres_file(file), folder) if centres else '{}'}"
            for file, word in loaded
        ),
        files=" ".join(_relative(file, folder) for file in needed),
        smoothing=2 if n_frames >= FRAMES_TO_SMOOTH else 0,
        representations=_representations(atom_names, atoms),
        real_representations=_representations(atom_names, atoms, grey=True),
        labels=_centre_labels(kind, n_points, folder, path) if centres else _label_command(kind, atoms),
        # Two numbers in one place could not be read; it stays in the list, to be shown or plotted.
        hidden=_indented([f"label hide {kind} {len(trajectories)}", ""], 4) if real and labelled else "\n",
        label_kind=kind,
        help_what=(f"{what}, {n_frames - 1} steps each" if n_frames > 1 else what)
        + ("; a real pull in grey." if real else "."),
        help_label=_label_help(kind, cv) if labelled else "",
    )
    with atomic_path(path) as temporary:
        temporary.write_text(script, encoding="utf-8")


def tcl_word(text: str) -> str:
    """One word of Tcl that stands for the text whatever characters it holds."""
    if text and all(letter.isalnum() or letter in "._/-+=:" for letter in text):
        return text
    return "".join(letter if letter.isalnum() or letter in "._/-+=:" else "\\" + letter for letter in text)


def _mark(files: Sequence[Path]) -> str:
    """What tells these pulls from others in a folder of the same make."""
    return hashlib.sha256("".join(map(sha256_file, files)).encode()).hexdigest()[:16]


def _relative(target: Path, folder: Path) -> str:
    return tcl_word(Path(os.path.relpath(target.absolute(), folder.absolute())).as_posix())


def _representations(atom_names: Sequence[str], marked: Sequence[int], grey: bool = False) -> str:
    """A tube, and sticks of a small model; a hidden cartoon too, as VMD assigns helix and sheet once only."""
    backbone, carbon = has_backbone(atom_names), "ColorID 2" if grey else "Name"
    many = backbone and len(atom_names) > MOST_STICKS
    drawn = [("Licorice 0.15 12 12", carbon, "all", not many)]
    if backbone:
        drawn.insert(0, ("Tube 0.35 12", "ColorID 2" if grey else "ResID", "all", True))
    if marked:
        colour = "ColorID 2" if grey else "ColorID 1"
        drawn.append(("VDW 0.35 16", colour, "index " + " ".join(map(str, marked)), True))
    if any(str(name).startswith("H") for name in atom_names):
        drawn.append(("HBonds 3.5 40 2", "ColorID 0", "all", not many))
    if backbone:
        drawn.append(("NewCartoon 0.3 10 4.1 0", "Structure", "all", False))
    lines = []
    for number, (style, colour, selection, shown) in enumerate(drawn):
        lines += _representation(style, colour, selection)
        lines.append(f"mol smoothrep $mol {number} $smoothing")
        if style.startswith("NewCartoon"):
            lines.append(
                "# Helix and sheet are those of one frame; `mol ssrecalc top` renews them for the shown one."
            )
        if not shown:
            lines.append(f"mol showrep $mol {number} off")
    return _indented(lines, 12)


def _representation(style: str, colour: str, selection: str, molecule: str = "$mol") -> list[str]:
    return [
        f"mol representation {style}",
        f"mol color {colour}",
        f"mol selection {{{selection}}}",
        "mol material Opaque",
        f"mol addrep {molecule}",
    ]


def _label_command(kind: str, atoms: Sequence[int]) -> str:
    if not atoms:
        lines = ["# No label: the collective variable is not a value between atoms or centres."]
    else:
        lines = [f"label add {kind} {' '.join(f'$mol/{atom}' for atom in atoms)}"]
    return _indented(["set own [list $mol]", *lines], 8)


def _centre_labels(kind: str, n_points: int, folder: Path, script: Path) -> str:
    """The centres as atoms of a molecule of their own: their label is the variable, and can be plotted."""
    points = " ".join(f"$cen/{point}" for point in range(n_points))
    topology = _relative(script.with_name(CENTRES_FILE), folder)
    return _indented(
        [
            "# The centres of mass of the variable's groups, as atoms, so that VMD can label and plot it.",
            f"set cen [mol new [file join $here {topology}] type pdb waitfor all]",
            "animate delete all",
            "mol addfile [file join $here $centres] type dcd first 0 last -1 step 1 waitfor all $cen",
            "mol rename $cen centres_$name",
            "mol delrep 0 $cen",
            *_representation("VDW 0.6 20", "ColorID 1", "all", "$cen"),
            f"label add {kind} {points}",
            "set own [list $mol $cen]",
        ],
        8,
    )


def _indented(lines: Sequence[str], width: int) -> str:
    return "".join(f"{' ' * width}{line}\n" for line in lines)


def _label_help(kind: str, cv: "CollectiveVariable") -> str:
    plot = f"Graphics > Labels > {kind} > Graph plots it"
    return f'    puts "smdgen: the label is {cv.name} in {cv.unit}; {plot}."\n'
