"""Tasks: data and a ready network, to learn from and to measure with."""
