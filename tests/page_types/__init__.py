"""The types of the page's JavaScript, written in its comments, held by TypeScript at its strictest."""
