"""Releases: read `pipeline` first, which builds, tests, publishes and switches, or goes back by one release.

`gates` holds the checks, `artefact` the release's folder and its checksums, `store` the versions and their history,
`service_status` what the running service publishes about itself.
"""
