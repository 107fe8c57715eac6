"""Whatever the OpenAPI description allows, and what it does not: no 5xx, and answers as they are described (schemathesis)."""

from collections.abc import Iterator

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from embedded import write_model
from fullclip.serve.app import create_app
from fullclip.serve.settings import Settings
from served import Live, app_of, few, write_index

EXAMPLES = 40
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.negative_data_rejection,
    checks.unsupported_method,
]


@pytest.fixture(scope="module")
def live(tmp_path_factory) -> Iterator[Live]:
    folder = tmp_path_factory.mktemp("fuzzed")
    model = write_model(folder / "tiny")
    settings = Settings(model=model, index=write_index(folder, model), limits=few(items=16))
    with Live(create_app(settings)) as server:
        yield server


ROUTES = schemathesis.openapi.from_dict(app_of().openapi())


OPERATIONS = [(one.path, one.method) for found in ROUTES.get_all_operations() if (one := found.ok())]
CASES = [(*one, GenerationMode.POSITIVE) for one in OPERATIONS]
CASES += [(*one, GenerationMode.NEGATIVE) for one in OPERATIONS if one[1] == "post"]  # the others take nothing


@pytest.mark.parametrize(("path", "method", "mode"), CASES)
def test_a_route_answers_as_described(live, path, method, mode):
    operation = ROUTES[path][method]

    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate(base_url=live.url, checks=CHECKS, timeout=20)

    ask()
    assert httpx.get(f"{live.url}/readyz").status_code == 200
