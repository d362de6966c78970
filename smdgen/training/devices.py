"""On which device a training computes, and with how many threads."""

import torch

from smdgen.errors import ConfigError, is_out_of_memory
from smdgen.training import distributed

#: Modelled atoms up to which one thread is the fastest.
_ONE_THREAD_ATOMS = 500


def choose_device(name: str, n_atoms: int, threads: int | None = None) -> torch.device:
    """The device to compute on, and the thread count set to go with it.

    Raises:
        ConfigError: A device that this machine or torch does not have.
    """
    name = resolve(name)
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
        if device.type == "meta":  # it takes tensors and holds no numbers
            raise RuntimeError(name)
    except (RuntimeError, AssertionError) as error:
        if is_out_of_memory(error):
            raise
        raise ConfigError(
            f"device {name!r} is not usable here; give --device cpu, or leave it out"
        ) from error
    use_threads(n_atoms, threads)
    return device


def use_threads(n_atoms: int, threads: int | None = None) -> None:
    """Give torch the threads asked for, or one for a small system, where more only wait for each other."""
    if threads or n_atoms <= _ONE_THREAD_ATOMS:
        torch.set_num_threads(threads or 1)


def resolve(name: str) -> str:
    """The name of the device meant by `auto`, and of one GPU a process where there are several."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return f"cuda:{distributed.local_rank()}" if name == "cuda" and distributed.count() > 1 else name
