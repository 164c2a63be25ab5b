"""Compare several studies: the results of each, and estimates and tests over all of them."""
