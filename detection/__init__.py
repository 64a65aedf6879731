"""Detection: records in, few and explained alerts out. Detectors are pure; the worker does the I/O."""
