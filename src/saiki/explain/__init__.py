"""Explanations: what a network did, as pictures and numbers."""
