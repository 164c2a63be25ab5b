"""Many trainings on the cores and GPUs there are, of this machine or of a cluster. The only importer of ray.

Tune runs the trials and nothing else: what to train comes from the plan, what is finished goes to the ledger, and
neither Tune's own snapshots nor its loggers are used.
"""

from losstune.trials.connection import available_cpus
from losstune.trials.nodes import Node, survey
from losstune.trials.run import run
from losstune.trials.share import Share, share_of

__all__ = ["Node", "Share", "available_cpus", "run", "share_of", "survey"]
