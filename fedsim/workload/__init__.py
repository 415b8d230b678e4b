"""What arrives: arrival processes, token lengths, tenants and published traces."""

from fedsim.workload.arrival_blocks import ArrivalBlock
from fedsim.workload.arrivals import ArrivalProcess, Poisson, TraceReplay
from fedsim.workload.distributions import (
    Constant,
    Distribution,
    Empirical,
    Exponential,
    Gamma,
    Hyperexponential,
    Lognormal,
    Pareto,
    Uniform,
    Weibull,
)
from fedsim.workload.sizes import Sizes
from fedsim.workload.sources import StreamSource
from fedsim.workload.tenants import Tenants
from fedsim.workload.tokens import Tokens, TokenSamples
from fedsim.workload.traces import Trace, TraceError, read_azure
from fedsim.workload.traffic import Traffic

__all__ = [
    "ArrivalBlock",
    "ArrivalProcess",
    "Constant",
    "Distribution",
    "Empirical",
    "Exponential",
    "Gamma",
    "Hyperexponential",
    "Lognormal",
    "Pareto",
    "Poisson",
    "Sizes",
    "StreamSource",
    "Tenants",
    "TokenSamples",
    "Tokens",
    "Trace",
    "TraceError",
    "TraceReplay",
    "Traffic",
    "Uniform",
    "Weibull",
    "read_azure",
]
