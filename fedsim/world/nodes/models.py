"""The base models that a node of image generation holds, and what loading them costs."""

from __future__ import annotations

from fedsim.kernel.streams import ADAPTER_LOAD, MODEL_LOAD, keyed_uniform
from fedsim.workload.details import Pictures
from fedsim.world.live import LiveRequest
from fedsim.world.nodes.config import SwitchConfig


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
        """Return the time to load adapter *number* of a request, each with luck of its own."""
        if self._config.adapter_load is None:
            return 0.0
        luck = keyed_uniform(live.key, ADAPTER_LOAD, attempt + (number << 32))
        return self._config.adapter_load.quantile(luck)
