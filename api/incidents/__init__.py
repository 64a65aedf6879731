"""Incidents: what happens from the alert to the closed case."""
