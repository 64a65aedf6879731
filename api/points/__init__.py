"""Process points: what values they had, who wrote them, and what was expected."""
