"""How long it takes until somebody takes alerts and incidents on, and until they are over."""
