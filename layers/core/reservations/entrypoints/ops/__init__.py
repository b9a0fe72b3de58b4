"""The operators' commands; `python -m reservations.entrypoints.ops --help` lists them."""
