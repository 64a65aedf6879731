"""What another processor has to do as this one does."""
