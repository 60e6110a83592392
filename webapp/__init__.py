"""Accepts work and answers questions: the HTTP API of gw. The only package that knows HTTP."""
