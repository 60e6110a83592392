"""The demonstration: real pictures through every service, and back as signed webhooks."""
