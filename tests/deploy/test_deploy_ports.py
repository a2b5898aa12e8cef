"""Values of the chart that only look right: ports that are taken, and words that YAML reads."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("helm_python", reason="Helm's engine has no wheel for this machine")

from helm_python import HelmError  # type: ignore[import-not-found,unused-ignore]

from tests.deploy.chart import one, rendered

SHARED = {"replicas": 2, "persistence": {"accessMode": "ReadWriteMany"}}


@pytest.mark.parametrize(
    ("values", "said"),
    [
        pytest.param(
            {"service": {"metricsPort": 8080}}, "where the service itself listens", id="service"
        ),
        pytest.param(
            {"worker": {**SHARED, "metricsPort": 2101}},
            "worker.metricsPort and worker.clusterPort are the same",
            id="cluster",
        ),
        pytest.param(
            {"worker": {"metricsPort": 65534, "processes": 4}},
            "worker.metricsPort 65534: each of 4 processes has a port",
            id="beyond the last",
        ),
    ],
)
def test_ports_that_cannot_be_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(HelmError) as refused:
        rendered(values)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "worker",
    [
        pytest.param({"metricsPort": 2101}, id="no cluster"),
        pytest.param({"metricsPort": 65532, "processes": 4}, id="the last ones"),
    ],
)
def test_ports_that_nobody_else_has_are_taken(worker: dict[str, Any]) -> None:
    assert one(rendered({"worker": worker}), "StatefulSet")


@pytest.mark.parametrize("name", ["-", "fast", "1e3"])
def test_a_storage_class_is_the_word_that_was_given(name: str) -> None:
    objects = rendered({"worker": {"persistence": {"storageClass": name}}})
    assert one(objects, "PersistentVolumeClaim")["spec"]["storageClassName"] == name
