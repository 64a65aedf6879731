"""The life of a device, or of a story: alerts, decisions and records in the order in which they happened."""
