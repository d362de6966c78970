"""Notes know their file, so that many files make one line; no program reads what a note or an error says."""

import ast
import pickle
from pathlib import Path

from smdgen.notes import Note, joined

PACKAGE = Path(__file__).parents[1] / "smdgen"

#: Methods of text, and functions over it, by which a program would read a message.
READERS = {"startswith", "endswith", "partition", "rpartition", "find", "index", "removesuffix"}
READERS |= {"removeprefix", "findall", "match", "search", "fullmatch", "sub", "split"}
MESSAGES = {"note", "notes", "error", "reason", "message", "messages", "warning", "warnings"}

#: What other programs say and no type tells: torch's lack of memory, OpenMM's missing templates, the library
#: that raised an error; and the command line's own.
FOREIGN = {
    "smdgen/errors.py": {"is_out_of_memory"},
    "smdgen/forcefield/system.py": {"_reason"},
    "smdgen/workers.py": {"result_of"},
    "smdgen/cli/console.py": None,
}


def test_a_note_is_its_text_after_its_file():
    note = Note("line 3 is cut", "a.traj")
    assert note == "a.traj: line 3 is cut"
    assert (note.text, note.file) == ("line 3 is cut", "a.traj")
    again = pickle.loads(pickle.dumps(note))  # as between processes
    assert (again, again.text, again.file, again.kind) == (note, note.text, note.file, note.kind)


def test_the_same_note_on_many_files_is_one_line():
    many = [Note("jumps: once", f"{i}.dcd") for i in range(4)]
    few = [Note("has no end", f"{i}.dcd") for i in (1, 0, 1)]
    plain = ["no.file: as it is", "no.file: as it is"]
    assert joined([*plain[:1], *many, *few, *plain[1:]]) == (
        "no.file: as it is",
        "0.dcd and 3 more: jumps: once",
        "1.dcd: has no end",
        "0.dcd: has no end",
    )


def test_notes_of_one_kind_are_one_line_though_their_texts_differ():
    notes = [Note(f"not read: line {i}", f"{i}.traj", kind="not read") for i in range(3)]
    assert joined(notes) == ("0.traj and 2 more: not read: line 0",)
    assert joined(notes[:2]) == tuple(notes[:2])


def reads_messages(source: str, allowed: set[str]) -> list[int]:
    """Lines that search or take apart what a note or an error says, outside of some functions."""
    tree = ast.parse(source)
    passed = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name in allowed
        for part in ast.walk(node)
    }
    return sorted(node.lineno for node in ast.walk(tree) if id(node) not in passed and _reads(node))


def _reads(node: ast.AST) -> bool:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in READERS:
        if node.func.attr == "split" and not node.args:  # as in " ".join(text.split()), which reads nothing
            return False
        parts = [node.func.value, *node.args]
    elif isinstance(node, ast.Compare) and any(isinstance(test, ast.In | ast.NotIn) for test in node.ops):
        parts = node.comparators
    else:
        return False
    inside = [part for own in parts for part in ast.walk(own)]
    return any(getattr(part, "id", getattr(part, "attr", None)) in MESSAGES for part in inside)


def test_the_search_finds_programs_that_read_messages():
    lines = [
        "any(WORDS in note for note in x.notes)",
        're.sub("^frame", "", str(error))',
        'note.partition(": ")',
        'str(error).removeprefix("a")',
        "show(' '.join(str(error).split()))",
        "for note in notes: show(note)",
    ]
    assert reads_messages("\n".join(lines), set()) == [1, 2, 3, 4]


def test_no_program_reads_messages():
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE.parent).as_posix()
        allowed = FOREIGN.get(name, set())
        if allowed is not None:
            found[name] = reads_messages(path.read_text(encoding="utf-8"), allowed)
    assert {name: lines for name, lines in found.items() if lines} == {}
