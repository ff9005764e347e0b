"""Small real programs that use Telex; each begins by saying how it is run."""
