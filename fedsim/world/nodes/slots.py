"""Nodes with slots: each request holds one for a time of its own."""

from __future__ import annotations

import math

from fedsim.federation.contracts import NoCapacity
from fedsim.kernel.streams import ADAPTER_LOAD, MODEL_LOAD, keyed_uniform
from fedsim.workload.details import Pictures
from fedsim.world.live import LiveRequest
from fedsim.world.nodes.base import NodeIdentity, NodeSurroundings
from fedsim.world.nodes.config import SwitchConfig
from fedsim.world.nodes.counting import CountingNode
from fedsim.world.nodes.job import Job, StreamedJob


class Models:
    """The loaded base models, the one used longest ago first; none at the start.

    With several slots, a model may make room for another one while a slot still works with it.

    Args:
        config: How many fit, and how long loading takes.

    Attributes:
        last: Number of the model used last; -1 before the first.
    """

    def __init__(self, config: SwitchConfig) -> None:
        self._config = config
        self._loaded: dict[int, None] = {}
        self.last = -1

    def load_s(self, live: LiveRequest, attempt: int) -> tuple[float | None, float]:
        """Load what a request asks for, and return how long that takes.

        Returns:
            Time to load the base model, in seconds, or None where it is loaded already; and time
            to load the adapters, one after the other, in seconds. A request that names no model
            asks for number 0 and for no adapters.
        """
        pictures = live.details
        model = adapters = 0
        if isinstance(pictures, Pictures):
            model, adapters = pictures.model, pictures.adapters
        model_s = None if model in self._loaded else self._model_s(live, attempt)
        self._loaded.pop(model, None)
        if len(self._loaded) == self._config.models:
            del self._loaded[next(iter(self._loaded))]
        self._loaded[model] = None
        self.last = model
        return model_s, sum(self._adapter_s(live, attempt, number) for number in range(adapters))

    def clear(self) -> None:
        """Forget all models."""
        self._loaded.clear()

    def _model_s(self, live: LiveRequest, attempt: int) -> float:
        return self._config.model_load.quantile(keyed_uniform(live.key, MODEL_LOAD, attempt))

    def _adapter_s(self, live: LiveRequest, attempt: int, number: int) -> float:
        """Return the time to load adapter *number* of a request, each with a draw of its own."""
        if self._config.adapter_load is None:
            return 0.0
        uniform = keyed_uniform(live.key, ADAPTER_LOAD, attempt + (number << 32))
        return self._config.adapter_load.quantile(uniform)


class SlotNode(CountingNode):
    """A node with slots and one queue, first come, first served."""

    __slots__ = (
        "_model",
        "_models",
        "_service_s",
        "_slots",
        "knows_first_token",
    )

    def __init__(self, identity: NodeIdentity, surroundings: NodeSurroundings) -> None:
        super().__init__(identity, surroundings)
        assert self.pool.service is not None
        self.knows_first_token = self.pool.service.knows_first_token
        self._model = self.pool.service
        self._service_s = self.pool.service.service_s
        self._slots = self.pool.slots
        self._models = None if self.pool.switch is None else Models(self.pool.switch)

    def accept(self, job: Job) -> None:
        """Serve a job that has arrived, let it wait, or turn it away."""
        job.accepted_s = self.env.now
        if self._troubled and self._turns_away(job):
            return
        if self.running < self._slots:
            self._begin(job)
        elif self.queued < self._queue_limit:
            job.wait()
            self.queued += 1
            self._queue.append(job)
        else:
            job.answer(NoCapacity(job.live.capability))

    def finish(self, job: Job) -> None:
        """Free the slot of a job that was served, and begin with the next."""
        self._leave_slot(job)
        if job.live.output_tokens > 0:
            self.tokens += job.live.output_tokens
        if self.queued:
            self._begin_next()
        job.answer(None)

    def abort(self, job: Job) -> None:
        """Stop working on a job that was given up."""
        if job.in_service:
            self._leave_slot(job)
            if self.queued:
                self._begin_next()
        elif job.waiting:
            self.queued -= 1
        else:
            return
        job.answer(None)

    def token_s(self, job: StreamedJob, number: int) -> float:
        """Return when a token leaves: the first as the model says, the others evenly spaced.

        Where the model does not know, all are equally far apart.
        """
        if math.isnan(job.begun_s):
            return math.inf
        tokens, ended_s = job.live.output_tokens, self._planned_s(job)
        if number >= tokens:
            return ended_s
        first_s, rest_s = self._parts_s(job)
        return job.begun_s + first_s + (number - 1) / (tokens - 1) * rest_s

    def pauses(self, job: StreamedJob, longest_s: float) -> bool:
        """Return whether its tokens are so far apart, as long as it is in service."""
        if not job.in_service or job.live.output_tokens <= 1:
            return False
        return self._parts_s(job)[1] > longest_s * (job.live.output_tokens - 1)

    def _planned_s(self, job: StreamedJob) -> float:
        return job.due_s if job.in_service else job.planned_s

    def _parts_s(self, job: StreamedJob) -> tuple[float, float]:
        """Return a job's time to the first token, and from there to the last, in seconds."""
        service_s = self._planned_s(job) - job.begun_s
        first_s = service_s / max(job.live.output_tokens, 1)
        if self.knows_first_token:
            first_s = self._model.first_token_s(service_s, job.live)
        return first_s, service_s - first_s

    def first_token_s(self, job: Job) -> float:
        """Return when a served job's first token left the node in seconds, NaN where unknown."""
        return job.begun_s + self._model.first_token_s(job.ended_s - job.begun_s, job.live)

    def _begin(self, job: Job) -> None:
        now_s = self.env.now
        running = self.running
        if running:
            passed_s = now_s - self._since_s
            self._busy_slot_s += running * passed_s
            self._busy_s += passed_s
        self._since_s = now_s
        self.running = running + 1
        self._jobs[job] = None
        live = job.live
        uniform = live.service_uniform if job.attempt == 1 else self._service_uniform(job)
        service_s = self._service_s(uniform, live)
        if self._models is not None:
            service_s += self._load_models(job, self._models)
        job.begin(now_s, now_s + service_s * self.factor)

    def _begin_next(self) -> None:
        while True:
            job = self._queue.popleft()
            if job.waiting:  # else it was aborted, and has left its place behind
                self.queued -= 1
                self._begin(job)
                return

    def _load_models(self, job: Job, models: Models) -> float:
        """Return the time that a job's model and adapters take to load, in seconds."""
        model_s, adapters_s = models.load_s(job.live, job.attempt)
        if model_s is not None:
            detail = f"model {models.last}, {model_s * self.factor:.3f} s"
            self._watcher.node_event(self, "loading", "ready", "loading", detail)
        return (model_s or 0.0) + adapters_s

    def _lose_all(self) -> list[Job]:
        if self._models is not None:
            self._models.clear()
        return super()._lose_all()

    def _stretch(self, before: float) -> None:
        now_s, stretch = self.env.now, self.factor / before
        for job in self._jobs:
            job.reschedule(now_s + (job.due_s - now_s) * stretch)
