"""Two states of a study side by side, and its verdicts along the history: read from Git, nothing checked out."""
