"""Write the keys of the scenario file into ``docs/scenario.md``, from the model that checks it.

``python docs/make_reference.py`` replaces what stands between the page's two markers. A test in
``tests/docs`` fails when the page and the model disagree.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from fedsim.federation.policies import LatencyPolicy
from fedsim.scenario import units
from fedsim.scenario.json_schema import schema
from fedsim.scenario.schema.faults import FAULT_MODELS

PAGE = Path(__file__).resolve().parent / "scenario.md"
BEGIN = "<!-- keys: written by `python docs/make_reference.py` -->"
END = "<!-- end of the keys -->"


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the reference: the keys of one mapping of the file.

    Attributes:
        heading: Where the mapping stands in the file.
        definition: Its name in the JSON Schema; empty for the file as a whole.
        level: Level of the heading.
        without: A key that the heading has said already.
    """

    heading: str
    definition: str
    level: int = 3
    without: str = ""


STRATEGY_MODELS = {
    strategy: kinds["anyOf"][0]["$ref"].rpartition("/")[2]
    for strategy, kinds in schema()["$defs"]["StrategySettingsByName"]["properties"].items()
}
"""The strategies that have settings, and the name of these in the JSON Schema."""

SECTIONS = (
    Section("The file", ""),
    Section("`regions.<name>`", "Region"),
    Section("`network`", "Network"),
    Section("`pools.<name>`", "Pool"),
    Section("`pools.<name>.service`, times per token", "TokenService", 4),
    Section("`pools.<name>.service`, speech recognition", "RecognitionService", 4),
    Section("`pools.<name>.service`, speech synthesis", "SynthesisService", 4),
    Section("`pools.<name>.service`, images", "PictureService", 4),
    Section("`pools.<name>.service`, batches", "BatchService", 4),
    Section("`pools.<name>.batching`", "Batching", 4),
    Section("`pools.<name>.switch`", "Switch", 4),
    Section("`pools.<name>.engine`", "Engine", 4),
    Section("`pools.<name>.engine.prefill`", "PrefillSettings", 4),
    Section("`pools.<name>.engine.decode`", "DecodeSettings", 4),
    Section("`workload.<name>`", "Stream"),
    Section("`workload.<name>.arrivals`, `process: poisson`", "PoissonArrivals", 4, "process"),
    Section(
        "`workload.<name>.arrivals`, `process: gamma` or `weibull`", "RenewalArrivals", 4, "process"
    ),
    Section("`workload.<name>.arrivals`, `process: constant`", "ConstantArrivals", 4, "process"),
    Section("`workload.<name>.arrivals`, `process: mmpp`", "MmppArrivals", 4, "process"),
    Section("`workload.<name>.arrivals`, `process: diurnal`", "DiurnalArrivals", 4, "process"),
    Section("`workload.<name>.arrivals`, `process: steps`", "StepsArrivals", 4, "process"),
    Section("`workload.<name>.arrivals`, `process: spike`", "SpikeArrivals", 4, "process"),
    Section(
        "`workload.<name>.arrivals`, `process: closed_loop`", "ClosedLoopArrivals", 4, "process"
    ),
    Section("A step of `process: steps`", "RateStep", 4),
    Section("`workload.<name>.arrivals.shape`, `curve: diurnal`", "DiurnalCurve", 4, "curve"),
    Section("`workload.<name>.arrivals.shape`, `curve: steps`", "StepsCurve", 4, "curve"),
    Section("A step of `curve: steps`", "FactorStep", 4),
    Section("`workload.<name>.arrivals.shape`, `curve: spike`", "SpikeCurve", 4, "curve"),
    Section("`workload.<name>.arrivals`, `process: trace`", "TraceArrivals", 4, "process"),
    Section("`workload.<name>.arrivals.columns`", "TraceColumns", 4),
    Section(
        "`workload.<name>.arrivals`, `process: trace`, `format: servegen`",
        "ServeGenArrivals",
        4,
        "process",
    ),
    Section("`workload.<name>.tokens`", "Tokens", 4),
    Section("`workload.<name>.tokens`, from a trace", "TokenSample", 4),
    Section("`workload.<name>.prefixes`", "PrefixSettings", 4),
    Section("`workload.<name>.conversation`", "ConversationSettings", 4),
    Section("`workload.<name>.audio`", "AudioSettings", 4),
    Section("`workload.<name>.pictures`", "PictureSettings", 4),
    Section("`workload.<name>.pictures.models`", "ModelSettings", 4),
    Section("`workload.<name>.tenants`, numbered", "TenantSettings", 4),
    Section("`workload.<name>.tenants.<name>`", "NamedTenant", 4),
    Section("`workload.<name>.qos`", "Qos", 4),
    Section("`federation`", "Federation"),
    Section("`federation.policies.<name>`", "PolicySettings", 4),
    Section("`federation.strategy_settings`", "StrategySettingsByName", 4),
    *(
        Section(f"`federation.strategy_settings.{strategy}`", model, 5)
        for strategy, model in STRATEGY_MODELS.items()
    ),
    Section("`federation.health`", "HealthSettings", 4),
    Section("`federation.circuit_breaker`", "BreakerSettings", 4),
    Section("`federation.circuit_breaker`, `kind: rate`", "RateBreakerSettings", 4, "kind"),
    Section("`federation.outliers`", "OutlierSettings", 4),
    Section("`federation.outliers.success_rate`", "SuccessRateSettings", 4),
    Section("`federation.outliers.failure_share`", "FailureShareSettings", 4),
    Section("`federation.panic`", "PanicSettings", 4),
    Section("`federation.slow_start`", "SlowStartSettings", 4),
    Section("`federation.timeout`", "TimeoutSettings", 4),
    Section("`federation.retries`", "RetrySettings", 4),
    Section("`federation.retries.budget`", "BudgetSettings", 4),
    Section("`federation.hedge`", "HedgeSettings", 4),
    Section("`federation.throttle`", "ThrottleSettings", 4),
    Section("`federation.concurrency`", "ConcurrencySettings", 4),
    Section("`federation.shedding`", "SheddingSettings", 4),
    Section("`federation`, `preset: apr`", "ReferenceFederation", 3, "preset"),
    Section("`federation.health`, `preset: apr`", "ReferenceHealthSettings", 4),
    Section("`federation.circuit_breaker`, `preset: apr`", "ReferenceBreakerSettings", 4),
    Section("`federation.retries`, `preset: apr`", "ReferenceRetrySettings", 4),
    *(
        Section(f"`faults`, `kind: {kind}`", model.__name__, 3, "kind")
        for kind, model in FAULT_MODELS.items()
    ),
    Section("`slo`", "SloSettings"),
    Section("`record`", "Record"),
    Section("`compare`", "Compare"),
    Section("Distributions", "", 2),
    Section("`distribution: constant`", "ConstantDuration", 3, "distribution"),
    Section("`distribution: exponential`", "ExponentialDuration", 3, "distribution"),
    Section("`distribution: uniform`", "UniformDuration", 3, "distribution"),
    Section(
        "`distribution: lognormal`, `gamma`, `weibull` or `pareto`",
        "SkewedDuration",
        3,
        "distribution",
    ),
    Section("`distribution: hyperexponential`", "HyperexponentialDuration", 3, "distribution"),
    Section("`distribution: empirical`", "EmpiricalDuration", 3, "distribution"),
)

DISTRIBUTIONS = """\
## Distributions

Of durations, as in `service`, and of counts, as in `tokens`: where a table says *duration*, a count
is a number without a unit. Drawn counts are rounded to whole numbers, token counts to at least 1.
Give one of the sets of parameters that the sentence names, and no others.
"""

TEXTS = {
    units.DURATION.pattern(): "duration",
    units.RATE.pattern(): "rate",
    units.TOKEN_RATE.pattern(): "rate of tokens",
    units.PRICE.pattern(): "price",
    units.SHARE.pattern(): "percentage",
}
MAPPINGS = {
    "regions": "mapping of [regions](#regionsname)",
    "pools": "mapping of [pools](#poolsname)",
    "workload": "mapping of [streams](#workloadname)",
    "between": "mapping of durations by pair of regions",
    "gateways": "mapping of whole numbers by region",
    "origins": "mapping of weights by region",
    "shape": "list of curves: [diurnal](#workloadnamearrivalsshape-curve-diurnal), "
    "[steps](#workloadnamearrivalsshape-curve-steps) or "
    "[spike](#workloadnamearrivalsshape-curve-spike)",
    "utc_offsets": "mapping of durations by region",
    "tenants": "mapping, [numbered](#workloadnametenants-numbered) or "
    "[by name](#workloadnametenantsname)",
    "policies": "mapping of [settings](#federationpoliciesname) by policy",
}
ELSEWHERE = {
    **{
        model: f"mapping, [see below](#federationstrategy_settings{strategy})"
        for strategy, model in STRATEGY_MODELS.items()
    },
    "Network": "mapping, [see below](#network)",
    "Federation": "mapping, [see below](#federation)",
    "ReferenceFederation": "[of preset apr](#federation-preset-apr)",
    "ReferenceHealthSettings": "mapping, [see below](#federationhealth-preset-apr)",
    "ReferenceBreakerSettings": "mapping, [see below](#federationcircuit_breaker-preset-apr)",
    "ReferenceRetrySettings": "mapping, [see below](#federationretries-preset-apr)",
    "SloSettings": "mapping, [see below](#slo)",
    "Record": "mapping, [see below](#record)",
    "Compare": "mapping, [see below](#compare)",
    "Tokens": "mapping, [see below](#workloadnametokens)",
    "TokenSample": "[of a trace](#workloadnametokens-from-a-trace)",
    "PrefixSettings": "mapping, [see below](#workloadnameprefixes)",
    "ConversationSettings": "mapping, [see below](#workloadnameconversation)",
    "AudioSettings": "mapping, [see below](#workloadnameaudio)",
    "PictureSettings": "mapping, [see below](#workloadnamepictures)",
    "ModelSettings": "mapping, [see below](#workloadnamepicturesmodels)",
    "Qos": "mapping, [see below](#workloadnameqos)",
    "StrategySettingsByName": "mapping, [see below](#federationstrategy_settings)",
    "HealthSettings": "mapping, [see below](#federationhealth)",
    "BreakerSettings": "mapping, [see below](#federationcircuit_breaker)",
    "RateBreakerSettings": "mapping with `kind: rate`, "
    "[see below](#federationcircuit_breaker-kind-rate)",
    "OutlierSettings": "mapping, [see below](#federationoutliers)",
    "SuccessRateSettings": "mapping, [see below](#federationoutlierssuccess_rate)",
    "FailureShareSettings": "mapping, [see below](#federationoutliersfailure_share)",
    "PanicSettings": "mapping, [see below](#federationpanic)",
    "SlowStartSettings": "mapping, [see below](#federationslow_start)",
    "TimeoutSettings": "mapping, [see below](#federationtimeout)",
    "RetrySettings": "mapping, [see below](#federationretries)",
    "BudgetSettings": "mapping, [see below](#federationretriesbudget)",
    "HedgeSettings": "mapping, [see below](#federationhedge)",
    "ThrottleSettings": "mapping, [see below](#federationthrottle)",
    "ConcurrencySettings": "mapping, [see below](#federationconcurrency)",
    "SheddingSettings": "mapping, [see below](#federationshedding)",
    "PoissonArrivals": "mapping with `process`, [poisson](#workloadnamearrivals-process-poisson)",
    "RenewalArrivals": "[gamma or weibull](#workloadnamearrivals-process-gamma-or-weibull)",
    "ConstantArrivals": "[constant](#workloadnamearrivals-process-constant)",
    "MmppArrivals": "[mmpp](#workloadnamearrivals-process-mmpp)",
    "DiurnalArrivals": "[diurnal](#workloadnamearrivals-process-diurnal)",
    "StepsArrivals": "[steps](#workloadnamearrivals-process-steps)",
    "SpikeArrivals": "[spike](#workloadnamearrivals-process-spike)",
    "ClosedLoopArrivals": "[closed_loop](#workloadnamearrivals-process-closed_loop)",
    "TraceArrivals": "[trace](#workloadnamearrivals-process-trace)",
    "ServeGenArrivals": "[servegen](#workloadnamearrivals-process-trace-format-servegen)",
    "TraceColumns": "mapping, [see below](#workloadnamearrivalscolumns)",
    "RateStep": "[step](#a-step-of-process-steps)",
    "FactorStep": "[step](#a-step-of-curve-steps)",
    "TokenService": "[times per token](#poolsnameservice-times-per-token)",
    "RecognitionService": "[speech recognition](#poolsnameservice-speech-recognition)",
    "SynthesisService": "[speech synthesis](#poolsnameservice-speech-synthesis)",
    "PictureService": "[images](#poolsnameservice-images)",
    "BatchService": "[batches](#poolsnameservice-batches)",
    "Batching": "mapping, [see below](#poolsnamebatching)",
    "Switch": "mapping, [see below](#poolsnameswitch)",
    "Engine": "mapping, [see below](#poolsnameengine)",
    "PrefillSettings": "mapping, [see below](#poolsnameengineprefill)",
    "DecodeSettings": "mapping, [see below](#poolsnameenginedecode)",
}

AS_BELOW = "as below"
DEFAULTS = {
    ("", "name"): "the file's name",
    ("", "warmup"): "a tenth of `duration`",
    ("", "network"): AS_BELOW,
    ("", "federation"): AS_BELOW,
    ("", "faults"): "none",
    ("", "slo"): "none",
    ("", "record"): AS_BELOW,
    ("", "compare"): AS_BELOW,
    ("Network", "within_region"): "the catalogue's, or `1ms`",
    ("Network", "between"): "the catalogue's",
    ("Network", "jitter"): "the catalogue's, or `5%`",
    ("Pool", "model"): "the profile's, or the pool's name",
    ("Pool", "capabilities"): "`[generate]`",
    ("Pool", "slots"): "`8`",
    ("Pool", "service"): "**required**, or `engine`",
    ("Pool", "engine"): "none",
    ("Pool", "batching"): "none",
    ("Pool", "switch"): "none",
    ("Pool", "cold_start"): "none",
    ("Pool", "queue_limit"): "`64`, or `unlimited`",
    ("Pool", "gpu"): "the profile's, or `none`",
    ("Switch", "adapter_load"): "no time",
    ("Engine", "kv_capacity"): "the profile's, or **required**",
    ("Engine", "step_overhead"): "the profile's, or `0s`",
    ("Engine", "request_overhead"): "the profile's, or `0s`",
    ("Stream", "origins"): "all regions, evenly",
    ("Stream", "tokens"): "unknown",
    ("Stream", "tenants"): "none",
    ("Stream", "qos"): AS_BELOW,
    ("Tokens", "prompt"): "unknown",
    ("Tokens", "output"): "unknown",
    ("Qos", "max_latency"): "any",
    ("Qos", "min_throughput"): "any",
    ("Federation", "gateways"): "one per region of origin",
    ("Federation", "policies"): "all six",
    ("Federation", "router"): "ours",
    ("Federation", "health"): AS_BELOW,
    ("Federation", "circuit_breaker"): AS_BELOW,
    ("Federation", "timeout"): AS_BELOW,
    ("Federation", "retries"): AS_BELOW,
    ("Federation", "middleware"): "none",
    ("ReferenceFederation", "gateways"): "one per region of origin",
    ("ReferenceFederation", "health"): AS_BELOW,
    ("ReferenceFederation", "circuit_breaker"): AS_BELOW,
    ("ReferenceFederation", "retries"): AS_BELOW,
    ("ReferenceFederation", "middleware"): "none",
    ("PolicySettings", "weight"): "`2` for health, `1` for others",
    ("PolicySettings", "max_latency"): f"`{units.DURATION.format(LatencyPolicy().max_latency_s)}`",
    ("HealthSettings", "degraded_latency"): "compares with the pool",
    ("OutlierSettings", "success_rate"): AS_BELOW,
    ("Compare", "strategies"): "all five",
    ("Compare", "baseline"): "the first",
}
"""What a key without a fixed default means where it is not given."""


def reference() -> str:
    """Return the tables of all keys as Markdown."""
    whole = schema()
    return "\n".join(_section(section, whole) for section in SECTIONS)


def write(page: Path = PAGE) -> None:
    """Replace what stands between the markers of *page*.

    Raises:
        ValueError: The page lacks the markers.
    """
    page.write_text(rewritten(page), encoding="utf-8")


def rewritten(page: Path = PAGE) -> str:
    """Return the text of *page* with the tables as the model has them now."""
    text = page.read_text(encoding="utf-8")
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        msg = f"{page} lacks the markers {BEGIN!r} and {END!r}"
        raise ValueError(msg)
    return f"{head}{BEGIN}\n\n{reference()}\n{END}{tail}"


def covered() -> set[str]:
    """Return the names of the schema's definitions that the reference describes."""
    named = {section.definition for section in SECTIONS}
    return named | {name.replace("Duration", "Count") for name in named}


def _section(section: Section, whole: dict[str, Any]) -> str:
    if section.heading == "Distributions":
        return DISTRIBUTIONS
    found = whole["$defs"][section.definition] if section.definition else whole
    required = found.get("required", [])
    rows = [
        (
            f"`{key}`",
            _value(section, key, each),
            _default(section, key, each, key in required),
            _meaning(each),
        )
        for key, each in found["properties"].items()
        if key != section.without
    ]
    lines = [f"{'#' * section.level} {section.heading}", "", _plain(found["description"]), ""]
    lines += ["| key | value | default | meaning |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join([*lines, ""])


def _value(section: Section, key: str, found: dict[str, Any]) -> str:
    if (section.definition, key) == ("TraceArrivals", "regions"):
        return "mapping of regions by name in the trace"
    if key == "between" and "from" in schema()["$defs"][section.definition]["properties"]:
        return "list of two names"
    if key in MAPPINGS:
        return MAPPINGS[key]
    if key == "faults":
        return "list of [faults](#faults-kind-outage), see [failures](failures.md)"
    choices = list(dict.fromkeys(_kinds(found)))
    return " or ".join(choices)


def _kinds(found: dict[str, Any]) -> Iterator[str]:
    """Yield what a value may be, in words."""
    if "$ref" in found:
        name = found["$ref"].rpartition("/")[2]
        yield ELSEWHERE.get(name, "[distribution](#distributions)")
    elif "anyOf" in found or "oneOf" in found:
        for each in found.get("anyOf") or found["oneOf"]:
            yield from _kinds(each)
    elif "const" in found:
        yield f"`{found['const']}`"
    elif "enum" in found:
        yield _of_words(found["enum"])
    elif "pattern" in found:
        yield _of_pattern(found["pattern"])
    elif found["type"] == "array":
        yield f"list of: {' or '.join(_kinds(found['items']))}"
    elif found["type"] != "null":
        yield _of_type(found)


def _of_words(words: list[str]) -> str:
    if words[0] == "round_robin":
        return "name of a strategy"
    if len(words) > 20:
        return "name in the [catalogue](catalogues.md)"
    return ", ".join(f"`{word}`" for word in words)


def _of_pattern(pattern: str) -> str:
    if pattern.endswith("ya?ml$"):
        return "name of a file"
    if pattern.startswith("^custom:"):
        return "`custom:<name>`"
    if ":" in pattern and "USD" not in pattern and pattern not in TEXTS:
        return "`module:Class`"
    return TEXTS.get(pattern, "name")


def _of_type(found: dict[str, Any]) -> str:
    words = {"string": "text", "boolean": "`true` or `false`", "object": "mapping"}
    if found["type"] in words:
        return words[found["type"]]
    word = "whole number" if found["type"] == "integer" else "number"
    low, high = found.get("minimum"), found.get("maximum")
    if "exclusiveMinimum" in found:
        return f"{word} > {found['exclusiveMinimum']:g}"
    if low is not None and high is not None and high < 1_000_000:
        return f"{word}, {low:g} to {high:g}"
    return word if low is None else f"{word} ≥ {low:g}"


def _default(section: Section, key: str, found: dict[str, Any], required: bool) -> str:
    if required:
        return "**required**"
    if "default" not in found:
        return DEFAULTS.get((section.definition, key), "–")
    default = found["default"]
    if isinstance(default, float) and default.is_integer():
        default = int(default)
    if default == "":
        return "empty"
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _meaning(found: dict[str, Any]) -> str:
    if "description" not in found:
        name = found["$ref"].rpartition("/")[2]
        found = schema()["$defs"][name]
    text = _plain(found["description"])
    example = found.get("examples", [{}])[0]
    return text if isinstance(example, dict) else f"{text} Example: `{example}`."


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    write()
    print("docs/scenario.md")
