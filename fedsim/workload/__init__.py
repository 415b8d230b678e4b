"""What arrives: arrival processes, token lengths, tenants and published traces."""
