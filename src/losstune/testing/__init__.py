"""What any loss has to do, its own claims included: see :func:`losstune.testing.suite.check`."""
