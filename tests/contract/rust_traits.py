"""Reads the federation's Rust definition into plain data, to compare ours with it.

``python tests/contract/rust_traits.py traits.rs > tests/contract/contracts.yaml`` writes the list
that the tests hold our contracts against.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import yaml

_COMMENT = re.compile(r"//[^\n]*")
_BLOCK = re.compile(r"pub (struct|enum|trait) (\w+)(?:: [\w +]+)? \{(.*?)\n\}", re.DOTALL)
_NEWTYPE = re.compile(r"pub struct (\w+)\(pub (\w+)\);")
_FIELD = re.compile(r"pub (\w+): ([^\n]+),\n")
_VARIANT = re.compile(
    r"(?:#\[error\(\"(?P<message>[^\"]*)\"\)\])?\s*(?P<default>#\[default\])?\s*"
    r"(?P<name>\w+)(?:\((?P<of>\w+)\))?(?: = (?P<value>\d+))?,"
)
_METHOD = re.compile(r"(?:pub )?fn (\w+)\(\s*(.*?),?\s*\)\s*(?:->\s*([^;{]+?))?\s*[;{]", re.DOTALL)
_DEFAULT = re.compile(r"impl Default for (\w+) \{.*?Self \{(.*?)\n        \}", re.DOTALL)


def read(text: str) -> dict[str, Any]:
    """Return the types, variants, defaults, traits and builder methods of *text*."""
    text = _COMMENT.sub("", text)
    found: dict[str, Any] = {"newtypes": dict(_NEWTYPE.findall(text))}
    for kind in ("structs", "enums", "errors", "traits"):
        found[kind] = {}
    for kind, name, inside in _BLOCK.findall(text):
        body = f"{inside}\n"
        if kind == "struct":
            found["structs"][name] = dict(_FIELD.findall(body))
        elif kind == "trait":
            found["traits"][name] = _methods(body)
        elif name.endswith("Error"):
            found["errors"] = {
                variant["name"]: {"of": variant["of"], "message": variant["message"]}
                for variant in _VARIANT.finditer(body)
            }
        else:
            found["enums"][name] = _variants(body)
    found["defaults"] = {
        name: dict(re.findall(r"(\w+): ([\w.:]+),", body)) for name, body in _DEFAULT.findall(text)
    }
    builder = text.split("impl FederationBuilder {")[1]
    found["builder"] = list(_methods(builder))
    return found


def _variants(body: str) -> dict[str, Any]:
    variants: dict[str, Any] = {}
    for variant in _VARIANT.finditer(body):
        details = {key: variant[key] for key in ("of", "value", "default") if variant[key]}
        variants[variant["name"]] = details
    return variants


def _methods(body: str) -> dict[str, dict[str, Any]]:
    methods = {}
    for name, arguments, returns in _METHOD.findall(body):
        parameters = [each.strip() for each in re.split(r",\s*", arguments) if each.strip()]
        methods[name] = {
            "async": returns.startswith("BoxFuture"),
            "parameters": dict(
                each.split(": ", 1) for each in parameters if not each.endswith("self")
            ),
            "returns": re.sub(r"\s+", " ", returns),
        }
    return methods


if __name__ == "__main__":
    listed = read(Path(sys.argv[1]).read_text(encoding="utf-8"))
    sys.stdout.write(
        "# The federation's Rust definition as data; written by tests/contract/rust_traits.py\n"
    )
    yaml.safe_dump(listed, sys.stdout, sort_keys=False, width=100)
