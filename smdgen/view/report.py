"""The report on generated pulls beside real ones: tables, figures and one page that ties them together."""

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from smdgen.arrays import Floats
from smdgen.geometry.cv_paths import difference
from smdgen.quality.faults import FAULTS
from smdgen.quality.measure import ENERGIES, HELIX_BONDS, Measured
from smdgen.view.figures import Band, plot_bands, plot_ramachandran
from smdgen.view.film import FilmRow, plot_film_strip, upright
from smdgen.view.pymol import render_frames

if TYPE_CHECKING:
    from smdgen.geometry.cvs import CollectiveVariable
    from smdgen.io.structures.structure import Structure
    from smdgen.quality.baseline_table import BaselineTable
    from smdgen.quality.rows import QualityRow
    from smdgen.quality.table import QualityTable


@dataclass(frozen=True)
class FilmFrames:
    """The frames of the film strip.

    Attributes:
        steps: Frame numbers of the generated pull.
        generated: (n, n_atoms, 3), A. Of the first generated pull.
        real: (n, n_atoms, 3), A. Of one real pull, at the same places of the way.
        timed: Whether the real frames are those of the same times; else of the nearest CV.
    """

    steps: Sequence[int]
    generated: Floats
    real: Floats
    timed: bool = True


@dataclass(frozen=True)
class Report:
    """Everything the report says.

    Attributes:
        structure: The modelled atoms.
        cv: The collective variable.
        names: Of the generated pulls.
        times_ps: (n_frames,), ps. Of the generated pulls.
        generated: Their numbers, at their own frames.
        real: Numbers of held-out pulls over the same way, more finely spaced.
        real_names: Of the held-out pulls.
        rmsd_to_start: (n_pulls, n_frames), A.
        rmsd_to_real: (n_pulls, n_frames), A. To the nearest held-out frame at the same step.
        target_cv: (n_pulls, n_frames). Target CV of each frame; None if unknown.
        film: Frames to show.
        quality: The table of measures.
        baselines: The pulls beside what anybody has without a model; None without training pulls.
        verdict: What both say, in words.
        notes: What a reader has to know.
        provenance: Inputs, hashes, what was compared with what; for report.json.
    """

    structure: "Structure"
    cv: "CollectiveVariable"
    names: Sequence[str]
    times_ps: Floats
    generated: Measured
    real: Measured
    real_names: Sequence[str]
    rmsd_to_start: Floats
    rmsd_to_real: Floats
    target_cv: Floats | None
    film: FilmFrames
    quality: "QualityTable"
    baselines: "BaselineTable | None"
    verdict: str
    notes: Sequence[str]
    provenance: Mapping[str, Any]


def write_report(folder: Path, report: Report) -> None:
    """Write tables, figures and report.md into a folder that exists."""
    (folder / "cv.csv").write_text(frame_table(report), encoding="utf-8")
    (folder / "real.csv").write_text(real_table(report), encoding="utf-8")
    (folder / "quality.csv").write_text(quality_csv(report.quality), encoding="utf-8")
    (folder / "report.json").write_text(_json(report), encoding="utf-8")
    figures = _draw(folder, report)
    (folder / "report.md").write_text(_page(report, figures), encoding="utf-8")


def frame_table(report: Report) -> str:
    """The text of cv.csv: one row a generated frame, units in the column names."""
    measured = report.generated
    columns: dict[str, Floats] = {report.cv.column: measured.cv}
    if report.target_cv is not None:
        cv, target_cv = report.cv, report.target_cv
        columns[f"{cv.name}_aim_{cv.unit}"] = target_cv
        columns[f"{cv.name}_missed_{cv.unit}"] = np.abs(difference(measured.cv, target_cv, cv.periodic))
    columns |= _energies(measured)
    columns["rmsd_to_start_A"] = report.rmsd_to_start
    columns["rmsd_to_nearest_real_A"] = report.rmsd_to_real
    columns |= _hydrogen_bonds(measured)
    columns |= {name: values for name, values in measured.faults.items() if np.isfinite(values).all()}
    return _csv(report.names, report.times_ps, columns, numbered=True)


def real_table(report: Report) -> str:
    """The text of real.csv: one row per frame of a held-out pull, at the generated pulls' times."""
    measured = report.real
    columns = {report.cv.column: measured.cv, **_energies(measured), **_hydrogen_bonds(measured)}
    times = np.linspace(report.times_ps[0], report.times_ps[-1], measured.cv.shape[1])
    return _csv(report.real_names, times, columns, numbered=False)


def _csv(names: Sequence[str], times_ps: Floats, columns: Mapping[str, Floats], numbered: bool) -> str:
    """One row per frame of every pull, with its number or without; columns (n_pulls, n_frames)."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow([*(["frame"] if numbered else []), "time_ps", "pull", *columns])
    for pull, name in enumerate(names):
        for frame, time in enumerate(times_ps):
            values = [f"{column[pull, frame]:.6g}" for column in columns.values()]
            writer.writerow([*([frame] if numbered else []), f"{time:.6g}", name, *values])
    return lines.getvalue()


def _energies(measured: Measured) -> dict[str, Floats]:
    """Columns (n_pulls, n_frames) of the bonded energies."""
    return {f"{name}_energy_kcal_mol": measured.energies[..., i] for i, name in enumerate(ENERGIES)}


def _hydrogen_bonds(measured: Measured) -> dict[str, Floats]:
    """Columns (n_pulls, n_frames) of the hydrogen bonds; none without a peptide."""
    counts = np.moveaxis(measured.helix_bonds, -1, 0)
    return {f"hydrogen_bonds_{name}": count for name, count in zip(HELIX_BONDS, counts, strict=False)}


def quality_csv(table: "QualityTable") -> str:
    """The text of quality.csv: one row a figure."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(["key", "figure", "generated", "generated_spread", "real", "real_spread", "goal", "met"])
    for row in table.rows:
        numbers = (row.generated, row.generated_spread, row.real, row.real_spread)
        shown = ["" if math.isnan(number) else f"{number:.6g}" for number in numbers]
        writer.writerow([row.key, row.label, *shown, row.goal_text, "" if row.met is None else int(row.met)])
    return lines.getvalue()


#: Names of the measures that fit beside their numbers in 80 columns.
_SHORT = {
    "bond_energy_ratio": "bond energy / real",
    "angle_energy_ratio": "angle energy / real",
    "torsion_energy_ratio": "torsion energy / real",
    "in_band_share": "frames in the real energy band",
    "cv_error": "error of the mean CV, A",
    "target_error": "|CV - target|, mean, A",
    "target_error_worst": "|CV - target|, worst step",
    "nearest_real": "nearest real frame, A",
    "coverage": "nearest generated frame, A",
    "diversity": "diversity: between pulls, A",
    "phi_jsd": "phi histogram, divergence",
    "psi_jsd": "psi histogram, divergence",
    "omega_jsd": "omega histogram, divergence",
    "hbonds_i_i4": "i,i+4 H-bonds: steps as real",
    "hbonds_i_i3": "i,i+3 H-bonds: steps as real",
    "positive_phi": "residues with phi > 0",
    "left_turns": "left-handed turns",
    "inverted_centres": "frames with inverted centre",
    "clashes": "frames with a clash",
    "cis_omega": "cis peptide bonds",
    "ramachandran": "Ramachandran outliers",
    "twisted_omega": "twisted peptide bonds",
    "ca_outside": "successive CA out of range",
    "nearest_training": "nearest training frame, A",
    "auc": "two-sample AUC",
}


def quality_lines(table: "QualityTable") -> list[tuple[str, str]]:
    """The measures with a goal, for the console: 80 columns at most. quality.csv and report.md have all."""
    rows = [row for row in table.rows if row.goal and not math.isnan(row.generated)]
    head = ("figure", _columns("generated", "real", "goal", "met"))
    return [head, *((_short(row), _columns(*_cells(row))) for row in rows)]


def _short(row: "QualityRow") -> str:
    return _SHORT.get(row.key, row.label)


def _cells(row: "QualityRow") -> tuple[str, str, str, str]:
    return _number(row.generated), _number(row.real), row.goal_text, _met(row) or "-"


def _columns(generated: str, real: str, goal: str, met: str) -> str:
    return f"{generated:>9} {real:>8}  {goal:<19}  {met}".rstrip()


def _draw(folder: Path, report: Report) -> list[tuple[str, str]]:
    """Draw all figures; their names and what they show."""
    drawn = [
        ("cv.png", _draw_cv(folder / "cv.png", report)),
        ("film.png", _draw_film(folder / "film.png", report)),
        ("energies.png", _draw_energies(folder / "energies.png", report)),
    ]
    if report.generated.phi_psi.size and report.real.phi_psi.size:
        drawn.append(("ramachandran.png", _draw_ramachandran(folder / "ramachandran.png", report)))
    if report.generated.helix_bonds.size:
        drawn.append(("hydrogen_bonds.png", _draw_hydrogen_bonds(folder / "hydrogen_bonds.png", report)))
    return drawn


def _draw_cv(path: Path, report: Report) -> str:
    name, unit = _words(report.cv.name), _symbol(report.cv.unit)
    target_cv = report.target_cv
    target = None if target_cv is None or np.ptp(target_cv, axis=0).max() > 1e-3 else target_cv[0]
    pair = report.generated.cv, report.real.cv
    band = Band(f"{name}, {unit}", *pair, target, example=True)
    plot_bands(path, [band], report.times_ps)
    return (
        f"The {name} of the generated pulls (blue) and of the corresponding part of real pulls. "
        "Generated lines should follow the median (dashed) and stay in the shaded band."
    )


def _draw_film(path: Path, report: Report) -> str:
    first, last = _ends(report)
    steps, cv = report.film.steps, report.cv
    rows = []
    for label, frames in (("generated", report.film.generated), ("real", report.film.real)):
        turned = upright(frames, first, last)
        values = _cv_values(cv, frames)
        timed = label == "generated" or report.film.timed
        captions = [
            (f"{report.times_ps[step]:.4g} ps\n" if timed else "") + f"{value:.1f} {_symbol(cv.unit)}"
            for step, value in zip(steps, values, strict=True)
        ]
        rows.append(FilmRow(label, turned, captions))
    together = np.concatenate([row.positions for row in rows])
    pictures = render_frames(report.structure, together)
    if pictures is not None:
        half = len(rows[0].positions)
        rows = [
            FilmRow(row.label, row.positions, row.captions, part)
            for row, part in zip(rows, (pictures[:half], pictures[half:]), strict=True)
        ]
    elements = [str(element) for element in report.structure.elements]
    plot_film_strip(path, rows, report.structure.bonds, elements)
    same = "times" if report.film.timed else "values of the CV"
    return (
        f"Frames of generated {report.names[0]} and real {report.real_names[0]} at the same {same}, "
        "from the start (left) to the end (right)."
    )


def _draw_energies(path: Path, report: Report) -> str:
    pair = report.generated.energies, report.real.energies
    bands = [
        Band(f"{name} energy, kcal/mol", pair[0][..., i], pair[1][..., i]) for i, name in enumerate(ENERGIES)
    ]
    plot_bands(path, bands, report.times_ps)
    return (
        "TorchMD energies of bonds, angles and torsions. Above the band: distorted geometry; below it: too "
        "little fluctuation."
    )


def _draw_ramachandran(path: Path, report: Report) -> str:
    flat = [measured.phi_psi[:, 1:].reshape(-1, 2) for measured in (report.generated, report.real)]
    plot_ramachandran(path, flat[0], flat[1])
    return "phi and psi of every residue. Generated dots should cover the same regions as real ones."


def _draw_hydrogen_bonds(path: Path, report: Report) -> str:
    generated, real = report.generated.helix_bonds, report.real.helix_bonds
    labels = ("CO(i) to NH(i+3) bonds (3-10 helix)", "CO(i) to NH(i+4) bonds (alpha helix)")
    bands = [Band(label, generated[..., i], real[..., i], average="mean") for i, label in enumerate(labels)]
    plot_bands(path, bands, report.times_ps)
    return (
        "Hydrogen bonds that hold the helix (Kabsch and Sander's energy). They should break at the same "
        "steps as in real pulls."
    )


def _page(report: Report, figures: Sequence[tuple[str, str]]) -> str:
    """The text of report.md."""
    (n_pulls, n_frames), n_real = report.generated.cv.shape, len(report.real_names)
    compared = (
        f"{n_pulls} generated pull{'s' * (n_pulls > 1)} of {n_frames - 1} steps against "
        f"{n_real} held-out real pull{'s' * (n_real > 1)}, step by step."
    )
    lines = [
        "# Generated pulls compared with real ones",
        "",
        compared,
        "",
        *(f"* {note}" for note in report.notes),
        *([""] if report.notes else []),
        "## Can these pulls be trusted?",
        "",
        report.verdict,
        "",
        *_baseline_lines(report),
        "## Figures in numbers",
        "",
        "*real* is the same figure of real pulls against other real pulls: what a perfect generator gets.",
        "",
        "| figure | generated | real | goal | met |",
        "|---|---|---|---|---|",
        *(
            f"| {_escaped(row.label)} | {_number(row.generated)} | {_number(row.real)} "
            f"| {row.goal_text} | {_met(row)} |"
            for row in report.quality.rows
        ),
        "",
        "## Faults",
        "",
        "| share of | generated | real |",
        "|---|---|---|",
        *(f"| {name} | {generated} | {real} |" for name, generated, real in _fault_rows(report)),
        "",
    ]
    lines += ["## Pictures", ""]
    for name, text in figures:
        lines += [text, "", f"![{name.removesuffix('.png')}]({name})", ""]
    lines.append(
        "All numbers are in cv.csv (one row per generated frame), real.csv (the real curves), quality.csv "
        "and report.json."
    )
    return "\n".join(lines) + "\n"


def _baseline_lines(report: Report) -> list[str]:
    """The section on the baselines."""
    if report.baselines is None:
        return []
    names = [column.name for column in report.baselines.baselines]
    return [
        "## Beside what needs no model",
        "",
        "The same measures for frames that anybody has without a model, at the CVs of the generated frames. "
        "*real*: real frames of these CVs; for distances to training frames, held-out frames.",
        "",
        f"| measure | generated | real | {' | '.join(names)} |",
        "|---" * (3 + len(names)) + "|",
        *(f"| {label} | {' | '.join(values)} |" for label, values in report.baselines.rows()),
        "",
    ]


def _fault_rows(report: Report) -> Iterator[tuple[str, str, str]]:
    """Each fault with its share in both sets; the start frame is not generated and does not count."""
    for name, label in FAULTS.items():
        generated, real = report.generated.faults[name], report.real.faults[name]
        if np.isfinite(generated).all():
            yield label, f"{100 * generated[:, 1:].mean():.2f} %", f"{100 * real.mean():.2f} %"


def _json(report: Report) -> str:
    content = {
        **report.provenance,
        "pulls": list(report.names),
        "held_out_pulls": list(report.real_names),
        "notes": list(report.notes),
        "quality": report.quality.to_dict(),
        "verdict": report.verdict,
        "baselines": None if report.baselines is None else report.baselines.to_dict(),
        "faults": [
            {"share_of": name, "generated": generated, "real": real}
            for name, generated, real in _fault_rows(report)
        ],
    }
    return json.dumps(content, indent=1, sort_keys=True, allow_nan=False) + "\n"


def _cv_values(cv: "CollectiveVariable", frames: Floats) -> Floats:
    import torch

    from smdgen.geometry.cvs import evaluate

    values: Floats = evaluate(cv, torch.from_numpy(np.asarray(frames, dtype=np.float64))).numpy()
    return values


def _ends(report: Report) -> tuple[Sequence[int], Sequence[int]]:
    """Atoms at the two ends of the pulled direction."""
    groups = report.cv.groups
    if len(groups) > 1:
        return groups[0], groups[-1]
    return [0], [report.structure.n_atoms - 1]


def _words(name: str) -> str:
    return "end-to-end distance" if name == "end_to_end" else name.replace("_", " ")


def _symbol(unit: str) -> str:
    """The unit as a figure shows it."""
    return {"A": "\u00c5", "deg": "\u00b0"}.get(unit, unit)


def _number(value: float) -> str:
    return "-" if math.isnan(value) else "0" if abs(value) < 5e-5 else f"{value:.3g}"


def _met(row: "QualityRow") -> str:
    return "" if row.met is None else "yes" if row.met else "no"


def _escaped(text: str) -> str:
    """Text for a cell of a Markdown table."""
    return text.replace("|", "\\|")
