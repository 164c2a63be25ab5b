"""Many trainings on the cores and GPUs there are, of this machine or of a cluster. The only importer of ray.

Tune runs the trials and nothing else: what to train comes from the plan, what is finished goes to the ledger, and
neither Tune's own snapshots nor its loggers are used.
"""

from losstune.execution.trials.connection import available_cpus
from losstune.execution.trials.nodes import Node, survey
from losstune.execution.trials.resources import TrialResources, resources_of
from losstune.execution.trials.run import run

__all__ = ["Node", "TrialResources", "available_cpus", "resources_of", "run", "survey"]
