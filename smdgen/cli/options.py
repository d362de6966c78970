"""The options that several commands share, each defined once; settings bring their own help."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from smdgen.about.settings import PRESETS

SHARED = "Shared options"
RUN_FOLDER = Path("smdgen-run")

Run = Annotated[
    Path,
    typer.Option(
        "--run",
        metavar="DIR",
        help=f"Run folder that the commands share. Default: {RUN_FOLDER}.",
        show_default=False,
        rich_help_panel=SHARED,
    ),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="TOML",
        help="File with settings, as `smdgen config` prints it; flags win. Default: none.",
        rich_help_panel=SHARED,
    ),
]
Seed = Annotated[int | None, typer.Option("--seed", metavar="N", rich_help_panel=SHARED)]
Force = Annotated[bool | None, typer.Option("--force", rich_help_panel=SHARED)]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Show what would be read, modelled and written; do nothing. Default: off.",
        rich_help_panel=SHARED,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        help="Only warnings and errors; no bars, no table. Default: off.",
        rich_help_panel=SHARED,
    ),
]
Json = Annotated[
    bool,
    typer.Option(
        "--json", help="The result as JSON on standard output. Default: off.", rich_help_panel=SHARED
    ),
]

Number = Annotated[int | None, typer.Option(metavar="N")]
Topology = Annotated[Path | None, typer.Option("--top", "-t", metavar="FILE")]
Parameters = Annotated[list[Path] | None, typer.Option("--params", metavar="FILE")]
ForceField = Annotated[str | None, typer.Option("--forcefield", metavar="NAME")]
Preset = Literal[PRESETS]  # type: ignore[valid-type]
PresetOption = Annotated[Preset | None, typer.Option("--preset", metavar="|".join(PRESETS))]
Device = Annotated[str | None, typer.Option("--device", metavar="NAME")]
Dask = Annotated[str | None, typer.Option("--dask", metavar="ADDRESS")]
Output = Annotated[Path | None, typer.Option("--output", "-o", metavar="DIR")]
