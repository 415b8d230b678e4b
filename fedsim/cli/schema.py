"""``fedsim schema``: the JSON Schema of scenario files, for editors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedsim.cli.failures import reported

SchemaFile = Annotated[
    Path | None,
    typer.Option("--out", "-o", metavar="FILE", help="Write it to FILE, rather than print it."),
]

_MARK = '"title": "fedsim scenario"'


def schema(out: SchemaFile = None) -> None:
    """Print the JSON Schema of scenario files, by which editors complete and check them."""
    with reported():
        import fedsim
        from fedsim.results.files import require_own, write_file

        place = Path(fedsim.__file__).parent / "scenario" / "scenario.schema.json"
        text = place.read_text(encoding="utf-8")
        if out is None:
            typer.echo(text, nl=False)
            return
        require_own(out, _MARK, "a schema")
        write_file(out, text)
        typer.echo(f"{out} written. Begin a scenario beside it with this line:")
        typer.echo(f"  # yaml-language-server: $schema={out.name}")
