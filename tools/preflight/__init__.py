"""Checks of an AWS account before a deployment: `make preflight STAGE=dev`."""
