"""How the plant is now, or was at a past time, in one answer."""
