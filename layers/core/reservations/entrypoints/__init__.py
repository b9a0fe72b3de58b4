"""HTTP and queue edges, imported by the functions; Powertools lives here."""
