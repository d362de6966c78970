"""Numbers too large for a PDB's columns, as hybrid-36 writes them."""


def decode_hybrid36(text: str, width: int) -> int:
    """A number as hybrid-36 writes it: decimal, then A000 to ZZZZ, then a000 to zzzz (for width 4).

    Source: R. W. Grosse-Kunstleve, cctbx, "Hybrid-36".
    """
    if text.lstrip("-").isdecimal() or len(text) != width:
        return int(text)
    if text != text.upper() and text != text.lower():
        raise ValueError(f"mixed case in {text!r}")
    offset = -10 * 36 ** (width - 1) if text == text.upper() else 16 * 36 ** (width - 1)
    return int(int(text, 36) + offset + 10**width)


def encode_hybrid36(number: int, width: int) -> str:
    """The inverse of `decode_hybrid36`, right-justified; numbers beyond it start again."""
    if -(10 ** (width - 1)) < number < 10**width:
        return f"{number:{width}d}"
    rest = (number - 10**width) % (52 * 36 ** (width - 1))
    block = 26 * 36 ** (width - 1)
    value = rest % block + 10 * 36 ** (width - 1)
    digits = ""
    while value:
        value, digit = divmod(value, 36)
        digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[digit] + digits
    return digits if rest < block else digits.lower()
