"""Every named variant of every format gets the verdict of the table: read, noted, or refused in one line."""

import re
from collections import Counter
from pathlib import Path

import pytest

from smdgen.errors import SmdgenError
from tests.faults.content import Content, difference, read_content
from tests.faults.originals import FILES, Originals, make_originals
from tests.faults.variants import NOTED, READ, REFUSED, Variant, variants

VARIANTS = variants()


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Originals:
    return make_originals(tmp_path_factory.mktemp("sound"))


@pytest.fixture(scope="module")
def expected(originals: Originals) -> dict[str, Content]:
    return {kind: read_content(kind, originals.path(kind), originals) for kind in FILES}


def test_sound_files_are_read_without_a_remark(expected: dict[str, Content]) -> None:
    notes = {kind: content.notes for kind, content in expected.items()}
    assert notes.pop("models") == ("models.pdb: a PDB holds no times; frames are numbered instead",)
    assert not any(notes.values()), notes


@pytest.mark.parametrize("variant", VARIANTS, ids=[f"{v.kind}: {v.name}" for v in VARIANTS])
def test_verdict(
    variant: Variant, originals: Originals, expected: dict[str, Content], tmp_path: Path
) -> None:
    path = tmp_path / originals.path(variant.kind).name
    variant.make(originals, path)
    try:
        found = read_content(variant.kind, path, originals)
    except SmdgenError as error:
        verdict, said, code = REFUSED, [str(error)], error.exit_code
    else:
        sound = expected[variant.kind]
        said = sorted(set(found.notes) - set(sound.notes))
        verdict, code = NOTED if said else READ, 0
        assert not variant.same or difference(sound, found) == ""
    assert verdict in variant.verdict, said
    assert code == (2 if verdict == REFUSED else 0)
    assert any(re.search(variant.words, line) for line in said) or not variant.words, said
    if verdict == REFUSED:
        assert "\n" not in said[0]
        assert len(said[0]) < 1000


def test_there_are_enough_of_every_kind() -> None:
    counts = Counter(variant.kind for variant in VARIANTS)
    assert len(VARIANTS) >= 300
    assert set(counts) == set(FILES)
    assert len({(variant.kind, variant.name) for variant in VARIANTS}) == len(VARIANTS)
