"""Our records against those of tshark, message by message."""
