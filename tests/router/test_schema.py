"""Requests made up from the OpenAPI document: none ends in a 5xx, none is answered outside its schema."""

from typing import Any

import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from serve_app.catalog_file import default_catalog_path, load_catalog
from serve_app.router.caller import EVERYBODY
from serve_app.router.http import create_api
from serve_app.router.keys import NoKeys
from serve_app.scoring import ScorerState
from serve_app.settings import Limits
from tests.fakes import FakeScorers
from tests.router.building import House

CATALOG = load_catalog(default_catalog_path())
READY = {name: ScorerState("ready", 1, "cpu", "fp32") for name in CATALOG.variants}
HOUSE = House({None: EVERYBODY}, Limits(), FakeScorers(states=READY))
schema = schemathesis.openapi.from_asgi("/openapi.json", create_api(HOUSE.service, HOUSE.office, NoKeys()))


@schema.parametrize()
@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
def test_what_is_made_up_from_the_document(case: schemathesis.Case[Any]) -> None:
    case.call_and_validate(
        checks=[
            not_a_server_error,
            status_code_conformance,
            content_type_conformance,
            response_schema_conformance,
        ]
    )
