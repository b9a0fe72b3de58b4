"""Measuring, documents, releases and fonts; none of it runs the stack."""
