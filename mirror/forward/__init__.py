"""A model's own arithmetic in numpy alone: what its weights say of a few tokens, and whether that can be."""
