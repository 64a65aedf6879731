"""The health of sensors."""
