"""Settings: ``params.yaml`` and ``matrix.yaml`` as typed objects, their readers and their error messages."""
