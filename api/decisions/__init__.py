"""Decisions on their way down: written with what they change, and left for detection to take up."""
