"""Trainings of a moment, and listeners that stop them or keep what they say."""

from smdgen.config import TrainLstmConfig, TrainVaeConfig
from smdgen.progress import Silent

VAE = TrainVaeConfig(epochs=3, hidden_size=16)
LSTM = TrainLstmConfig(epochs=3, hidden_size=8, critic_samples=0)


class Notes(Silent):
    """Keeps the notes."""

    def __init__(self):
        super().__init__()
        self.texts = []

    def note(self, text):
        self.texts.append(text)


class StopAtRollouts(Silent):
    """Presses Ctrl-C when the network is written and its errors are measured."""

    def start(self, label, total=None):
        if label == "validation rollouts":
            raise KeyboardInterrupt


class StopAfter(Silent):
    """Presses Ctrl-C after some epochs."""

    def __init__(self, epochs):
        super().__init__()
        self.left = epochs

    def advance(self, n=1, note=""):
        self.left -= bool(note)
        if note and self.left == 0:
            raise KeyboardInterrupt
