"""Zones and conduits of a site (IEC 62443-3-2): what belongs together, at which Purdue level, and who may talk to whom."""
