"""Packets of a Perfetto trace, many at a time.

The package perfetto makes one packet of each form: a kind of event on a track, with a name. What
differs from event to event has a fixed length in it, and is stamped into copies of that packet:
its time, written in nine bytes, a number of eight bytes, and the id of a request.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fedsim.errors import ArgumentError

Ints = NDArray[np.int64]
Bytes = NDArray[np.uint8]

MARK = "Written by fedsim."
"""What the track that holds all others says of itself, by which a trace is known as ours."""

_SEQUENCE = 1
_BOOT, _REAL = 6, 1  # the clocks of a trace, and of the wall
_TIME = 2**62 + 2**55 + 1  # a time and a number that take all their bytes, and stand nowhere else
_NUMBER = 0x7E7D7C7B7A797877
_TIME_BYTES = 9
_MARK = "\x7f"  # in place of each byte of the id of a request
_LONGEST = 256  # such ids are shorter


class Packets:
    """Gathers the tracks and events of a trace.

    Args:
        name: What the track that holds all others is called.

    Raises:
        ArgumentError: The package perfetto is not installed.
    """

    def __init__(self, name: str) -> None:
        try:
            from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as protos
        except ImportError as error:
            message = "fedsim timeline needs the package perfetto."
            raise ArgumentError(message, 'Run pip install "fedsim-routing[timeline]".') from error
        self._protos: Any = protos
        self._tracks: list[bytes] = []
        self._forms: dict[tuple[Any, ...], int] = {}
        self._templates: list[tuple[Bytes, int]] = []
        self._chunks: list[tuple[Ints, ...]] = []
        self._ids: list[NDArray[np.bytes_]] = []
        self.begin, self.end, self.instant, self.counter_value = (
            protos.TrackEvent.TYPE_SLICE_BEGIN,
            protos.TrackEvent.TYPE_SLICE_END,
            protos.TrackEvent.TYPE_INSTANT,
            protos.TrackEvent.TYPE_COUNTER,
        )
        self.root = self.track(name, None, description=MARK)

    def track(self, name: str, parent: int | None, **facts: Any) -> int:
        """Add a track below another, after those that are there, and return its number."""
        number = len(self._tracks) + 1
        descriptor = self._protos.TrackDescriptor(
            uuid=number,
            name=name,
            child_ordering=self._protos.TrackDescriptor.EXPLICIT,
            sibling_order_rank=number,
            **facts,
        )
        if parent is not None:
            descriptor.parent_uuid = parent
        self._tracks.append(self._whole(track_descriptor=descriptor))
        return number

    def counter(self, name: str, parent: int, unit: str) -> int:
        """Add a track of a number over time."""
        return self.track(name, parent, counter=self._protos.CounterDescriptor(unit_name=unit))

    def clock(self, start_ns: int) -> None:
        """Say what the clock read at time 0, in nanoseconds since 1970."""
        snapshot = self._protos.ClockSnapshot()
        snapshot.clocks.add(clock_id=_BOOT, timestamp=0)
        snapshot.clocks.add(clock_id=_REAL, timestamp=start_ns)
        self._tracks.append(self._whole(clock_snapshot=snapshot))

    def add(
        self,
        kind: int,
        times_ns: Ints,
        tracks: Ints,
        order: tuple[Ints | int, Ints | int, int] = (0, 0, 0),
        *,
        labels: Sequence[Mapping[str, Any]] = ({},),
        label: Ints | int = 0,
        number: str = "",
        numbers: NDArray[Any] | None = None,
        ids: NDArray[np.bytes_] | None = None,
    ) -> None:
        """Add events of one kind.

        Args:
            kind: ``begin``, ``end``, ``instant`` or ``counter_value``.
            times_ns: When each happens, >= 0.
            tracks: The track of each.
            order: What decides, in this order, which of several events of one time is first.
            labels: Fields of an event, with ``notes`` for words by name.
            label: The place in *labels* of each event.
            number: The field that holds a number of eight bytes, where there is one.
            numbers: That number of each event, in eight bytes.
            ids: The name of each event, where each has its own, all of ASCII letters.
        """
        if not len(times_ns):
            return
        sizes = np.zeros(len(times_ns), np.int64) if ids is None else np.char.str_len(ids)
        keys = (np.asarray(tracks) * len(labels) + label) * _LONGEST + sizes
        known, place = np.unique(keys, return_inverse=True)
        forms = []
        for key in known.tolist():
            track, which = divmod(key // _LONGEST, len(labels))
            forms.append(self._form(kind, track, labels[which], number, key % _LONGEST))
        whole = np.zeros(len(times_ns), np.int64)
        raw = whole if numbers is None else np.ascontiguousarray(numbers).view(np.int64)
        ranks = [np.broadcast_to(np.asarray(each, np.int64), whole.shape) for each in order]
        self._chunks.append((times_ns, *ranks, np.array(forms, np.int64)[place], raw))
        self._ids.append(np.zeros(len(whole), "S1") if ids is None else ids)

    @property
    def events(self) -> int:
        """How many events there are."""
        return sum(len(times_ns) for times_ns, *_ in self._chunks)

    def data(self) -> bytes:
        """Return the file: all tracks, then all events in the order of their times."""
        if not self._chunks:
            return b"".join(self._tracks)
        columns = [np.concatenate(parts) for parts in zip(*self._chunks, strict=True)]
        times_ns, first, second, third, forms, numbers = columns
        ids = np.concatenate(self._ids)
        order = np.lexsort((third, second, first, times_ns))
        sizes = np.array([len(each) for each, _ in self._templates], np.int64)
        offsets = np.zeros(len(order) + 1, np.int64)
        np.cumsum(sizes[forms[order]], out=offsets[1:])
        where = np.empty(len(order), np.int64)
        where[order] = offsets[:-1]
        file = np.empty(int(offsets[-1]), np.uint8)
        by_form = np.argsort(forms, kind="stable")
        ends = np.searchsorted(forms[by_form], np.arange(len(sizes) + 1))
        for form, (template, size) in enumerate(self._templates):
            rows = by_form[ends[form] : ends[form + 1]]
            packets = np.tile(template, (len(rows), 1))
            _stamp(
                packets, template, times_ns[rows], numbers[rows], ids[rows].astype(f"S{size or 1}")
            )
            file[where[rows][:, None] + np.arange(len(template))] = packets
        return b"".join(self._tracks) + file.tobytes()

    def _form(self, kind: int, track: int, label: Mapping[str, Any], number: str, size: int) -> int:
        """Return the number of the form of an event, which is made where it is new."""
        key = (kind, track, repr(label), number, size)
        if key not in self._forms:
            facts = {name: value for name, value in label.items() if name != "notes"}
            event = self._protos.TrackEvent(type=kind, track_uuid=track, **facts)
            for name, text in label.get("notes", {}).items():
                event.debug_annotations.add(name=name, string_value=text)
            if size:
                event.name = _MARK * size
            if number == "double_counter_value":
                event.double_counter_value = float(np.int64(_NUMBER).view(np.float64))
            elif number:
                getattr(event, number).append(_NUMBER)
            packet = self._whole(timestamp=_TIME, track_event=event)
            self._forms[key] = len(self._templates)
            self._templates.append((np.frombuffer(packet, np.uint8), size))
        return self._forms[key]

    def _whole(self, **content: Any) -> bytes:
        """Return a trace of one packet; traces that follow each other are one trace."""
        packet = self._protos.TracePacket(trusted_packet_sequence_id=_SEQUENCE, **content)
        made: bytes = self._protos.Trace(packet=[packet]).SerializeToString()
        return made


def _stamp(
    packets: Bytes, template: Bytes, times_ns: Ints, numbers: Ints, ids: NDArray[np.bytes_]
) -> None:
    """Write what differs into copies of a template."""
    whole = template.tobytes()
    at = whole.index(_varints(np.array([_TIME])).tobytes())
    packets[:, at : at + _TIME_BYTES] = _varints(times_ns)
    at = whole.find(np.int64(_NUMBER).tobytes())
    if at >= 0:
        packets[:, at : at + 8] = numbers.astype("<i8").view(np.uint8).reshape(-1, 8)
    size = ids.dtype.itemsize
    at = whole.rfind((_MARK * size).encode()) if size > 1 else -1
    if at >= 0:
        packets[:, at : at + size] = ids.view(np.uint8).reshape(-1, size)


def _varints(values: Ints) -> Bytes:
    """Return numbers as protobuf writes them, each in nine bytes."""
    shifted = values[:, None] >> (7 * np.arange(_TIME_BYTES))
    found = (shifted & 127 | 128).astype(np.uint8)
    found[:, -1] &= 127
    return found
