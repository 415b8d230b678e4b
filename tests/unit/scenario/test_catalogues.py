"""The catalogues: names, figures, and what is said of names that they do not have.

The figures in these tests are literals with their sources, apart from the catalogues' files.
"""

from __future__ import annotations

import pytest

from fedsim.scenario.catalogues.failures import failure_preset, failure_presets
from fedsim.scenario.catalogues.locations import check_location, location_names, round_trip
from fedsim.scenario.catalogues.prices import (
    instance_for,
    instances,
    node_usd_per_hour,
    price_names,
)
from fedsim.scenario.catalogues.profiles import profile, profile_names
from fedsim.scenario.catalogues.tables import CatalogueError, sources

HOUR, DAY = 3600.0, 86_400.0

STEPS = [
    ("llama-3.1-8b/bf16/a100_sxm/tp1", 16_360, 19.1, 455),
    ("llama-3.1-8b/bf16/h100_sxm/tp1", 47_072, 9.6, 455),
    ("llama-3.1-8b/bf16/h200_sxm/tp1", 47_187, 7.3, 905),
    ("llama-3.1-8b/bf16/l40s/tp1", 14_135, 38.1, 197),
    ("llama-3.1-8b/fp8/h100_sxm/tp1", 60_267, 7.6, 516),
    ("qwen3-32b/bf16/a100_sxm/tp2", 7_279, 32.9, 328),
    ("qwen3-32b/bf16/h100_sxm/tp2", 19_107, 17.6, 328),
    ("llama-3.1-70b/bf16/a100_sxm/tp4", 6_073, 35.0, 493),
    ("llama-3.1-70b/bf16/h100_sxm/tp4", 15_732, 18.4, 493),
    ("llama-3.1-70b/fp8/h100_sxm/tp2", 12_668, 19.3, 247),
    ("llama-3.1-70b/bf16/h200_sxm/tp4", 16_020, 14.5, 1_213),
    ("llama-3.1-70b/fp8/l40s/tp4", 838, 71.9, 296),
    ("llama-3.1-8b/bf16/l4/tp1", 4_703, 102.7, 42),
]
"""Profile, prompt tokens per second at 2,048 tokens, milliseconds of a step of 32 requests with
2,048 tokens each, and thousands of tokens in the cache: aiconfigurator-core 0.12.0."""


class TestProfiles:
    @pytest.mark.parametrize(("name", "tokens_per_s", "step_ms", "cache"), STEPS)
    def test_steps_take_what_was_composed_from_kernels(self, name, tokens_per_s, step_ms, cache):
        """Prefill and decode are within the errors that the fits state, the cache is exact."""
        found = profile(name)
        prefill_s = found.steps.step_s(found.steps.prefill_s(2048, 0), 1, 0, 0)
        decode_s = found.steps.step_s(0.0, 0, 32, 32 * 2048)

        assert 2048 / prefill_s == pytest.approx(tokens_per_s, rel=0.09)
        assert 1e3 * decode_s == pytest.approx(step_ms, rel=0.09)
        assert found.kv_capacity_tokens == pytest.approx(1000 * cache, abs=500)

    def test_agree_with_fits_to_real_servers(self):
        """A prompt of 2,048 tokens takes 47.0 ms by BLIS's fit to vLLM 0.11; ours lacks its host.

        BLIS, 8b model on an H100: 6.472 ms + 19.8 us per token.
        """
        steps = profile("llama-3.1-8b/bf16/h100_sxm/tp1").steps
        blis_s = 6.472e-3 + 19.8e-6 * 2048

        assert blis_s == pytest.approx(0.047, abs=5e-5)
        assert 0.8 * blis_s < steps.step_s(steps.prefill_s(2048, 0), 1, 0, 0) < blis_s

    @pytest.mark.parametrize(
        ("gpu", "prefill_ms", "decode_ms"), [("a100_sxm", 274, 53), ("h100_sxm", 137, 38.6)]
    )
    def test_are_faster_than_engines_of_2023(self, gpu, prefill_ms, decode_ms):
        """Splitwise measured llama2-70b on 8 GPUs: 2,048 tokens, and batch 32 at 512 tokens."""
        steps = profile(f"llama-3.1-70b/bf16/{gpu}/tp8").steps
        prefill_s = steps.step_s(steps.prefill_s(2048, 0), 1, 0, 0)
        decode_s = steps.step_s(0.0, 0, 32, 32 * 512)

        assert 1.1 < prefill_ms / (1e3 * prefill_s) < 1.7
        assert 2.4 < decode_ms / (1e3 * decode_s) < 3.8

    def test_a_name_says_what_the_node_is(self):
        """Model, GPU and their number stand in the name; the source says how it was measured."""
        found = profile("llama-3.1-70b/bf16/h100_sxm/tp4")

        assert (found.model, found.gpu, found.gpus) == ("llama-3.1-70b", "h100_sxm", 4)
        assert found.label == "derived"
        assert "vllm 0.24.0" in found.source
        assert 0.0 < found.fit_error["decode"] < found.fit_error["prefill"] < 0.05

    def test_what_was_not_measured_is_estimated(self):
        """The L4 comes from a roofline, and says so."""
        assert profile("llama-3.1-8b/bf16/l4/tp1").label == "estimated"

    def test_all_can_be_had(self):
        """Every name gives a profile whose steps take time and grow with their work."""
        assert len(profile_names()) == 73
        for name in profile_names():
            steps = profile(name).steps
            small, large = (steps.step_s(0.0, 0, batch, batch * 1024) for batch in (1, 256))
            short, long = (
                steps.step_s(steps.prefill_s(tokens, 0), 1, 0, 0) for tokens in (128, 8192)
            )
            assert 0.0 < small < large, name
            assert 0.0 < short < long, name

    def test_a_model_that_does_not_fit_is_refused(self):
        """Without room for a cache there is no node, only the time of a step."""
        with pytest.raises(CatalogueError) as refused:
            profile("llama-3.1-70b/bf16/l40s/tp2")

        assert "has no room for a KV cache" in refused.value.message
        assert refused.value.remedy == "Take llama-3.1-70b/bf16/l40s/tp4."

    @pytest.mark.parametrize(
        ("name", "remedy"),
        [
            ("llama-3.1-8b/bf16/h100/tp1", "Did you mean llama-3.1-8b/bf16/h100_sxm/tp1?"),
            ("Llama-3.1-8B/BF16/H100_SXM/TP1", "Did you mean llama-3.1-8b/bf16/h100_sxm/tp1?"),
            ("gpt", "See fedsim catalogue gpus for all."),
        ],
    )
    def test_an_unknown_name_is_answered(self, name, remedy):
        """What is close is proposed."""
        with pytest.raises(CatalogueError) as refused:
            profile(name)

        assert refused.value.remedy == remedy


class TestPrices:
    def test_of_an_instance(self):
        """A node pays for its GPUs, not for the instance around them: AWS us-west-2, June 2025."""
        assert node_usd_per_hour("aws/p5.48xlarge") == pytest.approx(6.88)
        assert node_usd_per_hour("aws/p5.48xlarge", 8) == pytest.approx(55.04)
        assert node_usd_per_hour("aws/g4dn.xlarge") == pytest.approx(0.526)

    def test_of_a_gpu_is_the_cheapest_with_room(self):
        """An L40S alone costs 1.861 USD/h; four in one node need the larger instance."""
        assert instance_for("aws/l40s").name == "aws/g6e.xlarge"
        assert instance_for("aws/l40s", 4).name == "aws/g6e.12xlarge"
        assert node_usd_per_hour("aws/l40s", 4) == pytest.approx(10.49264)
        assert node_usd_per_hour("nebius/h100_sxm", 2) == pytest.approx(5.90)

    def test_a_node_must_fit(self):
        """A node has at most the GPUs of its instance."""
        with pytest.raises(CatalogueError, match=r"The node has 4 GPUs, and aws/p5\.4xlarge at"):
            instance_for("aws/p5.4xlarge", 4)

    def test_prices_at_second_hand_are_estimates(self):
        """Azure's were quoted by somebody else."""
        labels = {each.provider: each.source.label for each in instances().values()}

        assert labels == {
            "aws": "measured",
            "nebius": "measured",
            "lambda": "measured",
            "azure": "estimated",
        }

    def test_unknown(self):
        """What is close is proposed."""
        with pytest.raises(CatalogueError, match=r"Did you mean aws/h100_sxm\?"):
            node_usd_per_hour("aws/h100")

        assert len(price_names()) == len(set(price_names()))


class TestLocations:
    @pytest.mark.parametrize(
        ("one", "other", "p50_ms"),
        [
            ("East US", "West Europe", 83),
            ("East US", "Southeast Asia", 224),
            ("East US", "Japan East", 162),
            ("East US", "Central India", 198),
            ("West Europe", "Southeast Asia", 169),
            ("West Europe", "Australia East", 264),
            ("UAE North", "Central India", 32),
            ("Brazil South", "East US", 117),
        ],
    )
    def test_azure(self, one, other, p50_ms):
        """Microsoft Learn, azure-network-latency, July 2026: the smaller of both directions."""
        trip = round_trip(f"azure/{one}", f"azure/{other}")

        assert trip.p50_s == pytest.approx(p50_ms / 1e3)
        assert trip.source.label == "measured"

    def test_percentiles(self):
        """Azure publishes 95th percentiles: 89 ms from East US to West Europe; AWS has none."""
        azure = round_trip("azure/East US", "azure/West Europe")
        aws = round_trip("aws/us-east-1", "aws/eu-west-1")

        assert azure.p95_s == pytest.approx(0.089)
        assert azure.jitter == pytest.approx(89 / 83 - 1)
        assert aws.p95_s is None
        assert aws.jitter is None

    def test_inside_a_region(self):
        """Measured for AWS, between 1 and 9 ms; Azure publishes none."""
        inside = [
            round_trip(name, name).p50_s for name in location_names() if name.startswith("aws/")
        ]

        assert len(inside) == 32
        assert min(inside) == pytest.approx(0.00118)
        assert max(inside) == pytest.approx(0.00818)
        with pytest.raises(CatalogueError, match="no round trip inside azure/East US"):
            round_trip("azure/East US", "azure/East US")

    def test_clouds_are_islands(self):
        """Nobody measured between two clouds."""
        with pytest.raises(CatalogueError, match="between azure/East US and aws/us-east-1"):
            round_trip("azure/East US", "aws/us-east-1")

    @pytest.mark.parametrize(
        ("name", "meant"),
        [("azure/eastus", "azure/East US"), ("us-east-1", "aws/us-east-1")],
    )
    def test_unknown(self, name, meant):
        """Blanks, case and a missing cloud are forgiven in what is proposed."""
        with pytest.raises(CatalogueError) as refused:
            check_location(name)

        assert refused.value.remedy == f"Did you mean {meant}?"


class TestFailures:
    @pytest.mark.parametrize(
        ("name", "mtbf_s"),
        [
            ("llama-3", 2048 * 54 * DAY / 419),
            ("meta-rsc-1", 1000 * DAY / 6.50),
            ("meta-rsc-jobs", 47.7 * DAY),
            ("delta-a100", 283_271 * HOUR / 4),
            ("delta-h100", 88_768 * HOUR / 4),
        ],
    )
    def test_rates_follow_from_what_was_published(self, name, mtbf_s):
        """To the hour, to which the catalogue rounds."""
        assert failure_preset(name).mtbf_s == pytest.approx(mtbf_s, abs=HOUR)

    def test_repair_times_are_estimates(self):
        """No distribution of repair times is published, and no preset claims one."""
        for preset in failure_presets().values():
            assert preset.mttr_source.label == "estimated"
            assert 0.0 < preset.mttr_s < 3 * HOUR

    def test_unknown(self):
        """What is close is proposed."""
        with pytest.raises(CatalogueError, match=r"Did you mean meta-rsc-1\?"):
            failure_preset("meta-rsc1")


def test_every_source_is_named():
    """A source has a label of ours and a text."""
    for key, source in sources().items():
        assert source.label in {"measured", "derived", "estimated"}, key
        assert len(source.text) > 20
