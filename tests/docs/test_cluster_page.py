"""The commands of the cluster page, as torchrun reads them."""

import re
import shlex
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cluster.md"


def test_torchrun_hands_every_option_of_smdgen_on():
    from torch.distributed.run import parse_args

    text = PAGE.read_text(encoding="utf-8").replace("\\\n", " ")
    commands = [shlex.split(line) for line in re.findall(r"^.*?torchrun (--.*)$", text, re.MULTILINE)]
    assert len(commands) == 3
    for command in commands:
        read = parse_args(command)
        assert (read.module, read.training_script) == (True, "smdgen")
        assert read.training_script_args == command[command.index("smdgen") + 1 :]
