"""The catalog knows each model on each node once, and tells when something changes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fedsim.federation.catalog import DeploymentStatus, ModelCatalog
from fedsim.federation.contracts import (
    Capability,
    Internal,
    ModelId,
    ModelMetadata,
    NodeId,
    RegionId,
)
from tests.unit.federation.stand_ins import EAST, GENERATE, catalog_of, deployment, drive

KNOWN = [Capability(name) for name in ("transcribe", "synthesize", "code", "embed", "image_gen")]


def nodes(catalog, capability=GENERATE):
    """Return the names of the nodes that are found."""
    return [node for node, _ in drive(catalog.find_by_capability(capability))]


def register(catalog, model, node, *capabilities, region="east"):
    """Register through the contract."""
    drive(catalog.register(ModelId(model), NodeId(node), RegionId(region), capabilities))


def deregister(catalog, model, node):
    """Deregister through the contract."""
    drive(catalog.deregister(ModelId(model), NodeId(node)))


class TestRegistration:
    """Registering and deregistering through the contract."""

    def test_found_with_region(self):
        """A registered node is ready at once, and found with its region."""
        catalog = ModelCatalog()
        register(catalog, "llama", "a", GENERATE, region="west")

        assert drive(catalog.find_by_capability(GENERATE)) == [("a", "west")]
        assert catalog.deployments()[0].status is DeploymentStatus.READY

    @pytest.mark.parametrize("capability", [*KNOWN, GENERATE, Capability.custom("ocr")])
    def test_every_capability(self, capability):
        """A node is found by its own capability and by no other."""
        catalog = ModelCatalog()
        register(catalog, "model", "a", capability)
        others = [*KNOWN, GENERATE, Capability.custom("ocr"), Capability.custom("other")]

        found = [each for each in others if nodes(catalog, each)]
        assert found == [capability]

    def test_unknown_capability_finds_none(self):
        """An unknown capability gives an empty list, not an error."""
        assert nodes(ModelCatalog()) == []

    def test_again_replaces(self):
        """Registering a model on a node again replaces its capabilities and moves nothing."""
        catalog = catalog_of("a", "b")
        register(catalog, "llama", "a", Capability.CODE)

        assert nodes(catalog) == ["b"]
        assert nodes(catalog, Capability.CODE) == ["a"]
        assert [each.node_id for each in catalog.deployments()] == ["a", "b"]

    def test_again_after_deregistration_is_found_once(self):
        """No trace of an earlier registration is left behind."""
        catalog = catalog_of("a")
        deregister(catalog, "llama", "a")
        register(catalog, "llama", "a", Capability.CODE)

        assert nodes(catalog) == []
        assert nodes(catalog, Capability.CODE) == ["a"]

    def test_two_models_on_a_node(self):
        """A node with two models of one capability is found once, and until both are gone."""
        catalog = catalog_of("a")
        register(catalog, "mistral", "a", GENERATE, Capability.CODE)

        assert nodes(catalog) == ["a"]
        assert drive(catalog.list_all()) == ["llama", "mistral"]
        deregister(catalog, "llama", "a")
        assert nodes(catalog) == ["a"]
        deregister(catalog, "mistral", "a")
        assert nodes(catalog) == []

    def test_one_of_two_nodes_leaves(self):
        """Deregistering a model from one node leaves it on the other."""
        catalog = catalog_of("a", "b")
        deregister(catalog, "llama", "a")

        assert nodes(catalog) == ["b"]
        assert drive(catalog.list_all()) == ["llama"]

    def test_unknown_ones_are_no_error(self):
        """Deregistering what is not there does nothing, and announces nothing."""
        catalog = catalog_of("a")
        before = catalog.version
        deregister(catalog, "llama", "b")
        deregister(catalog, "gpt", "a")

        assert nodes(catalog) == ["a"]
        assert catalog.version == before


class TestStatus:
    """A deployment's life."""

    @pytest.mark.parametrize("status", DeploymentStatus)
    def test_only_ready_nodes_are_found(self, status):
        """Loading, draining and removed nodes are not found; ready ones are."""
        catalog = catalog_of("a", "b")
        catalog.set_status(NodeId("a"), status)

        assert nodes(catalog) == (["a", "b"] if status is DeploymentStatus.READY else ["b"])

    def test_of_all_models_of_the_node(self):
        """The status of a node is that of all its models, and is announced once."""
        catalog = catalog_of("a", deployment("a", model="mistral"))
        seen = []
        catalog.subscribe(lambda: seen.append([each.status for each in catalog.deployments()]))
        catalog.set_status(NodeId("a"), DeploymentStatus.DRAINING)

        assert seen == [[DeploymentStatus.DRAINING] * 2]

    def test_the_same_again_is_no_change(self):
        """Setting the status that a node has announces nothing."""
        catalog = catalog_of("a")
        before = catalog.version
        catalog.set_status(NodeId("a"), DeploymentStatus.READY)

        assert catalog.version == before

    def test_a_subscriber_may_change_the_catalog(self):
        """A node that is removed may be deregistered by whoever hears of it."""
        catalog = catalog_of("a", deployment("a", model="mistral"), "b")

        def sweep():
            for each in catalog.deployments():
                if each.status is DeploymentStatus.REMOVED:
                    deregister(catalog, each.model_id, each.node_id)

        catalog.subscribe(sweep)
        catalog.set_status(NodeId("a"), DeploymentStatus.REMOVED)

        assert [each.node_id for each in catalog.deployments()] == ["b"]


class TestMetadata:
    """What the catalog knows of a model."""

    def test_of_a_known_model(self):
        """Metadata is made of what was registered, on whichever node."""
        catalog = catalog_of("a")
        register(catalog, "llama", "b", Capability.CODE)
        known = drive(catalog.get_metadata(ModelId("llama")))

        assert known.name == "llama"
        assert known.version == "1.0.0"
        assert known.capabilities == (GENERATE, Capability.CODE)
        assert known.parameters == 0
        assert known.quantization is None

    def test_as_it_was_registered(self):
        """What a registration says beyond the contract is what is known of the model."""
        said = ModelMetadata(ModelId("llama"), "Llama 3.1 8B", "3.1", (), 8_000_000_000, "fp8")
        catalog = catalog_of("a")
        drive(catalog.register(ModelId("llama"), NodeId("b"), EAST, [GENERATE], said))
        drive(catalog.register(ModelId("llama"), NodeId("c"), EAST, [GENERATE]))

        assert drive(catalog.get_metadata(ModelId("llama"))) == replace(
            said, capabilities=(GENERATE,)
        )
        other = replace(said, name="another", quantization="bf16")
        drive(catalog.register(ModelId("llama"), NodeId("d"), EAST, [GENERATE], other))
        mixed = drive(catalog.get_metadata(ModelId("llama")))
        assert (mixed.name, mixed.quantization) == ("Llama 3.1 8B", None)

    def test_of_an_unknown_model(self):
        """An unknown model is an error that names it."""
        with pytest.raises(Internal, match="Internal error: Model not found: gpt"):
            drive(ModelCatalog().get_metadata(ModelId("gpt")))
