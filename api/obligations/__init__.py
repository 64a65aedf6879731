"""Reports that the law asks for: which, to whom, by when, and what became of them."""
