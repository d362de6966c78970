"""Model files of earlier layouts, brought to today's when they are opened; the files stay as they are.

| layout | what it brought |
|--------|-----------------|
| 1 | the first; presets by name only, so their numbers of that time stand in schema_1_presets.json |
| 2 | all numbers of the method, the name of the representation and the spanning tree are in the file |

A new layout takes another `SCHEMA`, a step here, and golden files: see tests/store/make_golden.py.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smdgen.store.manifest import Manifest

if TYPE_CHECKING:
    from torch import Tensor

#: Tensors, or parts of networks, that were renamed since layout 1, by the kind of file: old path -> new path,
#: from the top (`weights.leave` -> `weights.output_proj`), where `*` stands for any one word between dots.
RENAMED: dict[str, dict[str, str]] = {
    "vae": {"landmarks": "reference_frames", "weights.log_deviation": "weights.log_std"},
    "lstm": {
        "weights.enter": "weights.input_proj",
        "weights.leave": "weights.output_proj",
        "weights.straight": "weights.skip",
        "weights.residues.enter": "weights.residues.input_proj",
        "weights.residues.leave": "weights.residues.output_proj",
        "weights.residues.tell": "weights.residues.condition_proj",
        "weights.residues.layers.*.ask": "weights.residues.layers.*.qkv",
        "weights.residues.layers.*.answer": "weights.residues.layers.*.out_proj",
        "weights.residues.layers.*.widen": "weights.residues.layers.*.mlp_in",
        "weights.residues.layers.*.narrow": "weights.residues.layers.*.mlp_out",
    },
}


def header_of_today(manifest: Manifest) -> Mapping[str, Any]:
    """The header of a model file in today's layout, as plain data.

    Raises:
        LookupError: Or the like, where it is not the header of its layout; see `taken_apart`.
    """
    header = dict(manifest.header)
    if manifest.schema > 1 or manifest.kind not in RENAMED:
        return header
    header["numbers"] = _numbers_of_layout_1()[header["preset"]]
    if manifest.kind == "vae":
        header["representation"] = _representation(manifest.shapes)
        header["training_radius_A"] = header.pop("reach_A")
        del header["bonds"]  # they are in the structure, too
    return header


def tensors_of_today(manifest: Manifest, tensors: "Mapping[str, Tensor]") -> "dict[str, Tensor]":
    """The tensors of a model file in today's layout; raises as `header_of_today`."""
    if manifest.schema > 1 or manifest.kind not in RENAMED:
        return dict(tensors)
    found = {renamed(name, RENAMED[manifest.kind]): tensor for name, tensor in tensors.items()}
    if manifest.kind == "vae" and _representation(manifest.shapes) == "internal":
        found |= _tree(manifest.header)
    return found


def _numbers_of_layout_1() -> dict[str, Any]:
    numbers: dict[str, Any] = json.loads(Path(__file__).with_name("schema_1_presets.json").read_text("utf-8"))
    return numbers


def _representation(shapes: Mapping[str, Any]) -> str:
    if "weights.features.pairs" in shapes:
        return "aligned"
    return "internal" if "weights.features.wide" in shapes else "cartesian"


def _tree(header: Mapping[str, Any]) -> "dict[str, Tensor]":
    import numpy as np
    import torch

    from smdgen.geometry.internal import spanning_tree

    bonds = np.array(header["bonds"], dtype=np.int64).reshape(-1, 2)
    tree = spanning_tree(header["sizes"]["n_atoms"], bonds)
    parts = {"parent": tree.parent, "primary": tree.primary, "depth": tree.depth}
    return {f"tree.{name}": torch.from_numpy(values) for name, values in parts.items()}


def renamed(name: str, table: Mapping[str, str]) -> str:
    """The new name of a tensor: that of the longest renamed path it begins with."""
    words = name.split(".")
    for n in range(len(words), 0, -1):
        for old, new in table.items():
            if _matches(words[:n], old.split(".")):
                kept = iter(word for word, mark in zip(words, old.split("."), strict=False) if mark == "*")
                return ".".join([next(kept) if word == "*" else word for word in new.split(".")] + words[n:])
    return name


def _matches(words: list[str], marks: list[str]) -> bool:
    return len(words) == len(marks) and all(
        mark in ("*", word) for word, mark in zip(words, marks, strict=True)
    )
