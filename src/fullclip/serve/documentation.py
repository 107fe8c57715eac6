"""The OpenAPI description as a page of plain HTML, without scripts, fonts or anything from a network."""

import base64
import hashlib
import html
import json
from collections.abc import Iterator, Mapping
from typing import Any

_STYLE = """
body { font: 1rem/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem; color-scheme: light dark }
h2 { border-top: 1px solid; margin-top: 2rem; padding-top: 1rem } pre, code { font-family: ui-monospace, monospace }
pre { overflow-x: auto; padding: .75rem; border: 1px solid } table { border-collapse: collapse }
td, th { border: 1px solid; padding: .25rem .5rem; text-align: left; vertical-align: top }
"""
_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


def page_of(api: Mapping[str, Any]) -> str:
    """The page: each route with what it does, an example that can be sent, its fields and its answers."""
    routes = "".join(
        _route(path, method, told, api) for path, methods in api["paths"].items() for method, told in methods.items()
    )
    title = html.escape(f"{api['info']['title']} {api['info']['version']}")
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style><h1>{title}</h1><p>{html.escape(api['info']['description'])}</p>"
        f'<p>For programs: <a href="openapi.json">openapi.json</a>. <a href=".">The page</a>.</p>{routes}</html>'
    )


def _route(path: str, method: str, told: Mapping[str, Any], api: Mapping[str, Any]) -> str:
    body = _schema_of(told.get("requestBody", {}), api)
    answers = "".join(
        f"<tr><td>{html.escape(status)}</td><td>{html.escape(one['description'])}</td></tr>"
        for status, one in sorted(told["responses"].items())
    )
    sent = "".join(_sent(path, body)) if body else ""
    return (
        f"<h2><code>{method.upper()} {html.escape(path)}</code></h2><p>{html.escape(told.get('description', ''))}</p>"
        f"{sent}<table><tr><th>status</th><th>meaning</th></tr>{answers}</table>"
    )


def _schema_of(body: Mapping[str, Any], api: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = body.get("content", {}).get("application/json", {}).get("schema", {}).get("$ref", "")
    found: Mapping[str, Any] = api["components"]["schemas"].get(reference.rpartition("/")[2], {})
    return found


def _sent(path: str, body: Mapping[str, Any]) -> Iterator[str]:
    """A command that sends an example, and the fields."""
    fields, needed = body["properties"], body.get("required", [])
    example = {name: field["examples"][0] for name, field in fields.items() if "examples" in field}
    command = f"curl -H 'Content-Type: application/json' -d @- http://127.0.0.1:8000{path} <<'END'\n"
    yield f"<pre>{html.escape(command + json.dumps(example, indent=2))}\nEND</pre>"
    yield "<table><tr><th>field</th><th></th><th>meaning</th></tr>"
    for name, field in fields.items():
        what = html.escape(field.get("description", ""))
        default = f"default {json.dumps(field['default'])}" if "default" in field else ""
        state = "needed" if name in needed else default
        yield f"<tr><td><code>{html.escape(name)}</code></td><td>{html.escape(state)}</td><td>{what}</td></tr>"
    yield "</table>"
