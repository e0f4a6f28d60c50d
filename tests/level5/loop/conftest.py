"""The fixtures of level 4's registry, for the tests of the loop that act on a platform."""

from tests.level4.registries import plan, registry_

__all__ = ["plan", "registry_"]
