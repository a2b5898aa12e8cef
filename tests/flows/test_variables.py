"""A setting that is mistaken is named, with how it is written; what is not ours is left alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nextbest.features.delta_log import MAGIC, DeltaLog
from nextbest.features.errors import SettingsError, StateError
from nextbest.flows import cli
from nextbest.flows.cli_beside import tell_unknown
from nextbest.flows.commands import place
from nextbest.flows.service.address import listen
from nextbest.flows.settings import Settings
from nextbest.flows.variables import OTHERS, in_units, unknown

FLOWS = Path(cli.__file__).parent


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("NEXTBEST_EPOCH_SECOND", "NEXTBEST_EPOCH_SECONDS"),
        ("NEXTBEST_MEMORY_BYTE", "NEXTBEST_MEMORY_BYTES"),
        ("NEXTBEST_DATADIR", "NEXTBEST_DATA_DIR"),
        ("NEXTBEST_REDIS_URI", "NEXTBEST_REDIS_URL"),
        ("NEXTBEST_SHARD", "NEXTBEST_SHARDS"),
        ("NEXTBEST_APIKEYS", "NEXTBEST_API_KEYS"),
    ],
)
def test_a_name_that_is_nearly_a_setting_is_an_error_that_says_which(
    variable: str, meant: str
) -> None:
    with pytest.raises(SettingsError, match=f"^{variable}: .*did you mean {meant}[?] Rename or"):
        Settings.from_env({variable: "1"})


def test_variables_of_kubernetes_and_of_the_user_are_left_alone() -> None:
    port = "NEXTBEST_SERVICE_PORT_8080_TCP"
    injected = ["NEXTBEST_SERVICE_HOST", "NEXTBEST_SERVICE_PORT_HTTP", "NEXTBEST_PORT", port]
    injected += [f"{port}_{what}" for what in ("PROTO", "PORT", "ADDR")]
    assert Settings.from_env(dict.fromkeys([*injected, "NEXTBEST_IMAGE_TAG"], "x")) == Settings()
    assert unknown(injected, ()) == []


def test_one_line_says_of_each_unknown_variable_that_it_is_not_looked_at(
    capsys: pytest.CaptureFixture[str],
) -> None:
    environ = {"NEXTBEST_TYPO": "1", "NEXTBEST_PORT": "tcp://x", "NEXTBEST_API_KEYS": "k"}
    tell_unknown(environ)
    said = capsys.readouterr().err
    assert said == "nextbest: NEXTBEST_TYPO is not a setting and is not looked at\n"


def test_every_variable_that_the_code_reads_is_known() -> None:
    settings = {f"NEXTBEST_{name.upper()}" for name in Settings.__struct_fields__}
    shown_in_examples = {"NEXTBEST_SHARD", "NEXTBEST_TYPO", "NEXTBEST_IMAGE_TAG"}
    found: set[str] = set()
    for file in FLOWS.rglob("*.py"):
        found |= set(re.findall(r"NEXTBEST_[A-Z_]*[A-Z]\b", file.read_text()))
    made = unknown(found, settings | OTHERS.keys())
    assert set(made) - shown_in_examples - {"NEXTBEST_BAKED_KERNELS"} == set()


@pytest.mark.parametrize(
    ("variable", "text", "number"),
    [
        ("MEMORY_BYTES", "4GiB", "4294967296"),
        ("MEMORY_BYTES", "512Mi", "536870912"),
        ("HTTP_BODY_BYTES", "8 MB", "8000000"),
        ("EPOCH_SECONDS", "500ms", "0.5"),
        ("IDLE_SECONDS", "1h", "3600"),
    ],
)
def test_a_quantity_with_a_unit_is_refused_with_the_number_to_write(
    variable: str, text: str, number: str
) -> None:
    with pytest.raises(SettingsError, match=rf"={text!r}: a plain number, .*: {number} \("):
        Settings.from_env({f"NEXTBEST_{variable}": text})
    name = variable.lower()
    written = in_units(name, text)
    assert written is not None
    assert getattr(Settings.from_env({f"NEXTBEST_{variable}": number}), name) == float(number)


def test_a_data_directory_that_cannot_be_used_says_who_or_what_stands_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("")
    with (
        pytest.raises(StateError, match=r"file/x: .*Not a directory; .* give another --data-dir"),
        place.claimed(file / "x"),
    ):
        pass

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(place.os, "open", refuse)
    with (
        pytest.raises(StateError, match=r"Permission denied; let user \d+ write there \(chown\)"),
        place.claimed(tmp_path / "theirs"),
    ):
        pass


def test_a_port_in_use_says_what_to_do() -> None:
    with listen("127.0.0.1", 0, keyed=False) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f":{port}: .*in use; .*give another --port"):
            listen("127.0.0.1", port, keyed=False)


def test_a_state_log_of_another_version_says_so_and_how_to_go_on(tmp_path: Path) -> None:
    path = tmp_path / "shard.log"
    log = DeltaLog(path, None)
    pointer = log.append(b"changes")
    log.close()
    data = path.read_bytes()
    path.write_bytes(MAGIC[:-1] + b"\x02" + data[len(MAGIC) :])
    with pytest.raises(StateError, match=r"of version 2; this release reads version 1\. Go on .*"):
        DeltaLog(path, pointer)


def test_a_place_for_machine_code_that_is_missing_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nowhere() -> None:
        raise RuntimeError("cannot cache function 'f': no locator available for file 'f.py'")

    monkeypatch.setattr(cli, "app", nowhere)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "set NUMBA_CACHE_DIR to a directory that this user can write" in said
