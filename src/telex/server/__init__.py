"""What all servers share: checked options, threads for handlers, worker processes."""
