"""The images: what is copied is there, nobody is root, every command is one of ours."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nextbest.flows.cli import app
from tests.deploy import dockerfile

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
STAGES = dockerfile.read(DEPLOY / "Dockerfile")
TARGETS = ("worker", "service", "control-plane")


def sources(text: str) -> list[str]:
    return [word for word in text.split() if not word.startswith("--")][:-1]


def test_a_linter_of_dockerfiles_and_the_shell_find_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint has no wheel for this machine")
    done = subprocess.run(
        [hadolint, "--failure-threshold", "style", DEPLOY / "Dockerfile"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "")
    subprocess.run(["sh", "-n", DEPLOY / "entrypoint.sh"], check=True)


def test_every_file_that_is_copied_is_there_and_not_ignored() -> None:
    kept = [
        line.removeprefix("!")
        for line in (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    for stage in STAGES.values():
        for text in stage.all("COPY"):
            if "--from=" in text:
                origin = re.search(r"--from=(\S+)", text)
                assert origin is not None
                assert origin[1] in STAGES
                continue
            for name in sources(text):
                assert (ROOT / name).exists(), name
                assert any(fnmatch(name, pattern) for pattern in kept), name


def test_the_wheel_is_made_of_all_that_the_package_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    copied = {name for text in STAGES["wheel"].all("COPY") for name in sources(text)}
    packages = set(project["tool"]["setuptools"]["package-dir"].values())
    assert copied == packages | {"pyproject.toml", project["project"]["readme"], "LICENSE"}


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_nobody_and_writes_to_its_data_only(target: str) -> None:
    stages = dockerfile.lineage(STAGES, target)
    users = [user for stage in stages for user in stage.all("USER")]
    assert users[:1] == ["65532:65532"]
    texts = [text for stage in stages for text in stage.all("ENV")]
    named = dict(word.split("=", 1) for text in texts for word in text.split())
    assert named["NEXTBEST_DATA_DIR"] == "/data"
    assert named["NUMBA_CACHE_DIR"].startswith("/tmp/")
    assert named["PYTHONDONTWRITEBYTECODE"] == "1"
    assert [text for stage in stages for text in stage.all("VOLUME")] == ['["/data"]']


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_starts_a_command_of_ours_in_exec_form(target: str) -> None:
    assert dockerfile.command(STAGES, target, "ENTRYPOINT") == ["entrypoint"]
    first, *words = dockerfile.command(STAGES, target)
    assert first == "nextbest"
    done = CliRunner().invoke(app, [*words, "--help"] if "--help" not in words else words)
    assert done.exit_code == 0, done.output


def test_health_checks_are_python_that_compiles_and_ask_what_is_there() -> None:
    for target, asked in (("service", "/readyz"), ("worker", "/metrics")):
        python, flag, code = dockerfile.command(STAGES, target, "HEALTHCHECK")
        assert (python, flag) == ("python", "-c")
        compile(code, target, "exec")
        assert asked in code
    env = {**os.environ, "NEXTBEST_METRICS_PORT": ""}
    subprocess.run([sys.executable, "-c", code], env=env, check=True, timeout=200)
    env["NEXTBEST_METRICS_PORT"] = "1"  # nobody listens there
    ill = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, check=False, timeout=200
    )
    assert ill.returncode == 1


def test_every_installation_is_pinned_and_names_extras_that_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    installs = [
        step
        for stage in STAGES.values()
        for text in stage.all("RUN")
        for step in text.split("&&")
        if re.search(r"\bpip install\b", step)
    ]
    assert len(installs) == 2
    for step in installs:
        assert "-c /src/constraints.txt" in step
        extras = re.search(r"\[([a-z,]+)\]", step)
        assert extras is not None
        assert set(extras[1].split(",")) <= project["optional-dependencies"].keys()
    pinned = (DEPLOY / "constraints.txt").read_text()
    for name in ("confluent-kafka", "uvicorn", "numba", "bytewax"):
        assert re.search(rf"^{name}==", pinned, re.M), name


def test_no_place_of_packages_is_named() -> None:
    pip = "\n".join(text for stage in STAGES.values() for text in stage.all("RUN"))
    for text in (pip, (DEPLOY / "constraints.txt").read_text()):
        assert re.findall(r"://|--[a-z-]*index|find-links", text) == []


def test_the_entry_point_becomes_its_command_beside_the_baked_machine_code(tmp_path: Path) -> None:
    baked = tmp_path / "baked"
    (baked / "kernels_1").mkdir(parents=True)
    (baked / "kernels_1" / "f.nbi").write_text("index")
    cache = tmp_path / "cache"
    env = {
        **os.environ, "NEXTBEST_BAKED_KERNELS": str(baked), "NUMBA_CACHE_DIR": str(cache),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }  # fmt: skip
    script = DEPLOY / "entrypoint.sh"
    process = subprocess.Popen(
        [script, sys.executable, "-c", "import os; print(os.getpid())"],
        env=env, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    said, _ = process.communicate(timeout=200)
    assert int(said) == process.pid, "signals reach the command"
    assert (cache / "kernels_1" / "f.nbi").read_text() == "index"
    (cache / "kernels_1" / "f.nbi").write_text("newer")
    again = subprocess.run(
        [script, "--version"], env=env, capture_output=True, text=True, check=True, timeout=200
    )
    assert again.stdout.startswith("nextbest ")
    assert (cache / "kernels_1" / "f.nbi").read_text() == "newer"
    assert [path.name for path in tmp_path.iterdir() if ".cache" in path.name] == []
