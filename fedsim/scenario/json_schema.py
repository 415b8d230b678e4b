"""The JSON Schema of scenario files, so that editors complete and check them.

It is committed next to this module as ``scenario.schema.json``, which ``fedsim schema`` prints;
``python -m fedsim.scenario.json_schema`` writes it again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import core_schema

from fedsim.scenario.schema.root import ScenarioFile

SCHEMA_FILE = Path(__file__).parent / "scenario.schema.json"
"""Where the schema is committed."""

IDENTITY = "urn:fedsim:scenario"
"""Its ``$id``, which names it and leads nowhere."""


class _Generator(GenerateJsonSchema):
    """Writes defaults as they stand in a file, with their units."""

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> dict[str, Any]:
        written = super().default_schema(schema)
        serialization: Any = schema["schema"].get("serialization", {})
        if isinstance(written.get("default"), float) and "function" in serialization:
            written["default"] = serialization["function"](written["default"])
        return written


def schema() -> dict[str, Any]:
    """Return the JSON Schema of scenario files."""
    generated = ScenarioFile.model_json_schema(mode="validation", schema_generator=_Generator)
    renamed = _without_titles(_named_by_title(generated))
    head = {
        "$schema": _Generator.schema_dialect,
        "$id": IDENTITY,
        "title": "fedsim scenario",
    }
    return {**head, **renamed}


def schema_text() -> str:
    """Return the JSON Schema as the text of its file."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def write_schema(path: Path = SCHEMA_FILE) -> None:
    """Write the JSON Schema to *path*."""
    path.write_text(schema_text(), encoding="utf-8")


def _named_by_title(generated: dict[str, Any]) -> dict[str, Any]:
    """Return the schema with its definitions under their titles, which are short and stable."""
    text = json.dumps(generated)
    for name, definition in generated["$defs"].items():
        text = text.replace(f'"#/$defs/{name}"', f'"#/$defs/{definition["title"]}"')
    renamed: dict[str, Any] = json.loads(text)
    renamed["$defs"] = {each["title"]: each for each in renamed["$defs"].values()}
    return renamed


def _without_titles(schema: Any) -> Any:
    """Return the schema without what only repeats the key: its title, and null as its default."""
    if isinstance(schema, list):
        return [_without_titles(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: _without_titles(value)
        for key, value in schema.items()
        if not (key == "title" and isinstance(value, str))
        and not (key == "default" and value is None)
    }


if __name__ == "__main__":
    write_schema()
