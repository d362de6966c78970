"""Random damage of the kinds that disks, networks, editors and crashed programs do."""

import re
from collections.abc import Callable

import numpy as np

_NUMBER = re.compile(rb"-?\d+\.\d+(?:[eE][-+]?\d+)?|-?\d+")
_ODD_NUMBERS = (
    b"nan",
    b"inf",
    b"-1",
    b"0",
    b"1e30",
    b"999999999",
    b"-2147483648",
    b"99999999999999999999",
    b"1.5",
)
_ODD_WORDS = (0, 1, 0xFFFFFFFF, 0x7FFFFFFF, 0x80000000, 0x7FC00000, 0x7F800000, 0x7149F2CA, 1_000_000)

Mutation = Callable[[bytes, np.random.Generator], bytes]


def flip_bytes(content: bytes, random: np.random.Generator) -> bytes:
    """One to four bytes become others."""
    changed = bytearray(content)
    for place in random.integers(0, len(content), random.integers(1, 5)):
        changed[place] ^= int(random.integers(1, 256))
    return bytes(changed)


def flip_bits(content: bytes, random: np.random.Generator) -> bytes:
    """One to four bits turn over."""
    changed = bytearray(content)
    for place in random.integers(0, len(content), random.integers(1, 5)):
        changed[place] ^= 1 << int(random.integers(0, 8))
    return bytes(changed)


def cut(content: bytes, random: np.random.Generator) -> bytes:
    """The end is lost, as after a crash or on a full disk."""
    return content[: random.integers(0, len(content))]


def cut_start(content: bytes, random: np.random.Generator) -> bytes:
    """The beginning is lost."""
    return content[random.integers(1, len(content)) :]


def insert_block(content: bytes, random: np.random.Generator) -> bytes:
    """Foreign bytes, zeros, or a copy of another part come in between."""
    place, length = random.integers(0, len(content) + 1), int(2 ** random.uniform(0, 12))
    start = random.integers(0, len(content))
    block = (random.bytes(length), bytes(length), content[start : start + length])[random.integers(0, 3)]
    return content[:place] + block + content[place:]


def delete_block(content: bytes, random: np.random.Generator) -> bytes:
    """Bytes in between are lost."""
    place, length = random.integers(0, len(content)), int(2 ** random.uniform(0, 12))
    return content[:place] + content[place + length :]


def zero_block(content: bytes, random: np.random.Generator) -> bytes:
    """A part that was never written to disk reads as zeros."""
    place, length = random.integers(0, len(content)), int(2 ** random.uniform(0, 12))
    lost = content[place : place + length]
    return content[:place] + bytes(len(lost)) + content[place + length :]


def swap_lines(content: bytes, random: np.random.Generator) -> bytes:
    """Two lines, or two blocks of a binary file, change places."""
    parts = content.split(b"\n") if _is_text(content) else _blocks(content)
    if len(parts) > 1:
        i, j = random.integers(0, len(parts), 2)
        parts[i], parts[j] = parts[j], parts[i]
    return (b"\n" if _is_text(content) else b"").join(parts)


def repeat_lines(content: bytes, random: np.random.Generator) -> bytes:
    """A line comes twice, or is lost."""
    parts = content.split(b"\n") if _is_text(content) else _blocks(content)
    place = int(random.integers(0, len(parts)))
    parts[place : place + 1] = [] if random.integers(0, 2) else [parts[place], parts[place]]
    return (b"\n" if _is_text(content) else b"").join(parts)


def replace_number(content: bytes, random: np.random.Generator) -> bytes:
    """A number becomes huge, negative, zero, NaN or the like; in binary files an aligned word does."""
    if not _is_text(content):
        place = int(random.integers(0, max(len(content) // 4, 1))) * 4
        word = int(random.choice(_ODD_WORDS)).to_bytes(4, "little" if random.integers(0, 2) else "big")
        return content[:place] + word + content[place + 4 :]
    found = list(_NUMBER.finditer(content))
    if not found:
        return content
    number = found[random.integers(0, len(found))]
    new = bytes(random.choice(_ODD_NUMBERS))
    if random.integers(0, 2):  # in its columns
        width = number.end() - number.start()
        new = new[:width].rjust(width)
    return content[: number.start()] + new + content[number.end() :]


def join(content: bytes, random: np.random.Generator) -> bytes:
    """The file follows itself, whole or in part, as after `cat`."""
    start = 0 if random.integers(0, 2) else int(random.integers(0, len(content)))
    return content + content[start:]


MUTATIONS: tuple[Mutation, ...] = (
    flip_bytes,
    flip_bits,
    cut,
    cut_start,
    insert_block,
    delete_block,
    zero_block,
    swap_lines,
    repeat_lines,
    replace_number,
    join,
)


def _is_text(content: bytes) -> bool:
    return b"\0" not in content[:4096]


def _blocks(content: bytes) -> list[bytes]:
    size = max(len(content) // 24, 1)
    return [content[start : start + size] for start in range(0, len(content), size)]
