"""Where a trace has what: the names of its columns, and how they are read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from fedsim.workload.traces.fields import Field, Hashes, Seconds, Stamp, Text, Tokens


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a trace.

    Attributes:
        time: Name of the column of times.
        prompt: Of that of prompt tokens.
        output: Of that of output tokens.
        clock: How times are read; None where the first one says.
        blocks: Of the column of block hashes, or None.
        block_tokens: Tokens of a block.
        tenant: Of that of tenants, or None.
        origin: Of that of origins, or None.
        where: The value that a row must have to be kept, by column.
        header: The whole header that the file must have, or None for any.
        drops_failures: Whether a row without output tokens is a failed request.
    """

    time: str
    prompt: str
    output: str
    clock: Seconds | Stamp | None = None
    blocks: str | None = None
    block_tokens: int = 0
    tenant: str | None = None
    origin: str | None = None
    where: Mapping[str, str] = field(default_factory=dict)
    header: str | None = None
    drops_failures: bool = False

    def read_at(self, clock: Seconds | Stamp) -> Layout:
        """Return the layout with its kind of times known."""
        return replace(self, clock=clock)

    def fields(self) -> Iterator[tuple[str, Field]]:
        """Yield the columns that are read, and of what kind they are."""
        yield self.time, self.clock or Seconds()
        yield self.prompt, Tokens()
        yield self.output, Tokens()
        if self.blocks is not None:
            yield self.blocks, Hashes()
        labels = [name for name in (self.tenant, self.origin) if name is not None]
        for name in labels:
            yield name, Text()
        for name in self.where:
            if name not in labels:
                yield name, Text(required=False)

    @property
    def columns(self) -> list[str]:
        """The names of all columns that are read, each once."""
        return list(dict.fromkeys(name for name, _ in self.fields()))
