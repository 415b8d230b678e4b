"""Write the cards of all strategies into ``docs/strategies.md``, from their docstrings.

``python docs/make_strategies.py`` replaces what stands between the page's two markers. A test in
``tests/docs`` fails when the page and the docstrings disagree.
"""

from __future__ import annotations

import inspect
import re
import sys
from dataclasses import fields
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from docs.blocks import between
from fedsim.federation.strategies.registry import STRATEGIES

PAGE = Path(__file__).resolve().parent / "strategies.md"
BEGIN = "<!-- cards: written by `python docs/make_strategies.py` -->"
END = "<!-- end of the cards -->"

PARTS = ("Rule", "Cost", "Example", "Failure", "Source")
"""What a card says, in this order; a source is not everywhere."""

LOOKS_AT = {
    "round_robin": ("its turn", "Envoy"),
    "least_connections": ("own requests in flight, weights", "NGINX, HAProxy"),
    "least_latency": ("median latency, own requests in flight, weights", "NGINX Plus"),
    "weighted_random": ("the policies' scores", "–"),
    "consistent_hash": ("the tenant's name", "Karger"),
    "random": ("nothing", "Envoy"),
    "power_of_two": ("own requests in flight to two nodes", "Mitzenmacher"),
    "smooth_weighted_round_robin": ("weights", "NGINX"),
    "envoy_weighted_round_robin": ("weights", "Envoy"),
    "envoy_least_request": ("own requests in flight to two nodes, weights", "Envoy"),
    "finagle_peak_ewma": ("latencies of late, own requests in flight to two nodes", "Finagle"),
    "prequal": ("load by probes of its own, latencies at that load", "Google"),
    "join_shortest_queue": ("queues, as last probed or in truth", "theory"),
    "join_idle_queue": ("reports of idle nodes", "Lu"),
    "bounded_load_hash": ("the tenant's name, own requests in flight", "Mirrokni"),
    "maglev": ("the tenant's name, weights", "Google, Envoy"),
    "rendezvous_hash": ("the tenant's name, weights", "Thaler"),
    "least_kv_cache": ("use of the key-value cache at the last probe", "AIBrix"),
    "sglang_cache_aware": ("prompts that a node has seen, own requests in flight", "SGLang"),
    "llm_d": ("queues and caches at the last probe, prompts that a node has seen", "llm-d"),
    "dynamo_kv": ("prompts that a node has seen, blocks in flight", "NVIDIA Dynamo"),
    "aibrix_prefix_cache": ("prompts that a node has seen, own requests in flight", "AIBrix"),
    "envoy_zone_aware": ("regions of gateways and eligible nodes, weights within", "Envoy"),
    "envoy_locality_weighted": ("levels, weights of regions, nodes that are missing", "Envoy"),
    "envoy_load_aware_locality": (
        "utilisation of regions at the last probe, weights within",
        "Envoy",
    ),
    "envoy_priority": ("levels, nodes that are missing, weights within", "Envoy"),
    "cost_capped": ("prices, own requests in flight, queues at the last probe", "–"),
    "best_score": ("the policies' scores", "the reference"),
}
"""For each strategy what it looks at, and whom it follows, in a few words."""


def card(strategy: str) -> tuple[str, dict[str, str]]:
    """Return the summary of a strategy, and the parts of its card by their names.

    Raises:
        ValueError: The docstring is no card.
    """
    text = inspect.getdoc(STRATEGIES[strategy].strategy) or ""
    summary, _, rest = text.partition("\n\n")
    pieces = re.split(rf"\b({'|'.join(PARTS)}): ", " ".join(rest.split()))
    parts = dict(zip(pieces[1::2], map(str.strip, pieces[2::2]), strict=True))
    if pieces[0] or list(parts) != [part for part in PARTS if part in parts] or len(parts) < 4:
        msg = f"the docstring of {strategy} is no card: write {', '.join(PARTS)}, each with a colon"
        raise ValueError(msg)
    return summary, parts


def settings_of(strategy: str) -> str:
    """Return a strategy's settings with their defaults, as in the scenario file."""
    settings = STRATEGIES[strategy].settings
    if settings is None:
        return "–"
    listed = ", ".join(f"`{_setting(field.name, field.default)}`" for field in fields(settings))
    return f"[{listed}](scenario.md#federationstrategy_settings{strategy})"


def _setting(name: str, default: object) -> str:
    if default is None:
        return f"{name}: null"
    if isinstance(default, bool):
        return f"{name}: {str(default).lower()}"
    if isinstance(default, float):
        key = name.removesuffix("_s")
        return f"{key}: {default:g}{'' if key == name else 's'}"
    return f"{name}: {default}"


def cards() -> str:
    """Return the table of all strategies, and their cards, as Markdown."""
    lines = ["| strategy | looks at | follows | settings |", "|---|---|---|---|"]
    for strategy in STRATEGIES:
        looks_at, follows = LOOKS_AT[strategy]
        row = (f"[`{strategy}`](#{strategy})", looks_at, follows, settings_of(strategy))
        lines.append(f"| {' | '.join(row)} |")
    for strategy in STRATEGIES:
        summary, parts = card(strategy)
        lines += ["", f"### `{strategy}`", "", summary, ""]
        lines += [f"- **{part}**: {_marked(text)}" for part, text in parts.items()]
    return "\n".join([*lines, ""])


def _marked(text: str) -> str:
    """Return the text of a docstring as Markdown."""
    return text.replace("``", "`").replace("<", "&lt;").replace("|", "\\|")


def rewritten(page: Path = PAGE) -> str:
    """Return the text of *page* with the cards as the docstrings have them now.

    Raises:
        ValueError: The page lacks the markers.
    """
    return between(page.read_text(encoding="utf-8"), BEGIN, END, cards())


if __name__ == "__main__":
    PAGE.write_text(rewritten(), encoding="utf-8")
    print("docs/strategies.md")
