"""Damaged structure files of every format: refused in one line, or harmless."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smdgen.errors import SmdgenError, TopologyError
from smdgen.io.structures.mmcif import read_mmcif
from smdgen.io.structures.pdb import read_pdb
from smdgen.io.structures.prmtop import read_prmtop
from smdgen.io.structures.psf import read_psf
from tests.io.structures import test_mmcif, test_pdb, test_prmtop, test_psf

#: Reader, a sound text, most atoms that a damaged one can have, and texts that are broken, by their names.
FORMATS = {
    "cif": (read_mmcif, test_mmcif.MMCIF, 9, test_mmcif.BROKEN),
    "pdb": (read_pdb, test_pdb.GLYCINES, 8, test_pdb.BROKEN),
    "prmtop": (read_prmtop, test_prmtop.PRMTOP, 7, test_prmtop.BROKEN),
    "psf": (read_psf, test_psf.WATER, 3, test_psf.BROKEN),
}
CASES = [(kind, name) for kind, (*_, broken) in FORMATS.items() for name in broken]


@pytest.mark.parametrize(("kind", "name"), CASES, ids=[" ".join(case) for case in CASES])
def test_what_is_broken_is_refused_in_one_line(tmp_path, kind, name):
    read, _, _, broken = FORMATS[kind]
    path = tmp_path / f"x.{kind}"
    path.write_bytes(broken[name].encode("latin-1"))
    with pytest.raises(TopologyError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", FORMATS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(share=st.floats(0, 1, exclude_max=True), letter=st.characters(max_codepoint=255), cut=st.booleans())
def test_any_damage_is_an_error_of_ours_or_harmless(tmp_path, kind, share, letter, cut):
    read, text, most, _ = FORMATS[kind]
    place = int(share * len(text))
    path = tmp_path / f"x.{kind}"
    damaged = text[:place] if cut else text[:place] + letter + text[place + 1 :]
    path.write_bytes(damaged.encode("latin-1"))
    try:
        found = read(path)
    except SmdgenError as error:
        message = str(error)
        assert "\n" not in message
    else:
        assert 1 <= found.n_atoms <= most
        assert (found.bonds < found.n_atoms).all()
        assert found.positions is None or np.isfinite(found.positions).all()
