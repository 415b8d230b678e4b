"""A user's own GPU profile as a YAML file, such as ``fedsim calibrate`` writes it.

The file has the coefficients of an engine in a scenario, and what they are about::

    name: my-llama
    model: llama-3.1-8b
    gpu: h100_sxm
    gpus: 1
    kv_capacity: 455000
    prefill: {p0: 2.88ms, p1: 19.25us, p2: 0.8ns, floor: 0ms}
    decode: {d0: 6.37ms, d1: 10.1us, d2: 44ns, dw: 0ms}
    step_overhead: 1.5ms
    request_overhead: 10ms
    fit_error: {prefill: 4.2%, decode: 2.5%}
    source: fitted to benchmark.json
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from pydantic import Field

from fedsim.errors import ScenarioError
from fedsim.results.files import write_file
from fedsim.scenario.catalogues.profiles import Profile
from fedsim.scenario.emit import dump_yaml
from fedsim.scenario.schema.base import Settings
from fedsim.scenario.schema.engine import DecodeSettings, PrefillSettings
from fedsim.scenario.schema.types import CountFrom1, Duration, Excess
from fedsim.scenario.source import read_document
from fedsim.scenario.validate import checked
from fedsim.world.engine.steps import Coefficients


class ProfileFile(Settings):
    """A GPU profile."""

    name: str = Field(min_length=1, description="Its name.", examples=["my-llama"])
    model: str = Field(min_length=1, description="The model.", examples=["llama-3.1-8b"])
    quantization: str | None = Field(
        default=None, description="How its weights are stored.", examples=["fp8"]
    )
    gpu: str = Field(min_length=1, description="The GPU.", examples=["h100_sxm"])
    gpus: CountFrom1 = Field(default=1, description="GPUs of the node.")
    kv_capacity: int = Field(
        ge=1, description="Tokens that the KV cache holds.", examples=[455_000]
    )
    prefill: PrefillSettings = Field(
        description="The time of a step that computes prompts.",
        examples=[{"p0": "2.88ms", "p1": "19.25us"}],
    )
    decode: DecodeSettings = Field(
        description="The time of a step that makes output tokens.",
        examples=[{"d0": "6.37ms", "d1": "10.1us", "d2": "44ns"}],
    )
    step_overhead: Duration = Field(default=0.0, description="Added to every step.")
    request_overhead: Duration = Field(
        default=0.0, description="Time before a request is queued on the node."
    )
    fit_error: dict[str, Excess] = Field(
        default_factory=dict, description="Mean relative error of the times, by what they are of."
    )
    source: str = Field(default="", description="Where the figures come from.")


def read_profile(path: str | PathLike[str]) -> Profile:
    """Return the profile in a YAML file; its figures count as the user's own.

    Raises:
        ScenarioError: The file cannot be read or is no profile; it says where and why.
    """
    document = read_document(Path(path))
    file, problems = checked(
        document, ProfileFile, "Write name, model, gpu, kv_capacity, prefill and decode."
    )
    problems = [*document.problems, *problems]
    if problems or file is None:
        raise ScenarioError(problems)
    return Profile(
        name=file.name,
        steps=_coefficients(file),
        kv_capacity_tokens=file.kv_capacity,
        gpus=file.gpus,
        gpu=file.gpu,
        model=file.model,
        label="user",
        source=f"{path}: {file.source}" if file.source else str(path),
        fit_error=file.fit_error,
        request_overhead_s=file.request_overhead,
        quantization=file.quantization,
    )


def write_profile(path: str | PathLike[str], profile: Profile) -> None:
    """Write a profile of coefficients to a YAML file, which ``read_profile`` reads again.

    Raises:
        TypeError: Its step times are points instead of coefficients.
        ResultsError: It cannot be written.
    """
    steps = profile.steps
    if not isinstance(steps, Coefficients):
        msg = f"{profile.name} has no coefficients, and points cannot be written to a file"
        raise TypeError(msg)
    file = ProfileFile(
        name=profile.name,
        model=profile.model,
        quantization=profile.quantization,
        gpu=profile.gpu,
        gpus=profile.gpus,
        kv_capacity=profile.kv_capacity_tokens,
        prefill=PrefillSettings.model_construct(
            p0=steps.p0_s, p1=steps.p1_s, p2=steps.p2_s, floor=steps.floor_s
        ),
        decode=DecodeSettings.model_construct(
            d0=steps.d0_s, d1=steps.d1_s, d2=steps.d2_s, dw=steps.dw_s
        ),
        source=profile.source,
    ).model_copy(
        update={
            "step_overhead": steps.step_overhead_s,
            "request_overhead": profile.request_overhead_s,
            "fit_error": dict(profile.fit_error),
        }
    )
    write_file(Path(path), dump_yaml(file.model_dump(mode="json")))


def _coefficients(file: ProfileFile) -> Coefficients:
    return Coefficients(
        p0_s=file.prefill.p0,
        p1_s=file.prefill.p1,
        p2_s=file.prefill.p2,
        floor_s=file.prefill.floor,
        d0_s=file.decode.d0,
        d1_s=file.decode.d1,
        d2_s=file.decode.d2,
        dw_s=file.decode.dw,
        step_overhead_s=file.step_overhead,
    )
