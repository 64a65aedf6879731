"""Evidence of incidents: kept as it was taken, handed on by name, and given out as a package that others can verify."""
