"""Real files through all commands: adenylate kinase from closed to open, as MDAnalysisTests ships it.

    pip install -c constraints.txt -e ".[realdata]"
    python -m benchmarks.science.adenylate_kinase FOLDER
    python -m benchmarks.science.adenylate_kinase FOLDER --prepare    only what takes seconds

`adk.psf` and `adk_dims.dcd` (CHARMM, 214 residues, 98 frames) are one trajectory from the closed to the open
state. Source: O. Beckstein, E. J. Denning, J. R. Perilla, T. B. Woolf, J. Mol. Biol. 394, 160 (2009), also of
the domains. With one trajectory `prepare` holds back blocks of frames. The collective variable is the
distance between the centres of the CA atoms of LID and CORE, the plainest that follows the motion.

Prints time and peak memory of each command and, of the result: the RMSD at which held-out frames come back
from the autoencoder, beside that to the nearest training frame; the RMSD of each generated frame to the
nearest real one, and of both ends to the closed and the open structure; bonded energies as ratios to real
ones. Last comes a trajectory of the same protein by NAMD, whose atoms are in another order than those of
`adk.psf`: `prepare` has to refuse it with exit code 2 and one line.
"""

import argparse
import importlib.util
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import torch

from benchmarks.science.path_quality import read_path, report
from benchmarks.speed.stage_costs import RUN, run_commands, smdgen
from smdgen.dataset.dataset import open_dataset
from smdgen.geometry.frames import rmsd
from smdgen.io.structures.start import read_start

PACKAGE = "MDAnalysisTests"
TOPOLOGY, TRAJECTORY, OTHER_ORDER = "adk.psf", "adk_dims.dcd", "adk_gbis_tmd-fast1_NAMD.dcd"
ENDS = {"closed": "adk_closed.pdb", "open": "adk_open.pdb"}

LID = "resid 122 to 159"
CORE = "(resid 1 to 29 or resid 60 to 121 or resid 160 to 214)"
CV = f"lid_core=distance(name CA and {LID}; name CA and {CORE})"

#: CV of the open end, A: the trajectory stays there for its last quarter.
OPEN = 30.4


def main(arguments: Sequence[str]) -> int:
    """Run all, print; 1 if a command failed that should not, or did not that should."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("folder", type=Path)
    options.add_argument("--prepare", action="store_true", help="no training")
    options.add_argument("--steps", type=int, default=32, help="of the rollout")
    chosen = options.parse_args(arguments)
    folder: Path = chosen.folder
    try:
        copy_files(folder)
    except ModuleNotFoundError as error:
        print(error, file=sys.stderr)
        return 2
    rollout = ["rollout", TRAJECTORY, "--steps", chosen.steps, "--to", OPEN, "--seed", 1, "--samples", 4]
    steps = [
        ("dataset.h5", ["prepare", TRAJECTORY, "--top", TOPOLOGY, "--cv", CV]),
        ("vae.safetensors", ["train-vae"]),
        ("lstm.safetensors", ["train-lstm"]),
        ("rollout", rollout),
        ("analysis", ["analyze"]),
    ]
    done = run_commands(folder, *(steps[:1] if chosen.prepare else steps))
    if done and not chosen.prepare:
        report(folder / RUN)
        report_ends(folder)
    return int(not refuses_another_order(folder) or not done)


def copy_files(folder: Path) -> None:
    """The files in a folder of their own, as a user has them.

    Raises:
        ModuleNotFoundError: The package that ships them is not installed.
    """
    found = importlib.util.find_spec(PACKAGE)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f'{PACKAGE} is not installed; run: pip install -e ".[realdata]"')
    folder.mkdir(parents=True, exist_ok=True)
    for name in (TOPOLOGY, TRAJECTORY, OTHER_ORDER, *ENDS.values()):
        shutil.copyfile(Path(found.origin).parent / "data" / name, folder / name)


def report_ends(folder: Path) -> None:
    """RMSD of the first and last frame to the two structures, generated and real."""
    dataset = open_dataset(folder / RUN / "dataset.h5")
    paths = {"real": torch.from_numpy(dataset.positions()).double()}
    for file in sorted((folder / RUN / "rollout").glob("pull_*.dcd")):
        paths[file.stem] = read_path(file, dataset)
    for name, file in ENDS.items():
        end = torch.from_numpy(read_start(folder / file, dataset.structure).positions).double()
        off = {key: rmsd(path[[0, -1]], end).tolist() for key, path in paths.items()}
        text = ", ".join(f"{key} {first:.2f} -> {last:.2f} A" for key, (first, last) in off.items())
        print(f"RMSD to the {name} structure, first -> last frame: {text}")


def refuses_another_order(folder: Path) -> bool:
    """Whether `prepare` refuses the NAMD trajectory with exit code 2 and one line, which is printed."""
    ended = smdgen(folder, ["prepare", OTHER_ORDER, "--top", TOPOLOGY, "--run", "refused", "--quiet"])
    print(f"{OTHER_ORDER} with {TOPOLOGY}: exit code {ended.code}\n{ended.said.rstrip()}")
    return ended.code == 2 and len(ended.said.splitlines()) == 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
