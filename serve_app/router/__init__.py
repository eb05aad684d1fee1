"""The router: HTTP in, choose a variant, have it scored, HTTP out. A CPU process without torch."""
