"""The charts of a calibration: titles, axes, what is drawn, and what is said of nothing."""

from __future__ import annotations

from io import BytesIO

import numpy as np

from fedsim.charts.calibration import predicted_measured, service_fit


class TestPredictedMeasured:
    """Predicted against measured times."""

    def test_a_panel_per_measure_with_its_error(self):
        """10 % too long is said to be 10 % off; both axes have the same scale and a unit."""
        measured = np.geomspace(0.05, 5.0, 50)
        chart = predicted_measured(
            {"TTFT": (measured, 1.1 * measured), "end to end": (measured, measured)},
            subtitle="log · n = 50",
        )
        first, second = chart.axes

        assert [text.get_text() for text in chart.texts] == [
            "Predicted against measured: requests that the fit has not seen",
            "log · n = 50",
        ]
        assert first.get_title(loc="left") == "TTFT\nmean error 10.0 %"
        assert second.get_title(loc="left") == "end to end\nmean error 0.0 %"
        assert first.get_xlim() == first.get_ylim()
        assert first.get_xlabel() == "measured (s, logarithmic)"
        assert first.get_ylabel() == "predicted (s, logarithmic)"
        legend = first.get_legend()
        assert legend is not None
        names = [text.get_text() for text in legend.get_texts()]
        assert names == ["a request", "p50, p90, p99", "20 % off"]

    def test_too_few_requests_give_a_sentence(self):
        """A measure of four requests is left out; with none left there is nothing to draw."""
        few = np.ones(4)
        chart = predicted_measured({"TTFT": (few, few)})

        assert "There are too few requests to compare." in [text.get_text() for text in chart.texts]


class TestServiceFit:
    """Service times and fitted distributions."""

    def test_the_best_is_named(self):
        """The measured times and each family have a line, and the first family is the best."""
        times = np.sort(np.random.default_rng(1).exponential(1.0, 200))
        chart = service_fit(
            times,
            {"exponential": lambda t: -np.expm1(-t), "gamma": lambda t: -np.expm1(-t / 2)},
        )
        chart.savefig(BytesIO())
        (axes,) = chart.axes
        legend = axes.get_legend()

        assert legend is not None
        names = [text.get_text() for text in legend.get_texts()]
        assert names == ["measured", "exponential: best", "gamma"]
        assert axes.get_xlabel() == "service time (s, logarithmic)"
