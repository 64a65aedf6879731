"""What of the configuration is in force, and whether it works: `icsight config`."""
