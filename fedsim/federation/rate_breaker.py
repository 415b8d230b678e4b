"""A circuit breaker that goes by the rates of failures and of slow calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

from fedsim.federation.circuits import Circuit, Circuits
from fedsim.federation.contracts import CircuitState, NodeId
from fedsim.federation.result_windows import CallWindow, ResultWindow, TimeWindow
from fedsim.federation.runtime import Clock, Observer
from fedsim.federation.settings import Apart, CountFrom1, PositiveSeconds, Share


@dataclass(frozen=True, slots=True)
class RateBreakerConfig:
    """Settings of circuit breakers that go by the rates of failures and of slow calls.

    The defaults are those of Resilience4j.

    Attributes:
        window_calls: Results that count, the newest ones, >= 1; the window where ``window_s`` is
            None.
        window_s: Whole seconds whose results count, the current one included; None counts calls.
        failure_rate: Share of failures that opens a circuit.
        slow_call_s: A request that takes longer is slow, in seconds.
        slow_rate: Share of slow requests that opens a circuit.
        min_calls: Results from which the rates count; at most a window that counts results.
        wait_s: Time that a circuit stays open, in seconds.
        half_open_probes: Requests that pass a half-open circuit, and whose rates then decide.
    """

    window_calls: Annotated[int, Apart()] = 100
    window_s: Annotated[int | None, Apart()] = None
    failure_rate: Share = 0.5
    slow_call_s: PositiveSeconds = 60.0
    slow_rate: Share = 1.0
    min_calls: CountFrom1 = 100
    wait_s: PositiveSeconds = 60.0
    half_open_probes: CountFrom1 = 10


class _Rated(Circuit):
    """A circuit with the results that its rates are made of."""

    __slots__ = ("window",)

    def __init__(self, window: ResultWindow) -> None:
        super().__init__()
        self.window = window


class RateBreaker(Circuits[_Rated]):
    """Opens a circuit when too many of the last results are failures, or are slow.

    Closed: a result counts in a window of the newest ``window_calls`` results, or of those of the
    last ``window_s`` clock seconds. Once ``min_calls`` are in it, the circuit opens where the
    share of failures reaches ``failure_rate``, or that of slow results, failed or not,
    ``slow_rate``. Open: nothing passes for ``wait_s``. Half-open: ``half_open_probes`` requests
    pass, and no more; when as many results (or ``min_calls``, where that is less) have come, the
    same rates over them open the circuit again, or close it. Every state begins with an empty
    window. An attempt that ends without a result gives its place back, and one that has none after
    ``wait_s`` loses it.

    With the defaults the 100th result is the first that can open a circuit; 50 failures among 100
    open it. After 60 s ten requests pass; five failures among them open it again, four close it.

    Source: Resilience4j's ``CircuitBreaker``, with its defaults. It counts late results in
    whatever state the circuit is in; here they are not counted until it is closed again.
    """

    announces: ClassVar[bool] = True

    def __init__(
        self,
        clock: Clock,
        config: RateBreakerConfig | None = None,
        observer: Observer | None = None,
    ) -> None:
        self._config = config or RateBreakerConfig()
        super().__init__(clock, self._config.wait_s, observer)
        self._verdict_calls = min(self._config.min_calls, self._config.half_open_probes)

    def record_attempt(self, node_id: NodeId, ok: bool, sent_s: float) -> None:
        """Record how an attempt on the node ended that was sent at *sent_s*, in seconds."""
        circuit = self._circuits.get(node_id)
        if circuit is None:
            circuit = self._circuits[node_id] = _Rated(self._closed_window())
        self._update_half_open(node_id, circuit)
        if circuit.state is CircuitState.OPEN:
            return
        half_open = circuit.state is CircuitState.HALF_OPEN
        if half_open and self._is_late(circuit, sent_s):
            return
        now_s = self._clock.now()
        window = circuit.window
        window.add(now_s, not ok, now_s - sent_s > self._config.slow_call_s)
        if window.calls < (self._verdict_calls if half_open else self._least_calls):
            if half_open:
                self._changed(node_id)
            return
        reason = self._too_much(window)
        if reason is not None:
            self._open(node_id, circuit, reason)
        elif half_open:
            circuit.window = self._closed_window()
            self._move(node_id, circuit, CircuitState.CLOSED, "the probes' rates are low enough")

    @property
    def _least_calls(self) -> int:
        """Results from which the rates of a closed circuit count."""
        config = self._config
        if config.window_s is not None:
            return config.min_calls
        return min(config.min_calls, config.window_calls)

    def _closed_window(self) -> ResultWindow:
        seconds = self._config.window_s
        return CallWindow(self._config.window_calls) if seconds is None else TimeWindow(seconds)

    def _too_much(self, window: ResultWindow) -> str | None:
        """Return in words which rate is too high, or None where neither is."""
        failed, slow = window.failures / window.calls, window.slow / window.calls
        if failed >= self._config.failure_rate:
            return f"{window.failures} of {window.calls} failed"
        if slow >= self._config.slow_rate:
            return f"{window.slow} of {window.calls} were slow"
        return None

    def _lets_through(self, circuit: _Rated) -> bool:
        done = circuit.window.calls if circuit.state is CircuitState.HALF_OPEN else 0
        return done + circuit.probes(self._clock.now()) < self._config.half_open_probes

    def _half_opened(self, circuit: _Rated) -> None:
        circuit.window = CallWindow(self._config.half_open_probes)
