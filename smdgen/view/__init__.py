"""What people look at: view scripts and figures."""
