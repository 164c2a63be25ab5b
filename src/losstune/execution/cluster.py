"""The address of the Ray cluster that a study uses, if any. Does not import Ray."""

from __future__ import annotations

import os

from losstune.config.schema import ResourceSettings


def cluster_address(resources: ResourceSettings) -> str | None:
    """Return the address of the cluster to use; None if Ray is to be started here, or not used at all.

    Args:
        resources: Their ``ray_address`` comes before the environment's ``RAY_ADDRESS``.
    """
    if resources.executor != "ray":
        return None
    address = resources.ray_address or os.environ.get("RAY_ADDRESS")
    return address if address and address != "local" else None  # with which Ray means one of its own here


def address_source(resources: ResourceSettings) -> str:
    """Return what the cluster's address was read from, as a message names it."""
    return "resources.ray_address" if resources.ray_address else "RAY_ADDRESS in the environment"
