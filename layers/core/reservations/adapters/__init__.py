"""One technology each, behind the ports of the application."""
