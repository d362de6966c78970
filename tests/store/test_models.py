"""Model files: what was saved comes back, and files of every layout generate what they did."""

import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from smdgen.errors import ArtifactError
from smdgen.geometry.frames import rmsd
from smdgen.io.structures.structure import structure_from_json
from smdgen.method.rollout import generate
from smdgen.store.artifacts import read_model, write_model
from smdgen.store.headers import AutoencoderHeader, header_of
from smdgen.store.manifest import read_manifest
from smdgen.store.models import AutoencoderFile, DynamicsFile, build_model
from smdgen.store.plain import from_plain, to_plain
from tests.store.make_golden import FOLDER, N_SAMPLES, N_STEPS, SEED
from tests.tools.models import autoencoder_header, dynamics_header, write_autoencoder, write_dynamics

GOLDEN = sorted(FOLDER.glob("*.tar.xz"))
SHIPPED = Path(__file__).parents[2] / "smdgen" / "models" / "deca_alanine"


@pytest.mark.parametrize("archive", GOLDEN, ids=lambda path: path.name.removesuffix(".tar.xz"))
def test_a_file_of_any_layout_generates_what_it_did_when_it_was_written(archive, tmp_path):
    with tarfile.open(archive) as tar:
        tar.extractall(tmp_path, filter="data")
    vae = AutoencoderFile.open(tmp_path / "vae.safetensors")
    dynamics = DynamicsFile.open(tmp_path / "lstm.safetensors")
    assert dynamics.header.vae_sha256 == vae.sha256
    model = build_model(vae, dynamics, structure_from_json(vae.header.structure))
    start, expected = (torch.from_numpy(np.load(tmp_path / f"{name}.npy")) for name in ("start", "frames"))
    found = generate(model, start, N_STEPS, N_SAMPLES, seed=SEED).positions
    assert float((found - expected).abs().max()) < 1e-3
    if vae.header.preset == "default":
        assert rmsd(expected[0, 1:], expected[1, 1:]).min() > 0.05, "two pulls differ"
        assert rmsd(expected[0, 1:], expected[0, :-1]).min() > 0.05, "frames differ"


def test_there_is_a_golden_file_of_each_kind():
    kinds = {path.name.removesuffix(".tar.xz") for path in GOLDEN}
    assert kinds >= {f"schema_1_{kind}" for kind in ("default", "aligned", "paper")}


@pytest.mark.parametrize(("name", "kind"), [("vae", AutoencoderFile), ("lstm", DynamicsFile)])
def test_a_file_that_is_read_and_saved_has_the_same_bytes(name, kind, tmp_path):
    kind.open(SHIPPED / f"{name}.safetensors").save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (SHIPPED / f"{name}.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sizes": "big"}, "sizes is 'big', expected an object"),
        ({"sizes": {"n_atoms": 4.0}}, "sizes.n_atoms is 4.0, expected int"),
        ({"preset": 3}, "preset is 3, expected str"),
        ({"epochs": True}, "epochs is True, expected int"),
        ({"bonds": [[0, 1, 2]]}, "bonds has 3 items, expected 2"),
        ({"bonds": 7}, "bonds is 7, expected a list"),
        ({"reach_A": float("nan")}, "reach_A is nan, expected float"),
        ({"reach_A": -1.0}, "reach_A is -1.0"),
        ({"more": 1}, "its header has an unknown 'more'"),
    ],
)
def test_a_header_with_a_wrong_field_is_refused_by_its_name(changes, said, tmp_path):
    path = tmp_path / "vae.safetensors"
    write_model(path, "vae", {"w": torch.zeros(1)}, {**to_plain(autoencoder_header()), **changes})
    with pytest.raises(ArtifactError) as error:
        header_of(read_manifest(path), AutoencoderHeader)
    assert said in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("field", to_plain(autoencoder_header()))
def test_a_header_that_lacks_a_field_is_refused_by_its_name(field, tmp_path):
    path = tmp_path / "vae.safetensors"
    header = {name: value for name, value in to_plain(autoencoder_header()).items() if name != field}
    write_model(path, "vae", {"landmarks": torch.zeros(1, 40, 3)}, header)
    with pytest.raises(ArtifactError, match=f"its header has no '{field}'"):
        AutoencoderFile.open(path)


def test_headers_come_back_from_json():
    for header in (autoencoder_header(), dynamics_header()):
        text = json.dumps(to_plain(header))
        again = from_plain(type(header), json.loads(text))
        assert json.dumps(to_plain(again)) == text
        assert again.sizes == header.sizes
    assert "critic" not in to_plain(dynamics_header())


def test_weights_landmarks_and_paths_keep_their_places(tmp_path):
    write_autoencoder(tmp_path / "vae")
    write_dynamics(tmp_path / "lstm")
    assert set(read_model(tmp_path / "vae", "vae")[0]) == {"weights.w", "landmarks"}
    assert set(read_model(tmp_path / "lstm", "lstm")[0]) == {"weights.w", "paths"}
    file = DynamicsFile.open(tmp_path / "lstm")
    assert (set(file.weights), file.critic, file.paths.shape) == ({"w"}, {}, (1, 2))
