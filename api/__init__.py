"""The situational-awareness API, its console, and the `icsight` command."""
