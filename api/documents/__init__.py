"""Documents: reports that the law asks for and summaries of incidents, as Word files and as PDF, from templates.

What a document says is worked out here (`report`, `summary`); templates are filled in a process of its own (`child`), and PDF is
made of the filled document by LibreOffice (`pdf`), so that a plant's template gives the same in both.
"""
