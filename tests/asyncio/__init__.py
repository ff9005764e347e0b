"""The tests of the asyncio front-end; they mirror ``src/telex/asyncio``."""
