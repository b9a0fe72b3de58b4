"""Test whether a payments or a supplier API keeps the promises of its contract, over HTTP only.

`python -m tools.conformance --help`. The kit knows the documents of `docs/contratos`, and nothing else of a provider.
"""
