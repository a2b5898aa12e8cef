"""A page that describes the API; it needs nothing from anywhere else."""

from __future__ import annotations

import json
from html import escape
from typing import Any

from .problems import KINDS

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;
color:#222;background:#fff}
h1{font-size:1.6rem}h2{font-size:1.15rem;margin-top:2rem;border-top:1px solid #ccc;padding-top:1rem}
code,pre{font:14px/1.4 ui-monospace,monospace;background:#f4f4f4;border-radius:4px}
code{padding:0 .25em}pre{padding:.8em;overflow:auto}
table{border-collapse:collapse}td,th{text-align:left;padding:.2em 1em .2em 0;vertical-align:top}
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}code,pre{background:#262626}}
"""


def page(api: dict[str, Any]) -> str:
    """Return HTML for an OpenAPI document.

    >>> "<h1>shop &amp; co" in page({"info": {"title": "shop & co", "version": "1",
    ...     "description": ""}, "paths": {}, "components": {"schemas": {}}})
    True
    """
    info = api["info"]
    out = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        f"<title>{escape(info['title'])}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(info['title'])}</h1><p>Version {escape(info['version'])}. "
        f"{escape(info['description'])} As a document: "
        '<a href="/openapi.json">/openapi.json</a>.</p>',
    ]
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            out += _operation(method, path, operation)
    out.append("<h2>Errors</h2><p>As <code>application/problem+json</code> (RFC 9457).</p><table>")
    for name, kind in KINDS.items():
        out.append(
            f'<tr id="{name}"><td>{kind.status}</td><td><code>{name}</code></td>'
            f"<td>{escape(kind.meaning)}</td></tr>"
        )
    out.append("</table><h2>Types</h2>")
    for name, schema in api["components"]["schemas"].items():
        shown = escape(json.dumps(schema, indent=1, ensure_ascii=False))
        out.append(f'<h3 id="{escape(name)}"><code>{escape(name)}</code></h3><pre>{shown}</pre>')
    out.append("</body></html>")
    return "\n".join(out)


def _operation(method: str, path: str, operation: dict[str, Any]) -> list[str]:
    out = [
        f"<h2><code>{method.upper()} {escape(path)}</code></h2>",
        f"<p>{escape(operation['summary'])}.</p>",
    ]
    if operation.get("parameters"):
        out.append("<table>")
        out += [
            f"<tr><td><code>{escape(p['name'])}</code></td><td>{p['in']}</td>"
            f"<td>{escape(p['description'])}</td></tr>"
            for p in operation["parameters"]
        ]
        out.append("</table>")
    content = operation.get("requestBody", {}).get("content", {})
    out += [
        f"<p>Body: <code>{kind}</code> {_named(c['schema'])}</p>" for kind, c in content.items()
    ]
    for status, answer in operation["responses"].items():
        kinds = ", ".join(_named(c["schema"]) for c in answer["content"].values())
        out.append(f"<div><code>{status}</code> {escape(answer['description'])} {kinds}</div>")
    return out


def _named(schema: dict[str, Any]) -> str:
    """Links to the types that a schema names."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_named(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return f"a list of {_named(schema['items'])}"
    return escape(schema.get("description", schema.get("type", "")))
