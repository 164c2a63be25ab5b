"""The address of the Ray cluster that a study uses, if any. Does not import Ray."""

from __future__ import annotations

import os

from losstune.config.schema import ResourceSettings


def cluster_address(resources: ResourceSettings) -> str | None:
    """Return the address of the cluster to use; None to start Ray here or not to use it.

    Args:
        resources: Their ``ray_address`` has priority over ``RAY_ADDRESS`` in the environment.
    """
    if resources.executor != "ray":
        return None
    address = resources.ray_address or os.environ.get("RAY_ADDRESS")
    return address if address and address != "local" else None  # "local" tells Ray to start on this machine


def address_source(resources: ResourceSettings) -> str:
    """Return the source of the cluster's address, for messages."""
    return "resources.ray_address" if resources.ray_address else "RAY_ADDRESS in the environment"
