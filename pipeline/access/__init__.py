"""Who may do what: keys, tenants, and the record of administrative acts."""
