"""The Python interface: a study in a notebook or a script, with the engine and the guarantees of the pipeline."""
