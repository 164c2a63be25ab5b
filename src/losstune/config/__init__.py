"""``params.yaml`` and ``matrix.yaml``: the settings as typed objects, how they are read, what is wrong with them."""
