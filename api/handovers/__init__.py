"""Notes that a shift leaves to the next: made from what is open, with what people add, and taken over by name."""
