"""Fits what a scenario needs to know of a node to a log of requests that the node served."""

from __future__ import annotations

from fedsim.studies.calibrate.engine import (
    EngineFit,
    Labels,
    Limits,
    calibrate_engine,
    fit_engine,
)
from fedsim.studies.calibrate.log import RequestLog, read_log
from fedsim.studies.calibrate.replay import ReplayError, replay
from fedsim.studies.calibrate.service import ServiceFit, calibrate_service
from fedsim.studies.calibrate.storage import save_engine, save_service
from fedsim.workload.logs.cells import LogError
from fedsim.workload.logs.columns import Column, parse_columns

__all__ = [
    "Column",
    "EngineFit",
    "Labels",
    "Limits",
    "LogError",
    "ReplayError",
    "RequestLog",
    "ServiceFit",
    "calibrate_engine",
    "calibrate_service",
    "fit_engine",
    "parse_columns",
    "read_log",
    "replay",
    "save_engine",
    "save_service",
]
