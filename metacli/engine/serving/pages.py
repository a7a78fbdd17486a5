"""The two pages of the server. Neither loads anything from outside, nor may it: the browser is told
so."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from metacli import __version__
from metacli.engine.results.base import Json

HERE = Path(__file__).parent
FRONT, DOCS = "front.html", "docs.html"


def policy(*pages: str) -> str:
    """A Content-Security-Policy under which these pages work and nothing else does: their own
    scripts and styles by their hash, requests to this server alone."""
    sources = {
        kind: sorted(f"'sha256-{digest(text)}'" for page in pages for text in inside(page, kind))
        for kind in ("script", "style")
    }
    rules = [
        "default-src 'none'",
        f"script-src {' '.join(sources['script'])}",
        f"style-src {' '.join(sources['style'])}",
        "img-src blob: data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    return "; ".join(rules)


def inside(page: str, tag: str) -> list[str]:
    """What stands in each element of a kind."""
    return re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)


def digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def front_page() -> str:
    """The page on which examples are dropped into classes."""
    return rendered(FRONT)


@dataclass(frozen=True)
class Route:
    """A path and method of the interface, as the documentation shows them."""

    method: str
    path: str
    summary: str
    body: Json


def documentation(schema: Mapping[str, Json]) -> str:
    """OpenAPI as a page."""
    info = schema["info"]
    return rendered(DOCS, routes=list(routes_of(schema)), info=info)


def routes_of(schema: Mapping[str, Json]) -> Iterator[Route]:
    paths = schema["paths"]
    assert isinstance(paths, Mapping)
    for path, methods in paths.items():
        assert isinstance(methods, Mapping)
        for method, said in methods.items():
            assert isinstance(said, Mapping)
            yield Route(method.upper(), path, str(said.get("description", "")), body_of(said))


def body_of(said: Mapping[str, Json]) -> Json:
    """The schema of a JSON body; None where there is none."""
    body = said.get("requestBody")
    if not isinstance(body, Mapping):
        return None
    content = body["content"]
    assert isinstance(content, Mapping)
    found = content["application/json"]
    assert isinstance(found, Mapping)
    return found["schema"]


def rendered(template: str, **values: Json | list[Route]) -> str:
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(version=__version__, **values)


HEADERS = {
    "content-security-policy": policy(*((HERE / name).read_text("utf-8") for name in (FRONT, DOCS)))
}
