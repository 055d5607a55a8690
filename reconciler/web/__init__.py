"""The status page: shows what the controller last saw, and asks it for what people want."""
