"""Desired state: one file per kind; a field says once what it is, what it defaults to and how it may change."""
