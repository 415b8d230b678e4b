"""``fedsim new``: a scenario to begin with."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedsim.cli.failures import reported

TEMPLATES = {
    "minimal": "one region, one pool, one stream",
    "regions": "two regions, an outage and a slow node",
    "engine": "GPU nodes with continuous batching, and streamed tokens",
    "comparison": "strategies compared on a gray failure",
}
"""What each template is; its file is in the folder ``templates`` next to this one."""

Name = Annotated[
    str,
    typer.Argument(metavar="NAME", help="The scenario's name: NAME.yaml.", show_default=False),
]
Template = Annotated[
    str,
    typer.Option(
        "--template",
        metavar="NAME",
        help=f"What to begin with: {', '.join(TEMPLATES)}.",
        autocompletion=lambda: list(TEMPLATES.items()),
    ),
]


def new(name: Name, template: Template = "minimal") -> None:
    """Write a commented scenario to begin with. A file that exists is never overwritten."""
    with reported():
        text = _text(template)
        path = _written(name, text)
        typer.echo(f"{path} written from the template {template}: {TEMPLATES[template]}.")
        others = [each for each in TEMPLATES if each != template]
        typer.echo(f"Other templates: {', '.join(others)}.\n\nNext:")
        command = "compare" if "\ncompare:" in text else "run"
        typer.echo(f"  fedsim check {path}\n  fedsim {command} {path}")


def _text(template: str) -> str:
    """Return the text of a template.

    Raises:
        ScenarioError: There is no such template.
    """
    if template not in TEMPLATES:
        from difflib import get_close_matches

        close = get_close_matches(template, TEMPLATES, 1)
        hint = f"Did you mean {close[0]}?" if close else f"Write one of {', '.join(TEMPLATES)}."
        message = f"There is no template {template!r}."
        raise _error(message, hint, "--template")
    return (Path(__file__).parent / "templates" / f"{template}.yaml").read_text(encoding="utf-8")


def _written(name: str, text: str) -> Path:
    """Return the file of that *name*, which this call has created with *text*.

    Raises:
        ScenarioError: It exists, cannot be written, or the name cannot be a scenario's.
    """
    path = Path(name if name.endswith((".yaml", ".yml")) else f"{name}.yaml")
    if not path.stem.replace("-", "").replace("_", "").isalnum() or not path.stem.isascii():
        message = f"{name!r} cannot be the name of a scenario."
        raise _error(message, "Use letters, digits, - and _, such as my-service.", "NAME")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        message = "The file exists, and is not overwritten."
        raise _error(message, "Give another name, or remove the file.", str(path)) from None
    except OSError as error:
        message = f"The file cannot be written: {error.strerror or type(error).__name__}."
        raise _error(message, "Give a name in a folder that exists.", str(path)) from None
    return path


def _error(message: str, remedy: str, place: str) -> Exception:
    from fedsim.errors import Problem, ScenarioError

    return ScenarioError([Problem(message, remedy, file=place)])
