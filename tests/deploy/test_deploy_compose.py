"""The compose file: of its specification, with commands, variables and files that are ours."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from compose_spec import PyCompose

from nextbest.features import Catalog
from nextbest.flows.cli import app
from nextbest.flows.commands.references import load
from nextbest.flows.decision.loading import load as load_strategy
from nextbest.flows.settings import Settings
from nextbest.flows.variables import OTHERS, check_names, unknown
from tests.deploy import dockerfile

DEPLOY = Path(__file__).parents[2] / "deploy"
ENV = dict(
    line.split("=", 1)
    for line in (DEPLOY / "env.example").read_text().splitlines()
    if line and not line.startswith("#")
)
OURS = {"worker": "run", "service": "serve"}


def composed() -> dict[str, Any]:
    """The file with its variables put in, as `docker compose config` would show it."""

    def value(found: re.Match[str]) -> str:
        name, default = found[1], found[3]
        given = ENV.get(name, default if found[2] == ":-" else None)
        assert given is not None, f"{name} is not in env.example"
        return given

    text = (DEPLOY / "compose.yaml").read_text()
    text = re.sub(r"(?<!\$)\$\{(\w+)(:-|:\?)?([^}]*)\}", value, text)
    whole = yaml.safe_load(text)
    assert isinstance(whole, dict)
    return whole


def test_it_is_of_the_specification() -> None:
    whole = composed()
    made = PyCompose.from_yaml(yaml.safe_dump(whole))
    made.validate()
    assert set(made.service_names()) == set(whole["services"])


def test_commands_and_variables_are_those_of_the_product() -> None:
    group: Any = typer.main.get_command(app)
    settings = set(Settings.__struct_fields__)
    known = {f"NEXTBEST_{name.upper()}" for name in settings} | OTHERS.keys()
    for name, command in OURS.items():
        service = composed()["services"][name]
        assert service["command"][:2] == ["nextbest", command]
        given = group.commands[command].make_context(command, service["command"][2:])
        assert given.params["topic"] == "events"
        check_names(service["environment"], settings)
        assert unknown(service["environment"], known) == []
        Settings.from_env(service["environment"])
    assert unknown(ENV, known) == []


def test_images_are_built_from_targets_that_exist_and_others_are_pinned() -> None:
    stages = dockerfile.read(DEPLOY / "Dockerfile")
    for name, service in composed()["services"].items():
        if name in OURS:
            assert service["build"]["target"] == name
            assert name in stages
            assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
        else:
            assert re.fullmatch(r"[\w/-]+:v?\d+\.\d+[\w.-]*", service["image"]), service["image"]


def test_kernels_are_compiled_for_the_processor_that_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    declared = {
        text.partition("=")[0]: text.partition("=")[2]
        for stage in dockerfile.lineage(dockerfile.read(DEPLOY / "Dockerfile"), "worker")
        for text in stage.all("ARG")
    }
    for kind in (declared["KERNEL_CPU"], "generic"):
        for name in OURS:
            assert composed()["services"][name]["build"]["args"] == {"KERNEL_CPU": kind}
        monkeypatch.setitem(ENV, "KERNEL_CPU", "generic")


def test_only_this_machine_reaches_the_ports_and_ours_have_no_rights_to_spare() -> None:
    for name, service in composed()["services"].items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), name
        if name in OURS:
            assert service["read_only"] is True
            assert service["cap_drop"] == ["ALL"]
            assert service["security_opt"] == ["no-new-privileges:true"]
            assert "/tmp" in service["tmpfs"]


def test_what_is_waited_for_has_a_health_check_or_an_end() -> None:
    services = composed()["services"]
    for name, service in services.items():
        for other, how in service.get("depends_on", {}).items():
            if how["condition"] == "service_healthy":
                assert "healthcheck" in services[other], (name, other)
            else:
                assert services[other].get("restart") is None, (name, other)


def test_every_file_that_is_mounted_is_there_and_every_volume_declared() -> None:
    whole = composed()
    for service in whole["services"].values():
        for mount in service.get("volumes", []):
            source = mount.split(":")[0]
            if source.startswith("."):
                assert (DEPLOY / source).is_dir(), source
                assert mount.endswith(":ro")
            else:
                assert source in whole["volumes"]


def test_no_secret_is_written_down() -> None:
    text = (DEPLOY / "compose.yaml").read_text()
    for line in text.splitlines():
        name, _, value = line.strip().partition(": ")
        if re.fullmatch(r"[A-Z_]*(PASSWORD|API_KEYS)", name):
            assert value.startswith("${"), line
    assert "deploy/.env" in (DEPLOY.parent / ".gitignore").read_text().splitlines()
    assert {"VALKEY_PASSWORD", "NEXTBEST_API_KEYS", "GRAFANA_PASSWORD"} <= ENV.keys()


def test_the_shop_that_is_mounted_runs() -> None:
    catalog = load(f"{DEPLOY}/shop/shop.py:catalog", Catalog)
    strategy = load_strategy((DEPLOY / "shop/offers.yaml").read_text(), catalog).strategy
    assert strategy.name == "offers"


def test_clocks_of_the_topic_are_those_of_its_log() -> None:
    assert "message.timestamp.type=LogAppendTime" in composed()["services"]["topic"]["command"]
