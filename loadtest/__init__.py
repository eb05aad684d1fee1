"""Measurements over HTTP. Nothing here imports serve_app, so that the same run measures any service."""
