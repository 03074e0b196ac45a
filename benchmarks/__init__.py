"""Measurements against peers and against the physical floor. Never part of the tests."""
