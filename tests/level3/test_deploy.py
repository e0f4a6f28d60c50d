"""What is deployed is what its record makes again; all else leaves production as it is."""

import json
from pathlib import Path

import pytest

from level2_devops.release.store import ReleaseError, Store
from level3_training_pipeline.deploy import deploy
from level3_training_pipeline.tracking import registry
from level3_training_pipeline.tracking.registry import Version
from tests.level2.releases import publish
from tests.level3.world import World


@pytest.mark.slow
def test_a_version_that_its_record_does_not_make_again_is_not_deployed(
    world: World, version: Version, tmp_path: Path
) -> None:
    store = Store(world.settings.level("level2"))
    publish(store, registry.fetch(world.client, version, tmp_path))
    registry.promote(world.client, version, "Ada", "1.0.0")
    serves, champion = store.current(), registry.by_alias(world.client, registry.CHAMPION)
    others = json.dumps({**json.loads(version.tags["parameters"]), "max_iter": 10})
    other = registry.register(
        world.client,
        str(world.client.get_model_version(registry.MODEL, str(version.number)).source),
        version.run_id,
        {**version.tags, "parameters": others, "training_key": "others"},
    )
    reason = r"refused; 1\.0\.0 keeps serving.*is another model: [\d,]+ of .*Remedy: train and deploy a new version"
    with pytest.raises(ReleaseError, match=reason):
        deploy(str(other.number), world.settings, "Ada")
    assert serves
    assert store.current() == serves
    assert registry.by_alias(world.client, registry.CHAMPION) == champion
