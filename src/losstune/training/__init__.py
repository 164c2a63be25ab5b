"""The hot path: one configuration and several seeds in, trained and scored models out."""
