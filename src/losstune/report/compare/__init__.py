"""Compare two revisions of a study, and list its verdicts in the history. Reads Git and checks out nothing."""
