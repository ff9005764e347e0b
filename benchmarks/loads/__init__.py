"""What a server must stand: loads that are applied to one in a process of its own, and judged."""
