"""Playbooks: what to do in which kind of incident, and the tasks that come of it."""
