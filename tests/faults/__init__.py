"""Seeded faults against the distributed system as real processes: what was acknowledged is stored once, alerts do not change."""
