"""Fits the engine of a log's nodes, and says how well it predicts requests it was not fitted to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from os import PathLike
from typing import TYPE_CHECKING, Literal

import numpy as np

from fedsim.studies.calibrate.coefficients import (
    ADVICE,
    NAMES,
    Estimate,
    coefficients,
    estimates,
)
from fedsim.studies.calibrate.fit import Fitter
from fedsim.studies.calibrate.log import Floats, RequestLog, read_log
from fedsim.studies.calibrate.replay import replay
from fedsim.studies.calibrate.start import decodes
from fedsim.studies.calibrate.validation import MEASURES, USELESS, Validation
from fedsim.workload.logs.cells import LogError
from fedsim.workload.logs.columns import Column
from fedsim.world.engine.config import EngineConfig
from fedsim.world.engine.steps import Coefficients

if TYPE_CHECKING:
    from matplotlib.figure import Figure, FigureBase
    from pandas import DataFrame


_FEWEST_DECODING = 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What is known of a node besides its speed; no log has it.

    Attributes:
        max_batch: Most requests that run at once.
        token_budget: Most tokens that a step computes.
        kv_capacity_tokens: Tokens that its KV cache holds; None where that is not known, and the
            log's requests are taken to have had room.
        chunked_prefill: Whether a prompt may be computed in several steps.
        admit: What of a request the cache needs room for before it is admitted: ``whole``, as vLLM
            has it with ``scheduler_reserve_full_isl``, or its first ``chunk``.

    Raises:
        ValueError: The token budget is less than the batch limit.
    """

    max_batch: int = 256
    token_budget: int = 8192
    kv_capacity_tokens: int | None = None
    chunked_prefill: bool = True
    admit: Literal["whole", "chunk"] = "whole"

    def __post_init__(self) -> None:
        if self.token_budget < self.max_batch:
            message = (
                f"A step of at most {self.token_budget} tokens has no room for {self.max_batch} "
                "requests, each of which needs one: lower max_batch, or raise token_budget."
            )
            raise ValueError(message)


@dataclass(frozen=True, slots=True)
class Labels:
    """What a profile says that it is about.

    Attributes:
        model: The model.
        gpu: The GPU.
        gpus: Number of GPUs of a node.
    """

    model: str = "unknown"
    gpu: str = "unknown"
    gpus: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class EngineFit:
    """What ``calibrate_engine`` found.

    Attributes:
        log: The log.
        limits: The limits that it was fitted with.
        estimates: The coefficients that matter, with their standard errors.
        config: The fitted engine.
        fitted: How it predicts the requests that it was fitted to.
        held_out: How it predicts the others.
    """

    log: RequestLog
    limits: Limits
    estimates: tuple[Estimate, ...]
    config: EngineConfig
    fitted: Validation
    held_out: Validation

    def __repr__(self) -> str:
        error = self.held_out.error("latency_s")
        return f"<EngineFit of {self.name:.40}: off by {error:.1%} of held-out latencies>"

    @property
    def name(self) -> str:
        """The log's name."""
        return self.log.name

    @property
    def is_useless(self) -> bool:
        """Whether it is off by half of the held-out times between tokens, or to the end."""
        return any(self.held_out.error(measure) > USELESS for measure in ("tpot_s", "latency_s"))

    def summary(self) -> DataFrame:
        """Return predicted against measured times of the held-out requests."""
        return self.held_out.table()

    def errors(self) -> DataFrame:
        """Return the mean absolute relative error of single requests, held out and fitted."""
        import pandas as pd

        parts = {"held_out": self.held_out, "fitted": self.fitted}
        return pd.DataFrame(
            {name: [part.error(measure) for measure in MEASURES] for name, part in parts.items()},
            index=pd.Index(list(MEASURES), name="measure"),
        )

    def coefficients(self) -> DataFrame:
        """Return a row per coefficient: value, standard error, share of the time, determined."""
        import pandas as pd

        return pd.DataFrame(
            [
                (each.name, each.value_s, each.error_s, each.share, each.determined)
                for each in self.estimates
            ],
            columns=["coefficient", "value_s", "error_s", "share", "determined"],
        ).set_index("coefficient")

    def warnings(self) -> list[str]:
        """Return what to know before the profile is trusted, as sentences."""
        found = list(self.log.left_out)
        wrong = self.held_out.warnings()
        if wrong:
            found += [
                *wrong,
                "The engine of fedsim does not describe these nodes under these limits. Check the "
                "columns and their units, --max-batch, --token-budget and --kv-capacity, that the "
                "log has all requests of its nodes, and that nothing else ran on them. No node had "
                f"more than {_most(self.log, np.ones(len(self.log)))} requests between first and "
                "last token at once.",
            ]
        if self.limits.kv_capacity_tokens is None:
            found.append(
                "The KV cache is taken to have been large enough. The profile has "
                f"{self.config.kv_capacity_tokens:,} tokens, the most that the log shows in use at "
                "once; give the real number by --kv-capacity."
            )
        for each in self.estimates:
            if not each.determined:
                found.append(
                    f"This log hardly determines {each.name[:-2]}: {_weakness(each)}. A log with "
                    f"{ADVICE[each.name]} would."
                )
        return found

    def plot(self, *, figure: FigureBase | None = None) -> Figure:
        """Draw predicted against measured times of the held-out requests."""
        from fedsim.charts.calibration import predicted_measured

        pairs = {words: self.held_out.pairs(measure) for measure, words in MEASURES.items()}
        fitted, held_out = int(self.fitted.rows.sum()), int(self.held_out.rows.sum())
        return predicted_measured(
            pairs,
            subtitle=f"{self.name} · fitted to {fitted:,} requests · shown n = {held_out:,} others",
            figure=figure,
        )


def calibrate_engine(
    path: str | PathLike[str],
    *,
    columns: Mapping[str, Column] | None = None,
    limits: Limits | None = None,
    progress: Callable[[float], None] | None = None,
) -> EngineFit:
    """Fit the engine of the nodes of a log to every second request, and predict the others.

    It takes a few seconds for thousands of requests.

    Args:
        path: A CSV, JSON lines or Parquet file with a row per request; see ``read_log``.
        columns: Columns by field, where they do not have one of the known names.
        limits: The nodes' limits; None for those of ``Limits``.
        progress: Is called with the share of the work that is done, 0 to 1.

    Raises:
        LogError: The log cannot be used.
        ReplayError: The limits do not allow a request of the log.
    """
    return fit_engine(read_log(path, columns), limits or Limits(), progress=progress)


def fit_engine(
    log: RequestLog, limits: Limits, *, progress: Callable[[float], None] | None = None
) -> EngineFit:
    """Fit the engine of the nodes of *log*; see ``calibrate_engine``."""
    begun = engine_config(log, limits)
    fitted = np.arange(len(log)) % 2 == 0
    if (decodes(log) & fitted).sum() < _FEWEST_DECODING:
        message = "Almost no request has three output tokens or more and a time between them."
        remedy = "Log first and last tokens, or fit service times by --service."
        raise LogError(log.name, [(None, message)], remedy)
    fit = Fitter(log, fitted, begun, progress or (lambda _: None)).fit()
    steps, overhead_s = coefficients(fit.values_s)
    config = replace(begun, steps=steps, request_overhead_s=overhead_s)
    predicted = replay(log, config)
    return EngineFit(
        log=log,
        limits=limits,
        estimates=estimates(fit.values_s, fit.errors_s, predicted),
        config=replace(config, kv_capacity_tokens=limits.kv_capacity_tokens or tokens_held(log)),
        fitted=Validation(log, predicted, fitted),
        held_out=Validation(log, predicted, ~fitted),
    )


def engine_config(log: RequestLog, limits: Limits) -> EngineConfig:
    """Return the engine that a log's requests meet, without its speed."""
    tokens = int((log.prompt_tokens + log.output_tokens).sum())
    return EngineConfig(
        steps=Coefficients(*[0.0] * (len(NAMES) - 1)),
        kv_capacity_tokens=limits.kv_capacity_tokens or 2 * tokens,
        max_batch=limits.max_batch,
        token_budget=limits.token_budget,
        chunked_prefill=limits.chunked_prefill,
        admit=limits.admit,
    )


def tokens_held(log: RequestLog) -> int:
    """Return the most tokens that requests between first and last token had on any node."""
    return _most(log, (log.prompt_tokens + log.output_tokens).astype(np.float64))


def _most(log: RequestLog, sizes: Floats) -> int:
    """Return the most that requests between first and last token had of something on any node."""
    most = 0.0
    for place in range(len(log.nodes)):
        rows = log.node == place
        times_s = np.concatenate([log.last_token_s[rows], log.first_token_s[rows]])
        order = np.argsort(times_s, kind="stable")
        changes = np.concatenate([-sizes[rows], sizes[rows]])[order]
        most = max(most, float(np.cumsum(changes).max()))
    return round(most)


def _weakness(estimate: Estimate) -> str:
    """Return in words how little is known of a coefficient."""
    adds = f"it adds {100.0 * estimate.share:.2g} % to the mean"
    if not estimate.value_s:
        return "it is 0 within its standard error"
    share = 100.0 * estimate.error_s / estimate.value_s
    return f"its standard error is {min(share, 999.0):.0f} % of it, and {adds} time"
