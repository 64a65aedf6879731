"""Records: by query, and those behind an alert."""
