"""What is known around an alert, in one answer."""
