"""Incidents and stories for others to read: STIX 2.1 bundles, with a choice of what is masked."""
