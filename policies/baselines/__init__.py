"""Policies without weights: IBVS-MASK of the paper, and the reference rows of the benchmark."""
