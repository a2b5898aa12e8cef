"""Whatever is sent, right or wrong: the answer is as the service's own OpenAPI says."""

from __future__ import annotations

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.generation import GenerationMode

from tests.flows.service.world import Service

CHECKS = [
    *schemathesis.checks.CHECKS.get_by_names(
        [
            "not_a_server_error",
            "status_code_conformance",
            "content_type_conformance",
            "response_schema_conformance",
        ]
    )
]
OPERATIONS = [
    ("POST", "/v1/events", 60),
    ("POST", "/v1/features", 60),
    ("GET", "/v1/features/{id}", 60),
    ("GET", "/v1/catalog", 5),
    ("GET", "/healthz", 5),
    ("GET", "/readyz", 5),
]


@pytest.mark.filterwarnings("ignore")  # of the generator, about its own parts
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE],
                         ids=["positive", "negative"])  # fmt: skip
@pytest.mark.parametrize(
    ("method", "path", "examples"),
    OPERATIONS,
    ids=["events", "features", "one", "catalog", "healthz", "readyz"],
)
def test_answers_conform(
    service: Service, method: str, path: str, examples: int, mode: GenerationMode
) -> None:
    api = schemathesis.openapi.from_url(f"{service.url}/openapi.json")
    session = requests.Session()
    statuses = set()

    @settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=api[path][method].as_strategy(mode))
    def conform(case: schemathesis.Case) -> None:
        found = case.call_and_validate(session=session, checks=CHECKS, timeout=30)
        statuses.add(found.status_code)

    conform()
    session.close()
    if mode is GenerationMode.POSITIVE and not path.endswith("{id}"):
        assert statuses & {200, 202}
    assert httpx.get(f"{service.url}/readyz").status_code == 200
