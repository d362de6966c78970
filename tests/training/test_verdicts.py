"""Trained networks are compared with copies, and their frames with real ones."""

import math

import numpy as np
import torch

from smdgen.quality.frames import judge_frames
from smdgen.training.verdicts import Check, reconstruction_notes
from tests.tools.pulls import make_pull, make_structure

REAL = torch.from_numpy(np.stack([make_pull(40, seed) for seed in range(6)])).double()
SOUND = judge_frames(REAL[:3], REAL, make_structure())
BROKEN = judge_frames(REAL[:3] * 0.8, REAL, make_structure())


def test_an_autoencoder_that_is_worse_than_copies_is_noted():
    assert reconstruction_notes(0.8, 1.1, SOUND) == ()
    (note,) = reconstruction_notes(3.9, 1.8, SOUND)
    assert "held-out frames come back 3.90 A away, and the nearest training frame is 1.80 A away" in note


def test_broken_reconstructions_are_noted_with_the_worst_measure():
    (note,) = reconstruction_notes(0.8, 1.1, BROKEN)
    assert note.startswith("held-out frames come back not like MD: ")
    assert "successive CA" in note


def test_dynamics_worse_than_copies_are_noted():
    def notes(free, copies, frames=SOUND):
        return Check(0.5, free, copies, 1.0, (), frames).notes()

    assert notes(1.0, 0.95) == notes(math.nan, math.nan) == ()
    (note,) = notes(1.2, 0.95)
    assert "training frames of the same CV are closer to validation pulls (0.95 A)" in note
    (note,) = notes(1.0, 0.95, BROKEN)
    assert note.startswith("frames generated from validation pulls are not like MD: ")
