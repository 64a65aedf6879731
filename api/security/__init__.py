"""Who may call: passwords, sessions, roles, and what every request is checked for before it is answered."""
