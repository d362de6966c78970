"""Types of arrays and of choices among them; shapes and units stand where they are used."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Numbers of any precision, and in double precision.
Floats = NDArray[np.floating[Any]]
FloatArray = NDArray[np.float64]

#: Places in another array, 0-based.
Indices = NDArray[np.int64]

#: Whether each entry is meant.
Mask = NDArray[np.bool_]

#: Coordinates (..., n_atoms, 3), A, as files hold them.
Positions = NDArray[np.float32]

#: Frames of a trajectory by number, 0-based, in any order, or by a slice; None: all.
FrameChoice = slice | NDArray[np.integer] | Sequence[int] | None

#: Atoms of a frame by number, 0-based, or by a slice.
AtomChoice = slice | NDArray[np.int64]
