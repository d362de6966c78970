"""Makes the real pulls that ship beside the deca-alanine model, from the dataset of `make demo`.

Every fourth frame of the first held-out and of the first training pulls: `smdgen analyze` compares rollouts
of the shipped model with them. Run: python examples/deca_alanine/reference.py demo/dataset.h5
"""

import sys
from pathlib import Path

import numpy as np

import smdgen
from smdgen.dataset.dataset import Dataset, Pull, create_dataset, open_dataset

TARGET = Path(smdgen.__file__).parent / "models" / "deca_alanine" / "reference.h5"
STRIDE, N_PULLS = 4, {"train": 3, "test": 5}


def write_reference(dataset: Dataset, path: Path) -> None:
    """Write the part of a dataset."""
    chosen = [pull for split, n in N_PULLS.items() for pull in dataset.of_split(split)[:n]]
    frames = [np.arange(pull.start, pull.stop, STRIDE) for pull in chosen]
    ends = np.cumsum([len(own) for own in frames])
    pulls = [
        Pull(pull.name, int(end) - len(own), int(end), pull.split, "")
        for pull, own, end in zip(chosen, frames, ends, strict=True)
    ]
    rows = np.concatenate(frames)
    with create_dataset(path, len(rows), len(pulls), dataset.structure) as writer:
        writer.append(dataset.positions(rows))
        writer.finish(
            terms=dataset.terms,
            cv=dataset.cv,
            pulls=pulls,
            times_ps=dataset.times_ps[rows],
            cv_values=dataset.cv_values[rows],
            provenance={"part_of": dataset.content_hash, "smdgen": smdgen.__version__},
        )


if __name__ == "__main__":
    write_reference(open_dataset(Path(sys.argv[1])), TARGET)
