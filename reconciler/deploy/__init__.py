"""Files for who runs the controller: a container image, Kubernetes, Container Apps, systemd, a Grafana dashboard."""
