"""Work done by a moving harmonic restraint, and the free energy that repeated pulls estimate from it."""

import math

import numpy as np

from smdgen.arrays import FloatArray
from smdgen.errors import ConfigError
from smdgen.units import BOLTZMANN


def work_of_move(cv: float, old_centre: float, new_centre: float, spring_constant: float) -> float:
    """Work that a sudden move of the restraint centre does on a system that stands still meanwhile.

    `W = U(d, c') - U(d, c)` with `U = k/2 (d - c)^2`, which is the exact work of a protocol that moves
    in steps, however long the steps are.

    | symbol | variable | unit |
    |---|---|---|
    | d | `cv` | A |
    | c, c' | `old_centre`, `new_centre` | A |
    | k | `spring_constant` | kcal/mol/A^2 |

    Returns:
        kcal/mol. The sum over all moves is the accumulated work.

    Source: C. Jarzynski, Phys. Rev. E 56, 5018 (1997), the discrete form in section III.
    """
    return 0.5 * spring_constant * ((cv - new_centre) ** 2 - (cv - old_centre) ** 2)


def jarzynski_profile(work: FloatArray, temperature: float) -> FloatArray:
    """Free-energy profile from the exponential average of the work of repeated pulls.

    `F = -kT ln <exp(-W / kT)>`, the mean over pulls, computed without overflow. It belongs to the system with
    the spring, as a function of the restraint centre; it is no potential of mean force along the CV.

    Args:
        work: (n_pulls, ...), kcal/mol. Work done by the spring since step 0.
        temperature: K.

    Returns:
        (...), kcal/mol, relative to step 0.

    Raises:
        ConfigError: Fewer than two pulls, or a temperature not above zero.

    Source: C. Jarzynski, Phys. Rev. Lett. 78, 2690 (1997).
    """
    work = np.asarray(work, dtype=np.float64)
    if work.ndim < 1 or work.shape[0] < 2:
        raise ConfigError(
            f"the Jarzynski estimate needs at least 2 pulls, found {work.shape[0] if work.ndim else 1}"
        )
    if not (math.isfinite(temperature) and temperature > 0):
        raise ConfigError(f"the Jarzynski estimate needs a temperature above 0 K, found {temperature}")
    reduced = -work / (BOLTZMANN * temperature)
    largest = reduced.max(axis=0)
    mean = np.exp(reduced - largest).mean(axis=0)
    profile: FloatArray = -BOLTZMANN * temperature * (largest + np.log(mean))
    return profile
