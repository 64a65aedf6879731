"""Maintenance windows: planned work at a site, the alerts that it hides while it goes on, and what it hid in the end."""
