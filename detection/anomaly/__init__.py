"""Learned models of values, timing and order: what no rule names and no fact excludes, at a promised rate of false alarms."""
