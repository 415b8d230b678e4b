"""A request as routers see it that sit behind a web server."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

from fedsim.federation.contracts import InferenceRequest

SESSION_HEADER = "x-user-id"
"""The header that carries the tenant, which identifies sessions."""

CHARACTERS_PER_TOKEN = 4
"""Characters that make a token in the text of a prompt."""


@dataclass(slots=True)
class Request:
    """What such routers look at of a ``fastapi.Request``.

    Attributes:
        headers: ``x-request-id``, and the tenant as `SESSION_HEADER` where there is one.
        method: The method.
        url: The path.
        query_params: Nothing.
    """

    headers: dict[str, str]
    method: str = "POST"
    url: str = "/v1/completions"
    query_params: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, request: InferenceRequest) -> Self:
        """Return a request of the federation as one of the web."""
        headers = {"x-request-id": request.request_id}
        if request.tenant_id is not None:
            headers[SESSION_HEADER] = request.tenant_id
        return cls(headers)


def body(request: InferenceRequest) -> dict[str, Any]:
    """Return the body of a request, with a prompt that is equal where the blocks of prompts are."""
    length = request.block_tokens * CHARACTERS_PER_TOKEN
    texts = [(f"{block:016x}" * (length // 16 + 1))[:length] for block in request.blocks]
    return {"model": request.model or request.capability.key, "prompt": "".join(texts)}
