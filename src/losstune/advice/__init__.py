"""Past verdicts, and what they say about a new study: which losses are worth a trial, and where winners lay."""
