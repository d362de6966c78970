"""Errors a user can cause or meet, each with the exit code it leads to."""


class SmdgenError(Exception):
    """One line that says what was found, what was expected and what to do next."""

    exit_code = 1


class ConfigError(SmdgenError):
    """A wrong option, setting, selection or collective variable."""

    exit_code = 2


class TopologyError(SmdgenError):
    """A structure file that is missing, unreadable or does not fit."""

    exit_code = 2


class TrajectoryError(SmdgenError):
    """A trajectory file that is missing, damaged or does not fit."""

    exit_code = 2


class ArtifactError(SmdgenError):
    """A file of the run folder that is missing, damaged, of another model, or in the way."""

    exit_code = 2


class WriteError(ArtifactError):
    """A file that cannot be written: the disk is full, or the place may not be written to."""

    exit_code = 1


class SimulationError(SmdgenError):
    """A simulation that could not be finished."""


class TrainingError(SmdgenError):
    """A training run that could not be finished."""


class WorkerError(SmdgenError):
    """A process of a pool or cluster that ended without an answer."""


#: What torch says when there is no memory left: on a processor, on a GPU, in a library of the GPU.
_NO_MEMORY = ("DefaultCPUAllocator", "out of memory", "ALLOC_FAILED")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, of the machine or of its GPU; torch has no one type for that."""
    return isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY)
