"""A template and what it shows in; one HTML file out that asks for nothing else: styles, scripts, pictures inside."""

from __future__ import annotations

from base64 import b64encode
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from signgen import __version__
from signgen.files import write_text
from signgen.metrics.results import number_text

STYLE = "style.css"
_BESIDE = " 'self' file:"  # opened from a disk, a page has no self


def write_page(
    path: Path,
    template: str,
    content: dict[str, Any],
    *,
    script: str | None = None,
    styles: tuple[str, ...] = (STYLE,),
    media: bool = False,
) -> Path:
    """Fill a template of this package and write it, atomically.

    Texts are escaped. The page's own policy forbids it every request, and every script and style but those put in here,
    so that a file name can do no harm even if it were not. media: pictures and clips from where the page lies, too.
    """
    style, code = "".join(map(_part, styles)), _part(script) if script else ""
    policy = (
        f"default-src 'none'; img-src data:{_BESIDE if media else ''}; "
        f"{f'media-src{_BESIDE}; ' if media else ''}base-uri 'none'; form-action 'none'; style-src {_hash(style)}; "
        f"script-src {_hash(code) if code else chr(39) + 'none' + chr(39)}"
    )
    page = _environment().get_template(template)
    # Marked as safe: files of this package, which hold no `</script>`.
    write_text(path, page.render(**content, style=Markup(style), script=Markup(code), policy=policy))
    return path


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("signgen.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": lambda value, metric: number_text(metric, value), "size": size_text}
    environment.globals["version"] = __version__
    return environment


def _part(name: str) -> str:
    environment = _environment()
    assert environment.loader is not None
    return environment.loader.get_source(environment, name)[0]


def _hash(text: str) -> str:
    return f"'sha256-{b64encode(sha256(text.encode()).digest()).decode('ascii')}'"


def size_text(count: float) -> str:
    """Bytes for a reader: `812 B`, `3.4 MB`."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"
