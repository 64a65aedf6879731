"""Alerts: listed, opened, decided."""
