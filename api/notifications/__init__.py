"""Who is told of what beyond this system: rules, what they bring up, and the messages that leave by channels."""
