"""Which Ray cluster a study uses, if any; known without Ray itself."""

from __future__ import annotations

import os

from losstune.config import ResourceSettings


def cluster_address(resources: ResourceSettings) -> str | None:
    """Return the address of the cluster to use; None if Ray is to be started here, or not used at all.

    Args:
        resources: Their ``ray_address`` comes before the environment's ``RAY_ADDRESS``.
    """
    if resources.executor != "ray":
        return None
    return resources.ray_address or os.environ.get("RAY_ADDRESS") or None
