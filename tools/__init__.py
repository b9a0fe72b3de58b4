"""Measuring, documents, releases and fonts: tools that the running stack does not need."""
