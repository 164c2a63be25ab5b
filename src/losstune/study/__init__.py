"""The protocol as code: search, plan, jobs, ledger, selection, registration, provenance, cost."""
