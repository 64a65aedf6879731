"""What is normal here: learned facts, and what differs from them. Pure: records and state in, deviations and state out."""
