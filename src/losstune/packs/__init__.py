"""Study packs: prior studies as ready settings, with their published claims as data."""
