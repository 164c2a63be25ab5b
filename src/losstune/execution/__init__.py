"""Executors: train a plan in this process, or with Ray on many cores and GPUs."""
