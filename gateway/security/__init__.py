"""Secrets and what is made of them: passwords and tokens."""
