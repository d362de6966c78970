"""Puts a stub in the place of a stage."""

import sys
from collections.abc import Callable

import pytest

from tests.cli.stub_stages import StubResult, StubStage


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Callable[..., StubStage]:
    """`stub("prepare", result, error)`: what `smdgen.stages.prepare` is during the test."""

    def put(name: str, result: object = None, error: BaseException | None = None) -> StubStage:
        stage = StubStage(StubResult() if result is None else result, error)
        monkeypatch.setitem(sys.modules, f"smdgen.stages.{name.replace('-', '_')}", stage)
        return stage

    return put


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the developer's terminal and shell say does not change what is tested."""
    for name in ("SMDGEN_DEBUG", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
