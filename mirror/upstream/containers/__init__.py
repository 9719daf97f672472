"""Writers of the real containers: the same tensors give the same bytes, with no framework needed."""
