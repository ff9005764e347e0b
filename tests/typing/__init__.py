"""How typed programs use Telex; read by type checkers, never run."""
