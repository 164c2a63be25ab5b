"""The executors: a plan is trained in this process, or by Ray on many cores and GPUs."""
