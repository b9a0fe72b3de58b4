"""The payments and supplier APIs over HTTP."""
