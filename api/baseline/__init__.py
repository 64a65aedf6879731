"""What is normal: what was learned, and what people decide about it."""
