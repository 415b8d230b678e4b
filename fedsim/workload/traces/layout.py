"""Where a trace has what: the names of its columns, and how they are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from fedsim.workload.traces.fields import Field, Hashes, Seconds, Stamp, Text, Tokens
from fedsim.workload.traces.formats import AZURE_HEADER, Columns


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

    def fields(self) -> dict[str, Field]:
        """Return the columns that are read, each once, and of what kind they are."""
        fields: dict[str, Field] = {
            self.time: self.clock or Seconds(),
            self.prompt: Tokens(),
            self.output: Tokens(),
        }
        if self.blocks is not None:
            fields[self.blocks] = Hashes()
        for name in (self.tenant, self.origin):
            if name is not None:
                fields.setdefault(name, Text())
        for name in self.where:
            fields.setdefault(name, Text(required=False))
        return fields


_PUBLISHED: Mapping[str, Layout] = {
    "azure": Layout("TIMESTAMP", "ContextTokens", "GeneratedTokens", Stamp(), header=AZURE_HEADER),
    "burstgpt": Layout(
        "Timestamp", "Request tokens", "Response tokens", Seconds(), drops_failures=True
    ),
    "bailian": Layout(
        "timestamp", "input_length", "output_length", Seconds(), "hash_ids", block_tokens=16
    ),
    "mooncake": Layout(
        "timestamp", "input_length", "output_length", Seconds(1000.0), "hash_ids", block_tokens=512
    ),
}


def layout_of(form: str, columns: Columns, where: Mapping[str, str]) -> Layout:
    """Return where a trace has what.

    Args:
        form: Its format.
        columns: The columns of one's own file.
        where: The value that a row must have to be kept, by column.
    """
    if form in _PUBLISHED:
        return replace(_PUBLISHED[form], where=where)
    return Layout(
        columns.time,
        columns.prompt_tokens,
        columns.output_tokens,
        tenant=columns.tenant,
        origin=columns.origin,
        where=where,
    )
