"""Whatever is sent, right or wrong: the answer is as the service's own OpenAPI says."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.generation import GenerationMode

from tests.flows.service.loop_cases import deciding
from tests.flows.service.world import Service, put_rows

schemathesis.checks.load_all_checks()
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
POSITIVE, NEGATIVE = GenerationMode.POSITIVE, GenerationMode.NEGATIVE
CASES = {
    "events": ("POST", "/v1/events", POSITIVE, 30),
    "no-events": ("POST", "/v1/events", NEGATIVE, 30),
    "features": ("POST", "/v1/features", POSITIVE, 60),
    "no-features": ("POST", "/v1/features", NEGATIVE, 60),
    "one": ("GET", "/v1/features/{id}", POSITIVE, 60),
    "not-one": ("GET", "/v1/features/{id}", NEGATIVE, 60),
    "decide": ("POST", "/v1/decide", POSITIVE, 60),
    "not-decide": ("POST", "/v1/decide", NEGATIVE, 60),
    "batch": ("POST", "/v1/decide/batch", POSITIVE, 30),
    "no-batch": ("POST", "/v1/decide/batch", NEGATIVE, 30),
    "outcomes": ("POST", "/v1/outcomes", POSITIVE, 30),
    "no-outcomes": ("POST", "/v1/outcomes", NEGATIVE, 60),
    "why": ("GET", "/v1/decisions/{id}/why", POSITIVE, 30),
    "not-why": ("GET", "/v1/decisions/{id}/why", NEGATIVE, 30),
    "customer": ("GET", "/v1/customers/{id}", POSITIVE, 60),
    "not-customer": ("GET", "/v1/customers/{id}", NEGATIVE, 60),
    "catalog": ("GET", "/v1/catalog", POSITIVE, 1),
    "healthz": ("GET", "/healthz", POSITIVE, 1),
    "readyz": ("GET", "/readyz", POSITIVE, 1),
}


@pytest.fixture(scope="module")
def service(embedded_store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    put_rows(embedded_store)
    with deciding(embedded_store, tmp_path_factory.mktemp("fuzz")) as service:
        yield service


@pytest.mark.filterwarnings("ignore")  # of the generator, about its own parts
@pytest.mark.parametrize(("method", "path", "mode", "examples"), CASES.values(), ids=CASES)
def test_answers_conform(
    service: Service, method: str, path: str, mode: GenerationMode, examples: int
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
    # Nobody guesses ids: of an entity with other keys, or of a decision.
    guessed = path.endswith("{id}") or path in ("/v1/outcomes", "/v1/decisions/{id}/why")
    if mode is GenerationMode.POSITIVE and not guessed:
        assert statuses & {200, 202}
    assert httpx.get(f"{service.url}/readyz").status_code == 200
