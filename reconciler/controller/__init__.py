"""The core in a loop: fetch, observe, plan, act, and again. Long waits block nobody; what went wrong is shown."""
