"""Decisions about many alerts at once, as jobs."""
