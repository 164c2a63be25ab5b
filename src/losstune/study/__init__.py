"""The protocol as code: what is searched, planned, registered, kept and selected."""
