"""Pictures: what requests to generate images ask for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fedsim.workload.arrived import Integers
from fedsim.workload.checks import not_negative
from fedsim.workload.counts import token_counts
from fedsim.workload.details import Pictures
from fedsim.workload.distributions import Distribution
from fedsim.workload.draws import Draws
from fedsim.workload.popularity import bounds, pick, zipf_shares


@dataclass(frozen=True, slots=True)
class BaseModels:
    """The base models that pictures are made with.

    Model i, counted from 0, is asked for with a probability proportional to ``(i + 1) ** -zipf``.

    Attributes:
        count: Number of models, >= 1.
        zipf: Exponent, >= 0; 0 for all alike.
        repeat: Probability that a request asks for the model of the request before it, of the
            same tenant where the stream has tenants; None where requests know nothing of each
            other, and at least ``chance``.
    """

    count: int = 1
    zipf: float = 1.0
    repeat: float | None = None

    def __post_init__(self) -> None:
        not_negative("models", zipf=self.zipf)
        if self.count < 1:
            message = f"the count of models must be at least 1, not {self.count}"
            raise ValueError(message)
        if self.repeat is not None and not self.chance <= self.repeat <= 1.0:
            message = (
                f"the repeat of models must be from {self.chance:.3g}, which popularity alone "
                f"gives, to 1, not {self.repeat!r}: leave it out where requests do not repeat "
                "the one before"
            )
            raise ValueError(message)

    @property
    def chance(self) -> float:
        """The probability that two requests that know nothing of each other want one model."""
        return float(np.sum(zipf_shares(self.count, self.zipf) ** 2))

    @property
    def copied(self) -> float:
        """The probability that a request takes over the model of the one before it.

        The others choose by popularity and hit on the same model by chance, which is why this is
        less than ``repeat``.
        """
        if self.repeat is None or self.chance >= 1.0:
            return 0.0
        return (self.repeat - self.chance) / (1.0 - self.chance)


@dataclass(frozen=True, slots=True)
class PictureSizes:
    """Distributions of what a request for pictures asks for; all counts are drawn apart.

    Attributes:
        steps: Inference steps of each picture, at least 1 after rounding.
        images: Pictures of a request, at least 1 after rounding.
        models: The base models.
        adapters: Adapters (LoRAs) on top of the model, or None for none.
    """

    steps: Distribution
    images: Distribution
    models: BaseModels = BaseModels()
    adapters: Distribution | None = None

    @property
    def steps_mean(self) -> float:
        """Mean steps of a request over all its pictures, before rounding."""
        return self.steps.mean * self.images.mean


class PictureDraws:
    """Draws the pictures of consecutive requests, each knowing the models asked for before it."""

    def __init__(self, sizes: PictureSizes) -> None:
        self._sizes = sizes
        self._bounds = bounds(zipf_shares(sizes.models.count, sizes.models.zipf))
        self._before: dict[int, int] = {}

    def draw(self, draws: Draws, senders: Integers) -> list[Pictures]:
        """Return the pictures of the next requests, sent by *senders*."""
        sizes = self._sizes
        models = pick(self._bounds, draws("model"))
        if sizes.models.copied > 0.0:
            models = self._repeated(models, draws("repeat") < sizes.models.copied, senders)
        steps = token_counts(sizes.steps, draws("steps"))
        images = token_counts(sizes.images, draws("images"))
        adapters = np.zeros(len(models), dtype=np.int64)
        if sizes.adapters is not None:
            adapters = token_counts(sizes.adapters, draws("adapters"), 0)
        rows = zip(steps.tolist(), images.tolist(), models.tolist(), adapters.tolist(), strict=True)
        return [Pictures(*row) for row in rows]

    def _repeated(self, models: Integers, copies: NDArray[np.bool_], senders: Integers) -> Integers:
        """Return *models*, but for those that are copies of the same sender's one before."""
        before = self._before
        result = []
        for chosen, copy, sender in zip(
            models.tolist(), copies.tolist(), senders.tolist(), strict=True
        ):
            model = before.get(sender, chosen) if copy else chosen
            before[sender] = model
            result.append(model)
        return np.array(result, dtype=np.int64)
