"""Drills: an incident run on generated traffic of the plant, marked everywhere, measured, and compared with the last."""
