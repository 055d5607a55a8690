"""Plans, passes and results as text and JSON. It shows what others computed and computes nothing."""
