"""Reviews of closed incidents: what went well, what did not, and the lessons, which are tasks."""
