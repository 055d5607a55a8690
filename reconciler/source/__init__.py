"""Where manifests come from: a folder, or a branch of a Git repository."""
