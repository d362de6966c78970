"""Compare our pulls of deca-alanine with NAMD's, side by side.

    python -m benchmarks.science.against_namd [examples/deca_alanine/pulls]

Judged: the mean CV at every restraint centre from 14 to 34 A (to agree within 0.5 A) and the standard
deviation of the final work (within a factor of 1.5). Printed beside them: the mean work, and the mean CV
around each centre as the work implies it, CV = centre - dW/dcentre / k, which uses every time step instead of
one frame and so shows what is noise. Exit code 1 if a judged measure is outside its bound.

The solvent models differ, so the work does too: docs/simulate.md explains by how much and why. Where the NAMD
numbers are from stands in `namd_deca_alanine.csv` beside this script.
"""

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from smdgen.io.tables.colvars import read_colvars_traj
from smdgen.steered_md.work import jarzynski_profile

HERE = Path(__file__).resolve().parent
REFERENCE = HERE / "namd_deca_alanine.csv"
PULLS = HERE.parents[1] / "examples" / "deca_alanine" / "pulls"

CV_TOLERANCE = 0.5  # A
WORK_SPREAD_FACTOR = 1.5
TEMPERATURE = 300.0  # K
SPRING_CONSTANT = 1.0  # kcal/mol/A^2
N_NAMD_PULLS = 50

FloatArray = NDArray[np.float64]


class Statistics(NamedTuple):
    """Mean and spread over pulls at each restraint centre."""

    centre: FloatArray  # (n,), A
    cv_mean: FloatArray  # (n,), A
    cv_sd: FloatArray  # (n,), A
    work_mean: FloatArray  # (n,), kcal/mol
    work_sd: FloatArray  # (n,), kcal/mol
    jarzynski: FloatArray  # (n,), kcal/mol


class Verdict(NamedTuple):
    """The measures that are judged."""

    cv_difference: FloatArray  # (n,), A, ours - NAMD's
    spread_ratio: float  # ours / NAMD's, of the final work

    @property
    def passed(self) -> bool:
        """Whether both lie inside their bounds."""
        spread = max(self.spread_ratio, 1 / self.spread_ratio)
        return bool(np.abs(self.cv_difference).max() <= CV_TOLERANCE) and spread <= WORK_SPREAD_FACTOR


def read_reference(path: Path = REFERENCE) -> Statistics:
    """NAMD's statistics."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    return Statistics(*np.loadtxt(lines, delimiter=",", skiprows=1, unpack=True))


def read_pulls(folder: Path, centres: FloatArray) -> tuple[Statistics, int]:
    """Our statistics at the same centres, interpolated between frames, and the number of pulls."""
    tables = [read_colvars_traj(path) for path in sorted(folder.glob("pull_*.colvars.traj"))]
    if len(tables) < 2:
        sys.exit(f"{len(tables)} pulls in {folder}, expected at least 2; make them with `smdgen simulate`")
    cv, work = [], []
    for table in tables:
        names = {name[:2]: name for name in table.columns if name[:2] in ("x0", "W_")}
        centre = table.columns[names["x0"]]
        cv.append(np.interp(centres, centre, table.columns[names["x0"].removeprefix("x0_")]))
        work.append(np.interp(centres, centre, table.columns[names["W_"]]))
    values, works = np.array(cv), np.array(work)
    statistics = Statistics(
        centres,
        values.mean(axis=0),
        values.std(axis=0, ddof=1),
        works.mean(axis=0),
        works.std(axis=0, ddof=1),
        jarzynski_profile(works, TEMPERATURE),
    )
    return statistics, len(tables)


def cv_from_work(statistics: Statistics) -> FloatArray:
    """Mean CV implied by the mean work: the spring's force k (centre - CV) is dW/dcentre. (n,), A."""
    return statistics.centre - np.gradient(statistics.work_mean, statistics.centre) / SPRING_CONSTANT


def compare(ours: Statistics, namd: Statistics) -> Verdict:
    """The judged measures."""
    return Verdict(ours.cv_mean - namd.cv_mean, float(ours.work_sd[-1] / namd.work_sd[-1]))


def show(ours: Statistics, namd: Statistics, n_pulls: int) -> None:
    """Both side by side; `+-` is the standard error of the difference."""
    print(f"{n_pulls} pulls of smdgen (OpenMM, CHARMM36, OBC2), {N_NAMD_PULLS} of NAMD (CHARMM27, GBIS)\n")
    print(f"{'':8} | {'mean CV, A':43} | {'from the work, A':20} | work, kcal/mol")
    heads = ("ours (sd)", "NAMD (sd)", "diff", "+-", "ours", "NAMD", "diff", "ours (sd)", "NAMD (sd)")
    print("centre,A | {:15}{:14}{:8}{:6} | {:7}{:7}{:6} | {:15}{}".format(*heads))
    implied, theirs = cv_from_work(ours), cv_from_work(namd)
    error = np.sqrt(ours.cv_sd**2 / n_pulls + namd.cv_sd**2 / N_NAMD_PULLS)
    difference = ours.cv_mean - namd.cv_mean
    for i, centre in enumerate(namd.centre):
        print(
            f"{centre:8.1f} | {ours.cv_mean[i]:6.2f} ({ours.cv_sd[i]:.2f})  {namd.cv_mean[i]:6.2f} "
            f"({namd.cv_sd[i]:.2f})  {difference[i]:+6.2f}  {error[i]:5.2f}   | "
            f"{implied[i]:5.2f}  {theirs[i]:5.2f}  {implied[i] - theirs[i]:+5.2f}  | "
            f"{ours.work_mean[i]:6.2f} ({ours.work_sd[i]:.2f})  "
            f"{namd.work_mean[i]:6.2f} ({namd.work_sd[i]:.2f})"
        )


def main(folder: Path) -> int:
    """Print the comparison; 0 if both measures lie inside their bounds."""
    namd = read_reference()
    ours, n_pulls = read_pulls(folder, namd.centre)
    show(ours, namd, n_pulls)
    verdict = compare(ours, namd)
    difference = verdict.cv_difference
    worst = int(np.abs(difference).argmax())
    n_outside = int((np.abs(difference) > CV_TOLERANCE).sum())
    implied = cv_from_work(ours) - cv_from_work(namd)
    print(
        f"\nmean CV, ours - NAMD      largest {difference[worst]:+.2f} A at {namd.centre[worst]:.1f} A, "
        f"{n_outside} of {len(difference)} centres outside {CV_TOLERANCE} A; "
        f"rms {np.sqrt(np.mean(difference**2)):.2f} A"
    )
    print(f"the same from the work    largest {implied[np.abs(implied).argmax()]:+.2f} A")
    print(f"sd of the final work      {ours.work_sd[-1]:.2f} and {namd.work_sd[-1]:.2f} kcal/mol: ", end="")
    print(f"ratio {verdict.spread_ratio:.2f} (bound {WORK_SPREAD_FACTOR} either way)")
    print(f"mean final work           {ours.work_mean[-1]:.2f} and {namd.work_mean[-1]:.2f} kcal/mol")
    print(f"Jarzynski at the end      {ours.jarzynski[-1]:.2f} and {namd.jarzynski[-1]:.2f} kcal/mol")
    print("passed" if verdict.passed else "FAILED")
    return 0 if verdict.passed else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else PULLS))
