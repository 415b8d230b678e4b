"""The columns of traces that formats and readers both name."""

from __future__ import annotations

from dataclasses import dataclass

AZURE_HEADER = "TIMESTAMP,ContextTokens,GeneratedTokens"
"""The first line of an Azure trace."""


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of one's own file.

    Attributes:
        time: Times, as numbers of seconds from any origin or as dates with times of day in UTC.
        prompt_tokens: Tokens of the prompts.
        output_tokens: Tokens of the answers.
        tenant: Who sends the requests, or None.
        origin: Where they come from, or None.
    """

    time: str = "time"
    prompt_tokens: str = "prompt_tokens"
    output_tokens: str = "output_tokens"
    tenant: str | None = None
    origin: str | None = None
