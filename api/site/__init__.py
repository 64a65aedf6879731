"""The facts of the site, as its file holds them."""
