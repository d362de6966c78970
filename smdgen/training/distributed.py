"""The processes that `torchrun` started; the only one where it did not."""

import contextlib
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, NoReturn

from smdgen.errors import TrainingError

if TYPE_CHECKING:  # the command line asks for the rank, and loads neither torch nor HDF5 for that
    from torch import Tensor, nn

    from smdgen.store.run_record import RunFolder


def rank() -> int:
    """0 for the first."""
    return _number("RANK", 0)


def local_rank() -> int:
    """0 for the first on this machine."""
    return _number("LOCAL_RANK", 0)


def count() -> int:
    """All processes of the training, on all machines."""
    return _number("WORLD_SIZE", 1)


def exit_process(code: int) -> NoReturn:
    """End this process with an exit code.

    One of several ends at once: after the others were lost, threads of gloo may still run, and C++ aborts
    (signal 6 in the place of the exit code) when the interpreter takes their group apart.
    """
    if count() > 1:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):
                stream.flush()
        os._exit(code)
    sys.exit(code)


def is_rank_zero() -> bool:
    """Whether this is the process that writes and prints: the first of several, or the only one."""
    return rank() == 0


def lock_once(folder: "RunFolder") -> contextlib.AbstractContextManager[None]:
    """The lock of the run folder, held by the process that writes."""
    return folder.lock() if is_rank_zero() else contextlib.nullcontext()


@contextlib.contextmanager
def training_group(device: str) -> Iterator[None]:
    """Join the other processes that `torchrun` started, if it did; leave them at the end.

    Raises:
        TrainingError: The others do not answer.
    """
    if count() == 1:
        yield
        return
    from torch import distributed

    from smdgen.training.devices import resolve

    backend = "nccl" if resolve(device).startswith("cuda") else "gloo"
    try:
        distributed.init_process_group(backend)
    except (RuntimeError, ValueError) as error:
        raise TrainingError(
            f"process {rank()} of {count()} does not reach the others ({error}); "
            "see that torchrun started all of them"
        ) from error
    try:
        yield
    finally:
        distributed.destroy_process_group()


def group_place() -> tuple[int, int]:
    """Number of this process among those that train together, from 0, and how many these are."""
    from torch import distributed

    if not (distributed.is_available() and distributed.is_initialized()):
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def own_rows(n: int) -> slice:
    """The rows of a batch of n that this process computes: all where there are fewer than processes."""
    rank, size = group_place()
    return slice(0, n) if n < size else slice(n * rank // size, n * (rank + 1) // size)


def average_gradients(parameters: "Iterable[nn.Parameter]") -> None:
    """Replace every gradient by its mean over the processes; does nothing where there is one."""
    import torch

    if group_place()[1] == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    _average(flat)
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def average_values(values: Mapping[str, float]) -> dict[str, float]:
    """Mean over the processes of each value, which all name alike."""
    import torch
    from torch import distributed

    if group_place()[1] == 1:
        return dict(values)
    device = f"cuda:{local_rank()}" if distributed.get_backend() == "nccl" else "cpu"
    found = torch.tensor(list(values.values()), dtype=torch.float64, device=device)
    _average(found)
    return dict(zip(values, found.tolist(), strict=True))


def _average(values: "Tensor") -> None:
    """Replace values by their mean over the processes.

    Raises:
        TrainingError: Another process has ended.
    """
    from torch import distributed

    rank, size = group_place()
    try:
        distributed.all_reduce(values)
    except RuntimeError as error:
        raise TrainingError(
            f"process {rank} of {size} lost the others "
            f"({str(error).splitlines()[0]}); see what the one that ended first says"
        ) from error
    values /= size


def _number(name: str, alone: int) -> int:
    """What torchrun says; other programs set only some of these."""
    if "MASTER_ADDR" not in os.environ or "RANK" not in os.environ:
        return alone
    return int(os.environ.get(name, alone))
