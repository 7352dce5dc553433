"""Damaged inputs of every kind that signgen reads, and what becomes of them: see benchmarks/fuzz_readers.py."""
