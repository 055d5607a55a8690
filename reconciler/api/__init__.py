"""The library: what commands and the controller do, as functions.

`load` manifests, choose a target, `plan`, `apply`; or `events`, which applies and yields what happens. Everything
public is exported by `reconciler` itself, which imports it when it is first asked for.
"""
