"""Who talks to whom: devices, or the zones, levels and networks that they lie in."""
