"""Deliveries: one announcement of one event to one endpoint, and all about endpoints."""
