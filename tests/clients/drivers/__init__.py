"""Programs that run inside the clients' environments: they call the vendors' packages and import no file of ours."""
