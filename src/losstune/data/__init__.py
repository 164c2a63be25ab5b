"""Data: from files on disk to three disjoint splits in the prepared folder."""
