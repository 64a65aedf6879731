"""Saved views: filters and orders of the list of alerts, under a name."""
