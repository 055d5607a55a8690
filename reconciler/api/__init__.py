"""The library: what commands and the controller do, as functions. Everything public is exported by `reconciler`."""
