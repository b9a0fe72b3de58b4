"""The operators' commands; `python -m ops --help` lists them."""
