"""The options that several commands share, each defined once."""

from pathlib import Path
from typing import Annotated

import typer

from smdgen.config import Preset

SHARED = "Shared options"
RUN_FOLDER = Path("smdgen-run")

Run = Annotated[
    Path, typer.Option("--run", metavar="DIR", help="Run folder of all commands.", rich_help_panel=SHARED)
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="TOML", help="File with more settings; flags win.", rich_help_panel=SHARED
    ),
]
Seed = Annotated[
    int | None, typer.Option("--seed", metavar="N", help="Seed of everything random.", rich_help_panel=SHARED)
]
Force = Annotated[
    bool | None, typer.Option("--force", help="Replace outputs that exist.", rich_help_panel=SHARED)
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run", help="Show what would be read, modelled and written; do nothing.", rich_help_panel=SHARED
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="Only warnings and errors; no bars, no table.", rich_help_panel=SHARED
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="The result as JSON on standard output.", rich_help_panel=SHARED)
]

Topology = Annotated[
    Path | None,
    typer.Option(
        "--top",
        "-t",
        metavar="FILE",
        help="PSF, prmtop, PDB, mmCIF or GRO; default: the one beside the input.",
    ),
]
Parameters = Annotated[
    list[Path] | None,
    typer.Option("--params", metavar="FILE", help="CHARMM parameter file that goes with a PSF; repeatable."),
]
ForceField = Annotated[
    str | None,
    typer.Option("--forcefield", metavar="NAME", help="Force field for a PDB: charmm36 or amber14."),
]
PresetOption = Annotated[
    Preset | None,
    typer.Option(
        "--preset",
        metavar="paper|default",
        help="paper: the published network as it is; default: the best of ours.",
    ),
]
Epochs = Annotated[
    int | None,
    typer.Option(
        "--epochs",
        metavar="N",
        min=1,
        help="Epochs: passes over the frames (train-vae), 40 batches of new sequences each (train-lstm); "
        "default: 40, with preset paper 8 and 22.",
    ),
]
Quick = Annotated[
    bool | None,
    typer.Option("--quick", help="An eighth of the epochs and critic samples, for a first look in a minute."),
]
BatchSize = Annotated[
    int | None, typer.Option("--batch-size", metavar="N", min=1, help="Frames or windows a step.")
]
HiddenSize = Annotated[
    int | None, typer.Option("--hidden-size", metavar="N", min=1, help="Width of the network.")
]
Device = Annotated[str | None, typer.Option("--device", metavar="NAME", help="auto, cpu or cuda.")]
Threads = Annotated[
    int | None, typer.Option("--threads", metavar="N", min=1, help="CPU threads; default: by size.")
]
Resume = Annotated[bool | None, typer.Option("--resume", help="Go on with an interrupted training.")]
Workers = Annotated[
    int | None, typer.Option("--workers", metavar="N", min=1, help="Processes that share the work.")
]
Dask = Annotated[
    str | None,
    typer.Option("--dask", metavar="ADDRESS", help="Scheduler of a Dask cluster, in place of --workers."),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="DIR", help="Folder for the results; default: in the run folder."),
]
