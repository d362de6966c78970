"""Model files: what was saved comes back, and files of every layout generate what they did."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from smdgen.errors import ArtifactError
from smdgen.geometry.frames import rmsd
from smdgen.io.structures.structure import structure_from_json
from smdgen.method.presets import METHODS
from smdgen.method.rollout import generate
from smdgen.store.artifacts import read_model, write_model
from smdgen.store.headers import AutoencoderHeader, header_of
from smdgen.store.manifest import SCHEMA, read_manifest
from smdgen.store.migrations import renamed
from smdgen.store.models import AutoencoderFile, DynamicsFile, build_model, migrate, round_weights
from smdgen.store.plain import from_plain, to_plain
from tests.store.make_golden import FOLDER, KINDS, N_SAMPLES, N_STEPS, SEED, write
from tests.tools.models import autoencoder_header, dynamics_header, write_autoencoder, write_dynamics

GOLDEN = sorted(FOLDER.glob("*.tar.xz"))
NUMBERS = to_plain(METHODS["default"])
CRITIC = NUMBERS["critic"]
SHIPPED = Path(__file__).parents[2] / "smdgen" / "models" / "deca_alanine"


#: What a layout is: SHA-256 over the keys of the headers, and the names and shapes of the tensors. Something
#: else needs another number of `SCHEMA`, a migration, and golden files of its own.
LAYOUTS = {
    "schema_1_aligned": "a26c356674fe5f63",
    "schema_1_default": "a658f0b4077a2819",
    "schema_1_paper": "29a152f37dc0cd15",
    "schema_2_aligned": "5862318eeb7012b2",
    "schema_2_default": "1fc74f118130c507",
    "schema_2_fold": "c6039e368e053d73",
    "schema_2_paper": "77722ee2e4df19c0",
}


#: The layout in which a kind of model came.
SINCE = {"fold": 2}


def layout_of(folder: Path) -> str:
    """First digits of the SHA-256 over the header keys and the tensors of both model files."""
    manifests = [read_manifest(folder / f"{name}.safetensors") for name in ("vae", "lstm")]
    keys = [_keys({**manifest.header, "settings": {}, "config": {}}) for manifest in manifests]
    text = json.dumps([keys, [sorted(manifest.shapes.items()) for manifest in manifests]])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _keys(header: object) -> object:
    if isinstance(header, dict):
        return {key: _keys(value) for key, value in sorted(header.items())}
    return None


def unpack(archive: Path, folder: Path) -> None:
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")


def generated(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames that the models of a folder generate now, and did when they were written."""
    vae = AutoencoderFile.open(folder / "vae.safetensors")
    dynamics = DynamicsFile.open(folder / "lstm.safetensors")
    assert dynamics.header.vae_sha256 == vae.sha256
    model = build_model(vae, dynamics, structure_from_json(vae.header.structure))
    start, expected = (torch.from_numpy(np.load(folder / f"{name}.npy")) for name in ("start", "frames"))
    return generate(model, start, N_STEPS, N_SAMPLES, seed=SEED).positions, expected


@pytest.mark.parametrize("archive", GOLDEN, ids=lambda path: path.name.removesuffix(".tar.xz"))
def test_a_file_of_any_layout_generates_what_it_did_when_it_was_written(archive, tmp_path):
    unpack(archive, tmp_path)
    found, expected = generated(tmp_path)
    assert float((found - expected).abs().max()) < 1e-3
    if "paper" not in archive.name:
        assert rmsd(expected[0, 1:], expected[1, 1:]).min() > 0.05, "two pulls differ"
        assert rmsd(expected[0, 1:], expected[0, :-1]).min() > 0.05, "frames differ"


def test_there_is_a_golden_file_of_each_kind_and_layout():
    kinds = {path.name.removesuffix(".tar.xz") for path in GOLDEN}
    expected = {f"schema_{n}_{kind}" for kind in KINDS for n in range(SINCE.get(kind, 1), SCHEMA + 1)}
    assert kinds == LAYOUTS.keys() == expected


@pytest.mark.parametrize("archive", GOLDEN, ids=lambda path: path.name.removesuffix(".tar.xz"))
def test_layouts_are_pinned(archive, tmp_path):
    unpack(archive, tmp_path)
    assert layout_of(tmp_path) == LAYOUTS[archive.name.removesuffix(".tar.xz")]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_now_has_the_layout_of_today(kind, tmp_path):
    write(kind, tmp_path)
    assert layout_of(tmp_path) == LAYOUTS[f"schema_{SCHEMA}_{kind}"], "raise SCHEMA and write a migration"


#: Doubles every number in presets.py, then generates as the models of a folder say.
OTHER_PRESETS = """
import ast, sys, types
from pathlib import Path

class Doubled(ast.NodeTransformer):
    def visit_Constant(self, node):
        plain = type(node.value) in (int, float)
        return ast.copy_location(ast.Constant(2 * node.value + 1), node) if plain else node

path = Path(sys.argv[1]) / "smdgen/method/presets.py"
tree = ast.fix_missing_locations(Doubled().visit(ast.parse(path.read_text())))
presets = types.ModuleType("smdgen.method.presets")
sys.modules[presets.__name__] = presets
exec(compile(tree, str(path), "exec"), presets.__dict__)
assert presets.DEFAULT.sampling.n_candidates == 17

from tests.store.test_models import generated
found, expected = generated(Path(sys.argv[2]))
assert float((found - expected).abs().max()) < 1e-3
"""


@pytest.mark.parametrize("kind", KINDS)
def test_changed_presets_change_nothing_of_saved_models(kind, tmp_path):
    """Whatever number of a method changes, a model keeps those that it was made with."""
    for schema in range(SINCE.get(kind, 1), SCHEMA + 1):
        folder = tmp_path / str(schema)
        folder.mkdir()
        unpack(FOLDER / f"schema_{schema}_{kind}.tar.xz", folder)
        root = Path(__file__).parents[2]
        command = [sys.executable, "-c", OTHER_PRESETS, str(root), str(folder)]
        environment = {**os.environ, "PYTHONPATH": str(root)}
        child = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        assert child.returncode == 0, child.stderr


@pytest.mark.parametrize("kind", KINDS)
def test_migrated_files_are_the_same_model_in_the_layout_of_today(kind, tmp_path):
    unpack(FOLDER / f"schema_{SINCE.get(kind, 1)}_{kind}.tar.xz", tmp_path)
    migrate(tmp_path)
    assert read_manifest(tmp_path / "vae.safetensors").schema == SCHEMA
    assert layout_of(tmp_path) == LAYOUTS[f"schema_{SCHEMA}_{kind}"]
    found, expected = generated(tmp_path)
    assert float((found - expected).abs().max()) < 1e-3


def test_files_that_do_not_belong_together_are_not_migrated(tmp_path):
    write_autoencoder(tmp_path / "vae.safetensors")
    write_dynamics(tmp_path / "lstm.safetensors")
    with pytest.raises(ArtifactError, match="belongs to another"):
        migrate(tmp_path)


def test_rounded_weights_are_near_and_compress(tmp_path):
    """What the repository is spared: at least a third of what the shipped model takes in it."""
    packed = {}
    for folder in (SHIPPED, tmp_path):
        if folder == tmp_path:
            shutil.copytree(SHIPPED, tmp_path, dirs_exist_ok=True)
            round_weights(tmp_path)
        files = [(folder / f"{name}.safetensors").read_bytes() for name in ("vae", "lstm")]
        packed[folder] = sum(len(zlib.compress(content)) for content in files)
    assert packed[tmp_path] < 0.67 * packed[SHIPPED]
    for kind, name in ((AutoencoderFile, "vae"), (DynamicsFile, "lstm")):
        exact, rounded = (kind.open(folder / f"{name}.safetensors") for folder in (SHIPPED, tmp_path))
        for key, x in rounded.weights.items():
            assert x.dtype == exact.weights[key].dtype
            torch.testing.assert_close(x, exact.weights[key], rtol=2**-11, atol=2**-24)
            assert not x.is_floating_point() or torch.equal(x, x.half().float())


@pytest.mark.parametrize("name", ["vae", "lstm"])
def test_the_shipped_model_has_the_layout_of_today(name):
    assert read_manifest(SHIPPED / f"{name}.safetensors").schema == SCHEMA


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("weights.leave.bias", "weights.output_proj.bias"),
        ("weights.residues.layers.3.ask.weight", "weights.residues.layers.3.qkv.weight"),
        ("weights.residues.leave.bias", "weights.residues.leave.bias"),
        ("weights.leaves", "weights.leaves"),
        ("landmarks", "reference_frames"),
    ],
)
def test_renamed_parts_of_networks(name, expected):
    table = {
        "weights.leave": "weights.output_proj",
        "weights.residues.layers.*.ask": "weights.residues.layers.*.qkv",
        "landmarks": "reference_frames",
    }
    assert renamed(name, table) == expected


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
        ({"numbers": {}}, "numbers has no 'internal'"),
        ({"numbers": {"internal": 3}}, "numbers has no 'aligned'"),
        (
            {"numbers": {**NUMBERS, "n_reference_frames": "many"}},
            "n_reference_frames is 'many', expected int",
        ),
        ({"numbers": {**NUMBERS, "critic": {**CRITIC, "centres": 7}}}, "centres is 7, expected a list"),
        ({"training_radius_A": float("nan")}, "training_radius_A is nan, expected float"),
        ({"training_radius_A": -1.0}, "training_radius_A is -1.0"),
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
    write_model(path, "vae", {"reference_frames": torch.zeros(1, 40, 3)}, header)
    with pytest.raises(ArtifactError, match=f"its header has no '{field}'"):
        AutoencoderFile.open(path)


def test_headers_come_back_from_json():
    for header in (autoencoder_header(), dynamics_header()):
        text = json.dumps(to_plain(header))
        again = from_plain(type(header), json.loads(text))
        assert json.dumps(to_plain(again)) == text
        assert again.sizes == header.sizes
    assert "critic" not in to_plain(dynamics_header())


def test_weights_frames_and_paths_keep_their_places(tmp_path):
    write_autoencoder(tmp_path / "vae")
    write_dynamics(tmp_path / "lstm")
    assert set(read_model(tmp_path / "vae", "vae")[0]) == {"weights.w", "reference_frames"}
    assert set(read_model(tmp_path / "lstm", "lstm")[0]) == {"weights.w", "paths"}
    file = DynamicsFile.open(tmp_path / "lstm")
    assert (set(file.weights), file.critic, file.paths.shape) == ({"w"}, {}, (1, 2))
