"""The study of sparse rewards."""
