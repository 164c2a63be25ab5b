"""Several studies in one comparison: what was found in each, and what holds over all of them."""
