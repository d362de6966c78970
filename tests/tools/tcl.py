"""As much of Tcl as view scripts use, so that they can be run where there is no tclsh."""

from collections.abc import Callable
from pathlib import Path

Command = Callable[[list[str]], str]

_ESCAPES = {"n": "\n", "t": "\t", "\n": " "}


class TclError(Exception):
    """What Tcl would stop with."""


class Tcl:
    """An interpreter with variables and commands; a subclass adds the commands of a program."""

    def __init__(self) -> None:
        self.script = Path()
        self.output: list[str] = []
        self.variables: dict[str, str] = {}
        self.commands: dict[str, Command] = {
            "set": self._set,
            "list": join_list,
            "lindex": lambda a: (split_list(a[0])[int(a[1]) :] or [""])[0],
            "llength": lambda a: str(len(split_list(a[0]))),
            "lappend": self._lappend,
            "foreach": self._foreach,
            "puts": self._puts,
            "file": _file,
            "info": lambda a: str(self.script) if a == ["script"] else _fail(f"info {a}"),
        }

    def source(self, script: Path) -> None:
        """Run a file."""
        self.script = script
        self.run(script.read_text(encoding="utf-8"))

    def run(self, text: str) -> str:
        """Run commands; the value of the last one."""
        value, position = "", 0
        while position < len(text):
            words, position = self._words(text, position, "")
            if words:
                if words[0] not in self.commands:
                    raise TclError(f'invalid command name "{words[0]}"')
                value = self.commands[words[0]](words[1:])
        return value

    def _words(self, text: str, at: int, end: str) -> tuple[list[str], int]:
        """The words of one command and where the next begins; `end` closes a command in brackets."""
        words: list[str] = []
        while at < len(text):
            letter = text[at]
            if letter in "\n;" or letter == end:
                return words, at + 1
            if letter in " \t" or text.startswith("\\\n", at):
                at += 1 if letter in " \t" else 2
            elif letter == "#" and not words:
                at = len(text) if "\n" not in text[at:] else text.index("\n", at)
            else:
                word, at = self._word(text, at, end)
                words.append(word)
        if end:
            raise TclError("missing close-bracket")
        return words, at

    def _word(self, text: str, at: int, end: str) -> tuple[str, int]:
        if text[at] == "{":
            word, after = braced(text, at)
        elif text[at] == '"':
            word, after = self._substitute(text, at + 1, '"')
            after += 1
        else:
            return self._substitute(text, at, " \t\n;" + end)
        if after < len(text) and text[after] not in " \t\n;" + end:
            raise TclError(f"extra characters after close: {text[at : after + 5]!r}")
        return word, after

    def _substitute(self, text: str, at: int, ends: str) -> tuple[str, int]:
        """Text up to one of `ends` with $variables, [commands] and backslashes replaced."""
        out = ""
        while at < len(text) and text[at] not in ends:
            if text[at] == "\\":
                out += _ESCAPES.get(text[at + 1], text[at + 1])
                at += 2
            elif text[at] == "[":
                words, at = self._words(text, at + 1, "]")
                out += self.commands.get(words[0], lambda a: _fail(f"no command for {a}"))(words[1:])
            elif text[at] == "$":
                stop = at + 1
                while stop < len(text) and (text[stop].isalnum() or text[stop] == "_"):
                    stop += 1
                name = text[at + 1 : stop]
                if name not in self.variables:
                    raise TclError(f'can\'t read "{name}": no such variable')
                out, at = out + self.variables[name], stop
            else:
                out, at = out + text[at], at + 1
        if ends == '"' and at >= len(text):
            raise TclError('missing "')
        return out, at

    def _set(self, a: list[str]) -> str:
        if len(a) == 2:
            self.variables[a[0]] = a[1]
        return self.variables[a[0]]

    def _lappend(self, a: list[str]) -> str:
        old = split_list(self.variables.get(a[0], ""))
        self.variables[a[0]] = join_list(old + a[1:])
        return self.variables[a[0]]

    def _foreach(self, a: list[str]) -> str:
        name, values, body = a
        for value in split_list(values):
            self.variables[name] = value
            self.run(body)
        return ""

    def _puts(self, a: list[str]) -> str:
        self.output.append(a[-1])
        return ""


def braced(text: str, at: int) -> tuple[str, int]:
    """The inside of the braces that open at `at` and the place behind them."""
    depth, i = 0, at
    while i < len(text):
        if text[i] == "\\":
            i += 1
        elif text[i] in "{}":
            depth += 1 if text[i] == "{" else -1
            if depth == 0:
                return text[at + 1 : i], i + 1
        i += 1
    raise TclError("missing close-brace")


def split_list(text: str) -> list[str]:
    """The elements of a Tcl list."""
    out, at = [], 0
    while at < len(text):
        if text[at].isspace():
            at += 1
        elif text[at] == "{":
            word, at = braced(text, at)
            out.append(word)
        else:
            word = ""
            while at < len(text) and not text[at].isspace():
                at += text[at] == "\\"
                word, at = word + text[at], at + 1
            out.append(word)
    return out


def join_list(elements: list[str]) -> str:
    """A Tcl list of the elements."""
    plain = [all(c.isalnum() or c in "._/-+=:" for c in e) and e != "" for e in elements]
    quoted = ["".join(c if c.isalnum() else "\\" + c for c in e) or "{}" for e in elements]
    return " ".join(e if p else q for e, p, q in zip(elements, plain, quoted, strict=True))


def _file(a: list[str]) -> str:
    path = Path(a[-1])
    if a[0] == "join":
        return str(Path(*a[1:]))
    known = {
        "dirname": path.parent,
        "tail": path.name,
        "rootname": path.with_suffix(""),
        "normalize": Path.cwd() / path,
    }
    return str(known[a[0]]) if a[0] in known else _fail(f"file {a[0]}")


def _fail(text: str) -> str:
    raise TclError(text)
