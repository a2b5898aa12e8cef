"""A setting that nothing reads is none: it is told as what it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nextbest.flows import settings
from nextbest.flows.cli_beside import tell_unknown
from nextbest.flows.settings import Settings

FLOWS = Path(settings.__file__).parent


def test_every_setting_is_read_somewhere() -> None:
    files = [file for file in FLOWS.rglob("*.py") if file != Path(settings.__file__)]
    read = set(re.findall(r"settings\.([a-z_]+)", "\n".join(file.read_text() for file in files)))
    assert set(Settings.__struct_fields__) - read == set()


def test_a_project_is_told_as_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    environ = {"NEXTBEST_PROJECT": "north"}
    assert Settings.from_env(environ) == Settings()
    tell_unknown(environ)
    said = capsys.readouterr().err
    assert said == "nextbest: NEXTBEST_PROJECT is not a setting and is not looked at\n"
