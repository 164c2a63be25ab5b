"""Compare several studies: the results of each, and what holds over all of them."""
