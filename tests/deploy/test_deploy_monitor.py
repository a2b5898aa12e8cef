"""What Prometheus' operator is told to read: every process of every pod."""

from __future__ import annotations

import pytest

pytest.importorskip("helm_python", reason="Helm's engine has no wheel for this machine")

from tests.deploy.chart import container, one, rendered


@pytest.mark.parametrize("processes", [1, 4])
def test_every_process_of_a_worker_is_read(processes: int) -> None:
    objects = rendered({"worker": {"processes": processes}, "podMonitor": {"enabled": True}})
    endpoints = one(objects, "PodMonitor")["spec"]["podMetricsEndpoints"]
    # The operator finds only ports that the pod declares.
    ports = {
        port["name"]: port["containerPort"] for port in container(objects, "StatefulSet")["ports"]
    }
    read = [ports[endpoint["port"]] for endpoint in endpoints]
    assert read == [9464 + index for index in range(processes)]
    assert all(len(name) <= 15 for name in ports)
