"""Observations: collected into stores, read from files, indexed by number."""
