"""The types of the page's JavaScript, written in its comments, checked strictly by TypeScript."""
