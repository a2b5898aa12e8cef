"""The chart: objects that Kubernetes takes, commands and variables of ours, clear refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import pytest
import typer

pytest.importorskip("helm_python", reason="Helm's engine has no wheel for this machine")

import kubernetes_validate  # type: ignore[import-untyped,unused-ignore]
from helm_python import HelmError, lint  # type: ignore[import-not-found,unused-ignore]
from opentelemetry.sdk import environment_variables
from opentelemetry.sdk.trace import TracerProvider

from nextbest.flows.cli import app
from nextbest.flows.settings import Settings
from nextbest.flows.telemetry.tracing import wanted
from nextbest.flows.variables import OTHERS
from tests.deploy.chart import CHART, GIVEN, container, merged, one, rendered

SEVERAL = {"worker": {"replicas": 3, "persistence": {"accessMode": "ReadWriteMany"}}}
KAFKA = {
    "log": {"kafka": {"brokers": "kafka:9092", "topic": "clicks", "existingSecret": "kafka"}},
    "declaration": {"strategy": "/shop/offers.yaml"},
    "podMonitor": {"enabled": True},
    "worker": {"processes": 4},
    "settings": {
        "memory_bytes": 4 << 30,
        "epoch_seconds": 0.5,
        "archive": False,
        "log_format": "json",
    },
    "networkPolicy": {"clients": [{"podSelector": {"matchLabels": {"app": "shop"}}}]},
    "telemetry": {
        "otlp": {
            "endpoint": "http://collector:4318",
            "headers": {"existingSecret": "collector"},
            "sampler": "parentbased_traceidratio",
            "samplerArgument": "0.1",
            "serviceName": "shop",
        }
    },
}
PLAIN = {
    "service": {"autoscaling": {"enabled": False}},
    "serviceAccount": {"create": False},
    "podDisruptionBudget": {"enabled": False},
    "networkPolicy": {"enabled": False},
}
CASES = [
    pytest.param({}, id="defaults"),
    pytest.param(SEVERAL, id="several pods"),
    pytest.param(KAFKA, id="kafka and everything"),
    pytest.param(PLAIN, id="least"),
]


@pytest.mark.parametrize("values", CASES)
def test_kubernetes_takes_every_object(values: dict[str, Any]) -> None:
    report = lint(str(CHART), merged(GIVEN, values), strict=True)
    worse = [message for message in report["messages"] if message["severity"] > 1]
    assert (report["errors"], worse) == ([], [])
    objects = rendered(values)
    names = [(each["kind"], each["metadata"]["name"]) for each in objects]
    assert len(set(names)) == len(names)
    for each in objects:
        if each["kind"] != "PodMonitor":  # not of Kubernetes itself
            kubernetes_validate.validate(each, "1.31", strict=True)


@pytest.mark.parametrize("values", CASES)
def test_commands_and_variables_are_those_of_the_product(values: dict[str, Any]) -> None:
    settings = {f"NEXTBEST_{name.upper()}" for name in Settings.__struct_fields__}
    group = typer.main.get_command(app)
    assert isinstance(group, click.Group) or hasattr(group, "commands")
    for kind, command in (("StatefulSet", "run"), ("Deployment", "serve")):
        found = container(rendered(values), kind)
        assert found["command"][0] == "entrypoint"
        words = [*found["args"]]
        if found["command"][1] == "sh":
            words += ["--process-id", "2"]
        else:
            assert found["command"][1:] == ["nextbest", command]
        given = group.commands[command].make_context(command, words)
        assert given.params["catalog"] == "/shop/shop.py:catalog"
        variables = {each["name"]: each.get("value") for each in found["env"]}
        assert set(variables) <= settings | OTHERS.keys() | vars(environment_variables).keys()
        plain = {name: text for name, text in variables.items() if text is not None}
        Settings.from_env(plain)


def test_traces_go_where_the_values_say_and_nowhere_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for kind, command in (("StatefulSet", "run"), ("Deployment", "serve")):
        given = {each["name"]: each for each in container(rendered(KAFKA), kind)["env"]}
        variables = {name: each.get("value") for name, each in given.items()}
        assert variables["OTEL_SERVICE_NAME"] == f"shop-{command}"
        assert variables["OTEL_TRACES_SAMPLER_ARG"] == "0.1"
        assert variables["NEXTBEST_LOG_FORMAT"] == "json"
        headers = given["OTEL_EXPORTER_OTLP_HEADERS"]["valueFrom"]["secretKeyRef"]
        assert headers == {"name": "collector", "key": "otlp-headers"}
        plain = {name: text for name, text in variables.items() if text is not None}
        assert wanted(plain)
        for name in ("OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"):
            monkeypatch.setenv(name, plain[name])
        assert "TraceIdRatioBased{0.1}" in TracerProvider().sampler.get_description()
        assert not any(
            each["name"].startswith("OTEL_") for each in container(rendered(), kind)["env"]
        )


def test_numbers_keep_their_value() -> None:
    variables = {
        each["name"]: each.get("value") for each in container(rendered(KAFKA), "StatefulSet")["env"]
    }
    made = Settings.from_env({k: v for k, v in variables.items() if v is not None})
    assert (made.memory_bytes, made.epoch_seconds, made.archive) == (4 << 30, 0.5, False)


@pytest.mark.parametrize("kind", ["StatefulSet", "Deployment"])
@pytest.mark.parametrize("values", CASES)
def test_a_pod_has_no_rights_that_it_does_not_need(kind: str, values: dict[str, Any]) -> None:
    objects = rendered(values)
    pod = one(objects, kind)["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False
    security = pod["securityContext"]
    assert (security["runAsNonRoot"], security["runAsUser"]) == (True, 65532)
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    found = container(objects, kind)
    assert found["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    mounts = {mount["mountPath"]: mount.get("readOnly", False) for mount in found["volumeMounts"]}
    assert mounts == {"/data": False, "/tmp": False, "/shop": True}
    assert {"requests", "limits"} <= found["resources"].keys()
    named = {port["name"] for port in found["ports"]}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        if probe in found:
            assert found[probe]["httpGet"]["port"] in named


def test_selectors_find_their_pods_and_ports_exist() -> None:
    objects = rendered(KAFKA)
    for kind in ("StatefulSet", "Deployment"):
        workload = one(objects, kind)
        labels = workload["spec"]["template"]["metadata"]["labels"].items()
        assert workload["spec"]["selector"]["matchLabels"].items() <= labels
        part = workload["metadata"]["name"].rpartition("-")[2]
        for other in ("Service", "PodDisruptionBudget", "NetworkPolicy"):
            spec = one(objects, other, part)["spec"]
            chosen = spec.get("podSelector", spec.get("selector", {}))
            assert chosen.get("matchLabels", chosen).items() <= labels


def test_each_of_several_pods_has_an_address_that_its_headless_service_gives_it() -> None:
    objects = rendered(SEVERAL)
    stateful, headless = one(objects, "StatefulSet"), one(objects, "Service", "worker")
    assert headless["spec"]["clusterIP"] == "None"
    assert headless["spec"]["publishNotReadyAddresses"] is True
    assert stateful["spec"]["podManagementPolicy"] == "Parallel"
    args = container(objects, "StatefulSet")["args"]
    addresses = args[args.index("--addresses") + 1].split(",")
    name = stateful["metadata"]["name"]
    assert stateful["spec"]["serviceName"] == headless["metadata"]["name"] == name
    assert addresses == [f"{name}-{i}.{name}.prod.svc:2101" for i in range(3)]
    policy = one(objects, "NetworkPolicy", "worker")["spec"]["ingress"]
    (cluster,) = [rule for rule in policy if rule["ports"][0]["port"] == "cluster"]
    assert list(cluster["from"][0]) == ["podSelector"], "no other pod reaches it"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        pytest.param({"workers": 2}, "additional properties 'workers' not allowed", id="top"),
        pytest.param(
            {"worker": {"replica": 2}}, "at '/worker': additional properties 'replica'", id="deep"
        ),
        pytest.param(
            {"settings": {"epoch_second": 1}},
            "at '/settings': additional properties 'epoch_second'",
            id="setting",
        ),
        pytest.param(
            {"settings": {"memory_bytes": "4Gi"}},
            "at '/settings/memory_bytes': got string, want integer",
            id="unit",
        ),
        pytest.param(
            {"valuesVersion": 0},
            "valuesVersion 0: these values are for another version of this chart",
            id="older chart",
        ),
        pytest.param(
            {"worker": {"replicas": 2}}, "accessMode must be ReadWriteMany", id="shared volume"
        ),
        pytest.param(
            {**SEVERAL, "log": {"kafka": {"topic": "x"}}}, "give log.kafka.brokers", id="brokers"
        ),
        pytest.param(
            {"worker": {**SEVERAL["worker"], "processes": 2}}, "are both above 1", id="both"
        ),
        pytest.param(
            {"telemetry": {"otlp": {"sampler": "always_on"}}},
            "give telemetry.otlp.endpoint",
            id="traces to nowhere",
        ),
        pytest.param(
            {"telemetry": {"otlp": {"endpoint": "http://c:4318", "sampler": "traceidratio"}}},
            "goes with a sampler",
            id="no share",
        ),
        pytest.param(
            {"telemetry": {"otlp": {"endpoint": "collector:4317"}}},
            "at '/telemetry/otlp/endpoint'",
            id="no URL",
        ),
        pytest.param({"store": {"existingSecret": ""}}, "at '/store/existingSecret'", id="secret"),
        pytest.param(
            {"declaration": {"files": {}, "reference": "/shop/a.py:c"}},
            "nothing is mounted at /shop",
            id="no files",
        ),
    ],
)
def test_wrong_values_are_refused_with_what_to_do(values: dict[str, Any], said: str) -> None:
    if values.get("declaration", {}).get("files") == {}:
        given = merged(GIVEN, {"declaration": {"reference": "/shop/a.py:c"}})
        given["declaration"]["files"] = {}
    else:
        given = merged(GIVEN, values)
    with pytest.raises(HelmError) as refused, _chart() as chart:
        chart.render(given, name="shop", namespace="prod")
    assert said in str(refused.value)


def test_secrets_are_only_named() -> None:
    text = json.dumps(rendered(KAFKA))
    assert '"kind": "Secret"' not in text
    values = (CHART / "values.yaml").read_text()
    assert "password:" not in values.replace(":password@host", "")


def test_the_schema_knows_every_setting_that_the_chart_does_not_make_itself() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    known = set(schema["properties"]["settings"]["properties"])
    made = {"data_dir", "redis_url", "kafka_brokers", "kafka_config"}
    made |= {"metrics_port", "metrics_host"}
    assert known == set(Settings.__struct_fields__) - made


def test_the_notes_name_what_is_made() -> None:
    with _chart() as chart:
        texts = chart.render(GIVEN, name="shop", namespace="prod")
    notes = texts["nextbest/templates/NOTES.txt"]
    for name in ("statefulset/shop-nextbest-worker", "deployment/shop-nextbest-service"):
        assert name in notes
    assert "shop-nextbest-data" in notes


def test_versions_are_those_of_the_product() -> None:
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    with _chart() as chart:
        assert f'version = "{chart.metadata["appVersion"]}"' in project


def _chart() -> Any:
    from helm_python import Chart

    return Chart.load(CHART)
