"""Train a plan with Ray Tune on the cores and GPUs of this machine or of a cluster. The only importer of ray.

Tune only runs the trials. The plan decides what to train, and the ledger stores the results. Tune's own checkpoints and
loggers are not used.
"""
